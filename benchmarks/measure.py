"""The run: every server in turn, several rounds, one server at a time."""

import json
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks import loops
from benchmarks.environments import NotBuilt
from benchmarks.load import Load, LoadFailed, run_wrk
from benchmarks.process import NotStarted, Running, free_port
from benchmarks.results import BareLoop, Measurement, Results, Start
from benchmarks.rpc import probabilities, run_rpc
from benchmarks.scenarios import CNN, PATHS, SOFTMAX_MLP, Bodies, Scenario, fields
from benchmarks.servers import CONSTANT, EMPTY, Server, rpc_port
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import read_manifest
from service.engine.ways import torchscript_accepted

ARTIFACTS = Path(__file__).parent.parent / "artifacts"
NOT_SHIPPED = Path(__file__).parent / "artifacts" / "digit" / "2"
TOLERANCE = 1e-5
LOOPS = ("load", "decode-and-infer", "infer")

Progress = Callable[[str], None]


@cache
def folder_of(model: str) -> Path:
    """The version folder of a model that is measured: of the cnn, the live one as the run begins."""
    if model == SOFTMAX_MLP:
        return NOT_SHIPPED
    store = ArtifactStore(ARTIFACTS)
    return store.folder("digit", store.current("digit"))


class WrongAnswer(Exception):
    """A server does not answer what the checkpoint answers: its speed means nothing."""


class Bench:
    """Prepares bodies and artifacts under `folder`, then measures."""

    def __init__(self, folder: Path, seconds: int, device: str = "cpu") -> None:
        self._folder = folder
        self._seconds = seconds
        self._device = device
        self._bodies = Bodies(folder)
        picture = folder_of(SOFTMAX_MLP) / "samples" / "7.png"
        self._bodies.write([picture.read_bytes()])
        image = np.array(Image.open(picture).convert("L"))
        self._row = torch.from_numpy(image)[None, None]

    def run(self, servers: Sequence[Server], rounds: int, progress: Progress) -> Results:
        """Measure everything; what cannot be measured is noted with its reason and does not end the run."""
        results = Results(
            machine=machine(),
            versions=versions(),
            settings={server.title: server.settings for server in servers},
            rounds=rounds,
            seconds=self._seconds,
        )
        for number in range(rounds):
            for what in LOOPS:
                progress(f"round {number + 1}: bare {what}")
                loop = loops.run(what, self._checkpoint(SOFTMAX_MLP), self._bodies.path("png"))
                results.loops.append(BareLoop(what=what, **loop._asdict()))
            for server in [*servers[number % len(servers) :], *servers[: number % len(servers)]]:
                if server.mode == "default" and server.peer and number:
                    continue  # the defaults are measured once, to be seen beside the best
                if server.title not in results.not_measured:
                    self._measure(server, number, results, progress)
        return results

    def _measure(self, server: Server, number: int, results: Results, progress: Progress) -> None:
        try:
            if server.package:
                results.versions[server.package] = server.version()
            for model in (SOFTMAX_MLP, CNN):
                scenarios = [s for s in server.scenarios if s.model == model]
                if scenarios:
                    self._under(server, model, scenarios, number, results, progress)
        except (NotBuilt, NotStarted, LoadFailed, WrongAnswer, subprocess.SubprocessError) as error:
            results.not_measured[server.title] = str(error)
            progress(f"{server.title} is not measured: {error}")

    def _under(
        self,
        server: Server,
        model: str,
        scenarios: Sequence[Scenario],
        number: int,
        results: Results,
        progress: Progress,
    ) -> None:
        """Start the server with one model live. The first load is its first request: no warm-up of ours."""
        with self._started(server, model) as (running, port):
            for scenario in scenarios:
                progress(f"round {number + 1}: {server.title}, {scenario.name}")
                cpu = running.cpu_seconds()
                load = self._load(server, scenario, port)
                results.measurements.append(
                    Measurement(
                        server=server.title,
                        scenario=scenario.name,
                        round=number,
                        load=load,
                        rows=scenario.rows,
                        cpu_seconds=running.cpu_seconds() - cpu,
                    )
                )
                if scenario == scenarios[0] and model == SOFTMAX_MLP:
                    # Before larger bodies come: this is what serving digits one by one takes.
                    results.starts.append(
                        Start(
                            server=server.title,
                            round=number,
                            seconds_to_ready=running.seconds_to_ready,
                            peak_memory_bytes=running.peak_memory_bytes(),
                            proportional_memory_bytes=running.proportional_memory_bytes(),
                        )
                    )
            if server.name not in (CONSTANT, EMPTY):
                self._check(server, model, port, scenarios)

    def _load(self, server: Server, scenario: Scenario, port: int) -> Load:
        """Raises LoadFailed."""
        if scenario.is_rpc:
            message = self._bodies.path(scenario.body)
            return run_rpc(rpc_address(port), message, scenario.connections, self._seconds)
        body = server.body if scenario.body == "form" else scenario.body
        url = url_at(port) + PATHS.get(body, server.digit)
        return run_wrk(url, self._bodies.path(body), fields(body), scenario.connections, self._seconds)

    @contextmanager
    def _started(self, server: Server, model: str) -> Iterator[tuple[Running, int]]:
        port = free_port()
        environment = {
            "SERVICE_ARTIFACTS": str(self._store(model)),
            "SERVICE_DEVICE": self._device,
            "SERVICE_LOG_LEVEL": "warning",
            "BENCH_DIGIT": str(self._checkpoint(model)),
            "BENCH_PASS": str(ARTIFACTS / "pass" / "1" / "model.pt"),
            "BENCH_SETTINGS": server.mode,
            "BENCH_THREADS": "1",
            "BENCH_DEVICE": self._device,
        }
        log = self._folder / f"{server.title}.log"
        with Running(server.argv(port), environment, url_at(port) + server.ready, log) as running:
            yield running, port

    def _checkpoint(self, model: str) -> Path:
        return folder_of(model) / "model.pt"

    def _store(self, model: str) -> Path:
        """A copy of the artifacts in which this model is live."""
        store = ArtifactStore(self._folder / f"artifacts-{model}")
        if not store.root.exists():
            shutil.copytree(ARTIFACTS, store.root)
            version = int(folder_of(model).name)
            shutil.copytree(folder_of(model), store.folder("digit", version), dirs_exist_ok=True)
            store.activate("digit", version)
        return store.root

    def _check(self, server: Server, model: str, port: int, scenarios: Sequence[Scenario]) -> None:
        """Nobody wins by being wrong. Raises WrongAnswer."""
        content = self._bodies.path(server.body).read_bytes()
        headers = fields(server.body)
        answers: list[tuple[str, list[float]]] = []
        if not all(scenario.is_rpc for scenario in scenarios):
            answer = httpx.post(url_at(port) + server.digit, content=content, headers=headers, timeout=30)
            answers.append((f"{answer.status_code} {answer.text[:200]}", _probabilities(answer)))
        if any(scenario.is_rpc for scenario in scenarios):
            said = probabilities(rpc_address(port), self._bodies.path("rpc").read_bytes())
            answers.append((f"gRPC: {said}", said))
        with torch.inference_mode(), torchscript_accepted():
            rows = torch.jit.load(str(self._checkpoint(model))).eval()(self._row)
        expected = rows[0, :10].tolist()  # a score may follow
        tolerance = TOLERANCE if server.is_peer else _stated(folder_of(model))
        for text, found in answers:
            if (
                len(found) != 10
                or max(abs(a - b) for a, b in zip(expected, found, strict=True)) > tolerance
            ):
                raise WrongAnswer(text)


def _stated(version: Path) -> float:
    """How far our own answers may be from float32's: another form of the weights may be quicker here."""
    return max([TOLERANCE, *(form.tolerance for form in read_manifest(version).forms)])


def url_at(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def rpc_address(port: int) -> str:
    return f"127.0.0.1:{rpc_port(port)}"


def _probabilities(answer: httpx.Response) -> list[float]:
    size = int(answer.headers.get("Inference-Header-Content-Length", len(answer.content)))
    try:
        document: dict[str, Any] = json.loads(answer.content[:size])
    except ValueError:
        return []
    if len(answer.content) > size:
        return np.frombuffer(answer.content[size:], np.float32)[:10].tolist()  # type: ignore[no-any-return]
    if "outputs" in document:
        return list(document["outputs"][0]["data"])
    return list(document.get("probabilities", []))


def machine() -> dict[str, str]:
    """What the figures depend on, without naming the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.machine(),
        "processors": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def versions() -> dict[str, str]:
    names = ("torch", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pillow", "numpy")
    return {"Python": platform.python_version(), **{name: version(name) for name in names}}
