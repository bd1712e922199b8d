"""A replica of Ray Serve: its settings, health, limits, figures and log, and clients that go."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
import yaml

from service.settings import Settings
from tests.conftest import COMMITTED, ROOT, metric_sum, wait_for
from tests.reliability.cluster import BIN, Cluster, cluster

pytestmark = pytest.mark.skipif(not find_spec("ray"), reason="ray is not installed: make test-ray")

CLIENTS = 40


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One replica, which takes the bodies of four clients at once."""
    store = tmp_path_factory.mktemp("artifacts")
    shutil.copytree(COMMITTED / "pass", store / "pass")
    with cluster() as one:
        arguments = {"artifacts": str(store), "max_pending_bytes": "200000", "max_body_bytes": "100000"}
        one.deploy(arguments, num_replicas=1)
        one.wait_for_replicas(1)
        yield one


def test_a_request_has_one_id_everywhere(ray: Cluster) -> None:
    given = httpx.post(f"{ray.url}/predict/pass", json={"hours": -4}, headers={"X-Request-ID": "mine"})
    assert given.status_code == 422
    assert given.headers.get_list("x-request-id") == [given.json()["request_id"]] == ["mine"]
    made = httpx.post(f"{ray.url}/predict/pass", json={"hours": -4}, headers={"X-Request-ID": "not well"})
    assert made.headers.get_list("x-request-id") == [made.json()["request_id"]] != ["not well"]


def test_what_is_too_much_is_refused_by_the_service(ray: Cluster) -> None:
    # Its answer is to fit, too: the body is large by spaces.
    body = json.dumps({"hours": [1.0] * 100}) + 50_000 * " "

    def ask(_: int) -> httpx.Response:
        return httpx.post(f"{ray.url}/predict/pass", content=slowly(body), headers=JSON, timeout=60)

    with ThreadPoolExecutor(CLIENTS) as pool:
        responses = list(pool.map(ask, range(CLIENTS)))
    assert {429} <= {response.status_code for response in responses} <= {200, 429}
    refused = [response for response in responses if response.status_code == 429]
    assert all("retry-after" in response.headers for response in refused)


def test_a_client_that_goes_while_it_sends_is_no_error(ray: Cluster) -> None:
    head = (
        "POST /predict/pass HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000"
    )
    with socket.create_connection(("127.0.0.1", ray.port)) as caller:
        caller.sendall(f'{head}\r\n\r\n{{"hours":'.encode())
        time.sleep(0.5)  # else it is HAProxy alone that knows of it
    wait_for(lambda: metric_sum(metrics(ray), ABANDONED) == 1)
    assert not metric_sum(
        metrics(ray), 'abacus_requests_total{method="POST",route="/predict/pass",status="5'
    )


def test_figures_of_each_replica_are_where_rays_are(ray: Cluster) -> None:
    wait_for(lambda: "ray_abacus_requests_total" in ray.figures())
    text = ray.figures()
    (live,) = [line for line in text.splitlines() if line.startswith("ray_abacus_model_info{")]
    assert 'model="pass"' in live
    assert 'replica="' in live
    assert "ray_abacus_request_duration_seconds_bucket" in text


def test_the_log_is_written_at_once(ray: Cluster) -> None:
    (replica,) = ray.replicas()
    (file,) = (ray.folder / "r" / "session_latest" / "logs").glob(f"worker-*-{replica.pid}.err")
    text = file.read_text()
    assert 'event="model pass version 1 ready on cpu"' in text
    assert "\x1b" not in text


def test_what_is_serves_own_are_settings() -> None:
    program = "from deploy.ray.application import SERVES_OWN; print(*SERVES_OWN)"
    names = subprocess.run(
        [BIN / "python", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert names.stdout
    assert set(names.stdout.split()) <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("artifcts=x", "artifcts"),
        ("reload_s=never", "--reload-s never: input should be a valid number"),
        ("port=1", "Not under Ray Serve: port (Serve has http_options.port)"),
    ],
)
def test_arguments_are_settings(argument: str, said: str) -> None:
    done = subprocess.run(
        [BIN / "python", "-c", BUILD, argument], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_replica_that_is_not_ready_takes_no_requests(ray: Cluster, tmp_path: Path) -> None:
    """Rolled out with a store that cannot be served, the application that was there goes on."""
    shutil.copytree(COMMITTED / "pass", tmp_path / "pass")
    model = next((tmp_path / "pass").glob("*/model.pt"))
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    before = ray.up()
    ray.deploy({"artifacts": str(tmp_path)}, num_replicas=1)
    wait_for(lambda: "NotReady: Not ready to serve: pass." in ray.log("controller"), 90)
    assert ray.up() == before
    assert httpx.post(f"{ray.url}/predict/pass", json={"hours": 4}).status_code == 200


JSON = {"Content-Type": "application/json"}
ABANDONED = 'abacus_requests_total{method="POST",route="/predict/pass",status="499"}'
BUILD = """
import sys, click
from deploy.ray.application import build

click.command()(lambda: build(dict(a.split("=") for a in sys.argv[1:]))).main([])
"""


def slowly(body: str) -> Iterator[bytes]:
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000].encode()
        time.sleep(0.02)


def metrics(ray: Cluster) -> str:
    return httpx.get(f"{ray.url}/metrics").text


@pytest.mark.filterwarnings("ignore")  # Ray's own, as it is imported
def test_serve_reads_what_the_ray_service_of_kubernetes_tells_it() -> None:
    """By the schema of Serve itself; KubeRay hands it over as it is."""
    from ray.serve.schema import ServeDeploySchema

    overlay = ROOT / "deploy" / "kubernetes" / "overlays" / "ray"
    service = next(yaml.safe_load_all((overlay / "ray-service.yaml").read_text()))
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    told = ServeDeploySchema.model_validate(config)
    assert [application.name for application in told.applications] == ["abacus"]
    with pytest.raises(ValueError, match="proxy_location"):  # the control
        ServeDeploySchema.model_validate(config | {"proxy_location": "Everywhere"})
