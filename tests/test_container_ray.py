"""The image `ray` as deploy/kubernetes/overlays/ray runs it, without Kubernetes: `make test-container`.

What such a cluster does under load, and when a node is lost, is in tests/reliability/test_ray.py.
"""

import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import COMMITTED, DIGIT_VERSION, ROOT, wait_for
from tests.test_container import docker

pytestmark = pytest.mark.container

OVERLAY = ROOT / "deploy" / "kubernetes" / "overlays" / "ray" / "ray-service.yaml"
SERVICE = next(yaml.safe_load_all(OVERLAY.read_text(encoding="utf-8")))["spec"]
NAME = "abacus-test-ray"
HEAD, *WORKERS = NODES = [f"{NAME}-head", f"{NAME}-1", f"{NAME}-2"]
ASKED, DASHBOARD = "127.0.0.1:18001", "127.0.0.1:18002"
APPLICATIONS = f"http://{DASHBOARD}/api/serve/applications/"
READY_S = 300
# As KubeRay asks a pod whether it is alive, and whether it is ready.
PROBES = ("http://localhost:52365/api/local_raylet_healthz", "http://localhost:8000/-/healthz")


def start(node: str, group: dict[str, Any], *options: str) -> None:
    """A node with the parameters, variables, memory and rights of the group's pods."""
    pod = group["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    rights = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    rights += ["--user={runAsUser}:{runAsGroup}".format(**pod["securityContext"]), "--tmpfs=/tmp:exec"]
    memory = container["resources"]["limits"]["memory"].replace("Gi", "g")
    has = [f"--env={entry['name']}={entry['value']}" for entry in container["env"]]
    has += [f"--memory={memory}", f"--volume={NAME}:/artifacts:ro", f"--network={NAME}", f"--name={node}"]
    if node == HEAD:
        has += [f"--publish={ASKED}:8000", f"--publish={DASHBOARD}:8265"]
    parameters = [f"--{name}={value}" for name, value in group["rayStartParams"].items()]
    docker("run", "--detach", *rights, *has, NAME, "start", "--block", *options, *parameters)
    wait_for(lambda: "now block forever" in logs(node))


def logs(node: str) -> str:
    return subprocess.run(
        ["docker", "logs", node], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout


def remove() -> None:
    for command in (["rm", "--force", *NODES], ["network", "rm", NAME], ["volume", "rm", NAME]):
        subprocess.run(["docker", *command], capture_output=True, check=False)


def state() -> Any:
    applications = httpx.get(APPLICATIONS, timeout=60).json()["applications"]
    return applications["abacus"]["status"]


@pytest.fixture(scope="module")
def outside() -> Iterator[httpx.Client]:
    """Of a head and two workers that serve what the overlay tells them to, told as KubeRay tells it."""
    docker("build", "--target", "ray", "--tag", NAME, str(ROOT))
    remove()
    docker("network", "create", NAME)
    groups = SERVICE["rayClusterConfig"]
    (replicas,) = groups["workerGroupSpecs"]
    try:
        start(HEAD, groups["headGroupSpec"], "--head")
        for worker in WORKERS:
            start(worker, replicas, f"--address={HEAD}:6379")
        told = yaml.safe_load(SERVICE["serveConfigV2"])
        httpx.put(APPLICATIONS, json=told, timeout=60).raise_for_status()
        wait_for(lambda: state() not in ("NOT_STARTED", "DEPLOYING"), READY_S)
        assert state() == "RUNNING", logs(HEAD)
        with httpx.Client(base_url=f"http://{ASKED}", timeout=30) as client:
            yield client
    finally:
        remove()


def test_it_answers_outside_the_cluster(outside: httpx.Client) -> None:
    assert outside.post("/predict/pass", json={"hours": 4}).json()["passed"] is True
    for digit in range(10):
        picture = (COMMITTED / "digit" / DIGIT_VERSION / "samples" / f"{digit}.png").read_bytes()
        assert outside.post("/predict/digit", files={"file": picture}).json()["digit"] == digit


@pytest.mark.parametrize("node", NODES)
def test_a_node_passes_its_probes_as_nobody_special(outside: httpx.Client, node: str) -> None:  # noqa: ARG001
    for probe in PROBES:
        assert docker("exec", node, "wget", "--tries", "1", "-T", "5", "-q", "-O-", probe) == "success"
    assert docker("exec", node, "id", "-u") == "10001"
    for path in ("/artifacts/x", "/app/x"):
        with pytest.raises(subprocess.CalledProcessError):
            docker("exec", node, "touch", path)
