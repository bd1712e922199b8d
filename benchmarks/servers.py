"""Every server that is measured: how it is started, where it answers, and with which settings."""

import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.environments import python_of, version
from benchmarks.scenarios import (
    HEADLINE,
    HEADLINE_64,
    HEADLINE_CNN,
    HEADLINE_CNN_64,
    OURS,
    PASS,
    PEERS,
    RPC,
    RPCS,
    Scenario,
)

PEER_FILES = Path(__file__).parent / "peers"
OURSELVES = "Abacus"
WITH_RPC = "Abacus, over gRPC"
CONSTANT = "uvicorn, a constant answer"
EMPTY = "FastAPI, an empty upload endpoint"
ASYNC = "FastAPI, async def"
DEF = "FastAPI, def"


@dataclass(frozen=True)
class Server:
    """`command` may hold {python}, {bin}, {port} and {rpc}, that of gRPC; `peer` names the environment."""

    name: str
    settings: str
    command: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    peer: str | None = None
    package: str | None = None
    mode: str = "default"
    ready: str = "/health"
    digit: str = "/predict/digit"
    body: str = "form"

    @property
    def title(self) -> str:
        return f"{self.name} ({self.mode})" if self.peer else self.name

    @property
    def is_peer(self) -> bool:
        """Whether it answers what this service answers."""
        return self.name not in (CONSTANT, EMPTY) and not self.name.startswith(OURSELVES)

    def python(self) -> Path:
        """Its interpreter, in an environment that is built when it is missing. Raises NotBuilt."""
        return python_of(self.peer) if self.peer else Path(sys.executable)

    def version(self) -> str:
        """The version of what it stands on."""
        return version(self.python(), self.package) if self.package else ""

    def asked(self, scenarios: Collection[str]) -> "Server":
        """With these of its scenarios alone, by name; none: with all."""
        kept = tuple(s for s in self.scenarios if not scenarios or s.name in scenarios)
        return replace(self, scenarios=kept)

    def argv(self, port: int) -> list[str]:
        python = self.python()
        places = {"python": python, "bin": python.parent, "port": port, "rpc": rpc_port(port)}
        return [p.format(**places) for p in self.command]


def rpc_port(port: int) -> int:
    """Of a server that answers HTTP at `port`."""
    return port + 1


def _uvicorn(application: str) -> tuple[str, ...]:
    return (
        *("{python}", "-m", "uvicorn", application, "--app-dir", str(PEER_FILES)),
        *("--port", "{port}", "--no-access-log", "--log-level", "warning"),
    )


def _script(name: str) -> tuple[str, ...]:
    return ("{python}", str(PEER_FILES / name), "{port}")


def _abacus(name: str, settings: str, scenarios: tuple[Scenario, ...], *options: str) -> Server:
    # What it is asked for, and no more: a peer loads one model.
    command = ("{python}", "-m", "service", "--port", "{port}", "--models", "digit,pass", *options)
    return Server(name, settings, command, scenarios, ready="/health/ready")


def _twice(best: Server, default_settings: str) -> list[Server]:
    """A peer with its default settings, measured briefly, and with the best that were found."""
    default = replace(best, settings=default_settings, mode="default", scenarios=(HEADLINE,))
    return [default, replace(best, mode="best")]


BENTO = ("{bin}/bentoml", "serve", "bentoml_server:Digit", "--working-dir", str(PEER_FILES))

SERVERS: list[Server] = [
    _abacus(OURSELVES, "as installed: one worker, torch on one thread of two processors", OURS),
    _abacus(
        f"{OURSELVES}, two workers",
        "--workers 2",
        (HEADLINE_CNN, HEADLINE_CNN_64, HEADLINE, HEADLINE_64),
        "--workers",
        "2",
    ),
    _abacus(WITH_RPC, "--grpc-port", (RPC, RPCS), "--grpc-port", "{rpc}"),
    Server(CONSTANT, "no routing, no body read", _uvicorn("limits:constant"), (HEADLINE,), ready="/"),
    Server(EMPTY, "UploadFile, nothing done with it", _uvicorn("limits:empty"), (HEADLINE,), ready="/docs"),
    Server(
        ASYNC,
        "inference on the event loop; uvloop, httptools, no access log, one thread of torch",
        _uvicorn("plain_fastapi:app"),
        PEERS,
        mode="async",
        ready="/docs",
    ),
    Server(
        DEF,
        "inference on FastAPI's threads; uvloop, httptools, no access log, one thread of torch",
        _uvicorn("plain_fastapi:app"),
        (*PEERS, PASS),
        mode="def",
        ready="/docs",
    ),
    *_twice(
        Server(
            "mosec",
            "one worker, batches of up to 16 within 1 ms, no line for each request; the PNG as the body",
            ("{python}", str(PEER_FILES / "mosec_server.py"), "--address", "127.0.0.1", "--port", "{port}"),
            PEERS,
            "mosec",
            "mosec",
            digit="/inference",
            ready="/",
            body="png",
        ),
        "one worker, no batching; the PNG as the body",
    ),
    Server(
        "Triton",
        "its package for Python: one model instance, batches of what waits, no delay; pixels as a tensor",
        _script("triton_server.py"),
        PEERS,
        "triton",
        "nvidia-pytriton",
        mode="best",
        digit="/v2/models/digit/infer",
        ready="/v2/models/digit/ready",
        body="tensor",
    ),
    *_twice(
        Server(
            "LitServe",
            "one worker, fast_queue, no access log; batches of 4, 8 and 16 were slower",
            _script("litserve_server.py"),
            PEERS,
            "litserve",
            "litserve",
            digit="/predict",
        ),
        "one worker, no batching, access log",
    ),
    *_twice(
        Server(
            "MLServer",
            "no parallel workers, max_batch_size 32, max_batch_time 1 ms, no metrics; JSON with base64",
            _script("mlserver_server.py"),
            (*PEERS, RPC, RPCS),
            "mlserver",
            "mlserver",
            digit="/v2/models/digit/infer",
            ready="/v2/models/digit/ready",
            body="oip",
        ),
        "one parallel worker, no batching; JSON with base64, as it takes no multipart",
    ),
    Server(
        "KServe",
        "one worker, no lines for each request; asked over gRPC alone",
        _script("kserve_server.py"),
        (RPC, RPCS),
        "kserve",
        "kserve",
        mode="best",
        ready="/v2/models/digit/ready",
    ),
    *_twice(
        Server(
            "BentoML",
            "one worker, an asynchronous endpoint, no access log, no metrics",
            (*BENTO, "--host", "127.0.0.1", "--port", "{port}"),
            PEERS,
            "bentoml",
            "bentoml",
            digit="/predict",
            ready="/readyz",
        ),
        "one worker, no batching, access log",
    ),
    *_twice(
        Server(
            "Ray Serve",
            "one replica, batches of up to 64 within 1 ms, no access log",
            _script("ray_serve_server.py"),
            PEERS,
            "ray",
            "ray",
            digit="/predict",
            ready="/predict",
        ),
        "one replica, no batching, access log",
    ),
    *_twice(
        Server(
            "TorchServe",
            "one worker, batchSize 16, maxBatchDelay 1 ms",
            _script("torchserve_server.py"),
            PEERS,
            "torchserve",
            "torchserve",
            digit="/predictions/digit",
            ready="/predictions/digit",
        ),
        "one worker, no batching",
    ),
]

QUICK = (OURSELVES, EMPTY, ASYNC, DEF)
ON_A_GPU = (OURSELVES, ASYNC, DEF)
