"""Ray on this machine: nodes of one cluster, and the application on Ray Serve as deploy/ray has it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
import yaml

from tests.conftest import ROOT, free_ports, wait_for

# Not 127.0.0.1, in the place of which Ray takes the machine's own address.
NODE = "127.0.0.2"
OBJECT_STORE_BYTES = 80_000_000
DRAIN_S = 3
BIN = Path(sys.executable).parent


class Cluster:
    """Of nodes that share an address; their processes are ended with it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        """`environment`: in place of what deploy/ray/serve.env has."""
        self.folder = folder
        gcs, self.port, metrics, stats, fallback, agent = free_ports(6)
        self.url = f"http://127.0.0.1:{self.port}"
        self._address = f"{NODE}:{gcs}"
        self._agent = agent
        self._log = folder / "cluster.log"
        serving = {
            "HAPROXY_CONFIG_FILE_LOC": f"{folder}/h/haproxy.cfg",
            "HAPROXY_SOCKET_PATH": f"{folder}/h/admin.sock",
            "HAPROXY_SERVER_STATE_BASE": f"{folder}/h",
            "HAPROXY_SERVER_STATE_FILE": f"{folder}/h/state",
            "HAPROXY_METRICS_PORT": f"{metrics}",
            "HAPROXY_STATS_PORT": f"{stats}",
            "FALLBACK_PROXY_HTTP_PORT": f"{fallback}",
            "DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": f"{DRAIN_S}",
        }
        self.environment = {
            **os.environ,
            **variables(),
            **{f"RAY_SERVE_{name}": value for name, value in serving.items()},
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",  # else Ray asks for one where a home has ~/.ray/auth_token
            "RAY_AUTH_TOKEN": token_hex(),
            "RAY_ADDRESS": self._address,
            "OMP_NUM_THREADS": "1",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            **environment,
        }
        self.nodes = [self._start("--head", f"--port={gcs}", f"--temp-dir={folder}/r")]

    def _start(self, *options: str) -> psutil.Process:
        command = [str(BIN / "ray"), "start", "--block", f"--node-ip-address={NODE}", "--num-cpus=4"]
        command += [f"--object-store-memory={OBJECT_STORE_BYTES}", "--disable-usage-stats"]
        if "--head" in options:
            command += ["--include-dashboard=false", f"--metrics-export-port={self._agent}"]
        with self._log.open("a") as log:
            process = psutil.Popen(
                [*command, *options], env=self.environment, cwd=ROOT, stdout=log, stderr=log
            )
        began = self._log.read_text().count("now block forever")
        wait_for(lambda: self._log.read_text().count("now block forever") > began, 60)
        return process

    def add_node(self) -> psutil.Process:
        self.nodes.append(self._start(f"--address={self._address}"))
        return self.nodes[-1]

    def deploy(self, arguments: dict[str, Any], trivial: bool = False, **deployment: Any) -> None:
        """serve.yaml with these arguments, and this deployment, on ports of its own.

        `trivial`: and tests/reliability/trivial.py beside it.
        """
        config = yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text())
        config["proxy_location"] = "HeadOnly"
        config["http_options"] |= {"host": "127.0.0.1", "port": self.port}
        (application,) = config["applications"]
        application["args"] = arguments
        own = {"ray_actor_options": {"num_cpus": 1}, "health_check_period_s": 1, **deployment}
        application["deployments"][0] |= own
        if "autoscaling_config" in deployment:
            del application["deployments"][0]["num_replicas"]
        if trivial:
            beside = {"name": "trivial", "route_prefix": "/trivial"}
            config["applications"].append({**beside, "import_path": "tests.reliability.trivial:build"})
        file = self.folder / "serve.yaml"
        file.write_text(yaml.safe_dump(config))
        self.run("run", "--non-blocking", str(file))

    def run(self, *command: str) -> str:
        """`serve …` on this cluster."""
        done = subprocess.run(
            [str(BIN / "serve"), *command], env=self.environment, cwd=ROOT, capture_output=True, timeout=90
        )
        output = (done.stdout + done.stderr).decode()
        assert done.returncode == 0, output
        return output

    def replicas(self) -> list[psutil.Process]:
        """Each a process, whichever node it is on."""
        return [p for node in self.nodes for p in replicas_of(node)]

    def wait_for_replicas(self, count: int, within_s: float = 90) -> None:
        """So many are in HAProxy's configuration and take requests."""
        wait_for(lambda: len(self.up()) == count, within_s)

    def haproxy(self) -> psutil.Process:
        """The one that takes connections: others end with those that they have."""
        running = [p for p in self.nodes[0].children(recursive=True) if p.name() == "haproxy"]
        return max(running, key=psutil.Process.create_time)

    def up(self) -> list[str]:
        """The replicas that HAProxy sends requests to."""
        with suppress(httpx.HTTPError):
            port = self.environment["RAY_SERVE_HAPROXY_STATS_PORT"]
            lines = httpx.get(f"http://127.0.0.1:{port}/stats;csv").text.splitlines()
            return [line.split(",")[1] for line in lines if re.search(r",SERVE_REPLICA_.*,UP,", line)]
        return []

    def figures(self) -> str:
        """What Ray's agent on the head shows to Prometheus."""
        return httpx.get(f"http://{NODE}:{self._agent}/metrics").text

    def log(self, component: str) -> str:
        """Of Serve's controller, say."""
        files = (self.folder / "r" / "session_latest" / "logs" / "serve").glob(f"{component}_*.log")
        return "".join(file.read_text() for file in files)

    def end(self, node: psutil.Process) -> None:
        """With all that it started, as when a machine is lost."""
        processes = [*node.children(recursive=True), node]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, 30)
        self.nodes.remove(node)


def replicas_of(node: psutil.Process) -> list[psutil.Process]:
    found = []
    for process in node.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "ServeReplica" in " ".join(process.cmdline()):
                found.append(process)
    return found


def variables() -> dict[str, str]:
    """Of deploy/ray/serve.env."""
    lines = (ROOT / "deploy" / "ray" / "serve.env").read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    return {name: value.replace("$PWD", str(ROOT)) for name, value in pairs}


@contextmanager
def cluster(**environment: str) -> Iterator[Cluster]:
    # Not tmp_path: the paths of sockets may have about 100 characters.
    with TemporaryDirectory(prefix="ray-") as folder:
        one = Cluster(Path(folder), **environment)
        try:
            yield one
        finally:
            for node in reversed([*one.nodes]):
                one.end(node)
