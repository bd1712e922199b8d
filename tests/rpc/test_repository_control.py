"""Models are unloaded and loaded by requests, over HTTP and gRPC, where the operator allows it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.artifacts.store import ArtifactStore
from service.rpc.messages import message, protocol
from tests.conftest import COMMITTED, Served, served, wait_for

CODES = grpc.StatusCode
REPOSITORY, INFER = "/v2/repository/models/pass", "/v2/models/pass/infer"
HOURS = {"inputs": [{"name": "hours", "datatype": "FP32", "shape": [1, 1], "data": [4]}]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    store = ArtifactStore(tmp_path_factory.mktemp("artifacts"))
    subprocess.run(["cp", "-r", f"{COMMITTED}/pass", str(store.root)], check=True)
    return store


@pytest.fixture(scope="module")
def service(store: ArtifactStore) -> Iterator[Served]:
    options = ("--artifacts", str(store.root), "--reload-s", "0.1", "--grpc-port", "0")
    with served(*options, "--allow-repository-control") as started:
        yield started


@pytest.fixture
def stub(service: Served) -> Iterator[Any]:
    found = re.search(r"gRPC running on ([\w.:]+)", service.log.read_text())
    assert found
    with grpc.insecure_channel(found[1]) as channel:
        yield protocol()[1].GRPCInferenceServiceStub(channel)


def index(service: Served) -> list[tuple[str, str, str]]:
    entries = service.client.post("/v2/repository/index").json()
    return [(entry["name"], entry["state"], entry["reason"]) for entry in entries]


def test_what_is_unloaded_is_not_served_until_it_is_loaded(service: Served) -> None:
    post, get = service.client.post, service.client.get
    assert (
        post(f"{REPOSITORY}/unload", json={"parameters": {"unload_dependents": False}}).status_code == 200
    )
    assert index(service) == [("pass", "UNAVAILABLE", "unloaded by a request")]
    for answer in (post(INFER, json=HOURS), post("/predict/pass", json={"hours": 4})):
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert post("/v2/models/pass/versions/1/infer", json=HOURS).status_code == 503
    assert get("/v2/models/pass/ready").status_code == 503
    assert get("/v2/health/ready").status_code == get("/health/ready").status_code == 200
    assert get("/models/pass").status_code == 200
    assert post(f"{REPOSITORY}/unload").status_code == 200  # once more
    assert post(f"{REPOSITORY}/load", json={}).status_code == 200
    assert (
        post(INFER, json=HOURS).status_code == post("/predict/pass", json={"hours": 4}).status_code == 200
    )
    assert index(service) == [("pass", "READY", "")]
    assert post(f"{REPOSITORY}/load").status_code == 200  # it is


def test_over_grpc_likewise(service: Served, stub: Any) -> None:
    named = message("RepositoryModelUnloadRequest", model_name="pass")
    stub.RepositoryModelUnload(named)
    assert not stub.ModelReady(message("ModelReadyRequest", name="pass")).ready
    assert service.client.post(INFER, json=HOURS).status_code == 503
    load = message("RepositoryModelLoadRequest", model_name="pass")
    load.parameters["config"].string_param = "{}"
    with pytest.raises(grpc.RpcError) as caught:
        stub.RepositoryModelLoad(load)
    assert caught.value.code() == CODES.INVALID_ARGUMENT
    stub.RepositoryModelLoad(message("RepositoryModelLoadRequest", model_name="pass"))
    assert stub.ModelReady(message("ModelReadyRequest", name="pass")).ready
    with pytest.raises(grpc.RpcError) as caught:
        stub.RepositoryModelLoad(message("RepositoryModelLoadRequest", model_name="cat"))
    assert caught.value.code() == CODES.NOT_FOUND


def test_what_cannot_be_loaded_is_told_why(service: Served, store: ArtifactStore) -> None:
    post = service.client.post
    assert post(f"{REPOSITORY}/unload").status_code == 200
    model = store.folder("pass", 1) / "model.pt"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + b"!")
    answer = post(f"{REPOSITORY}/load")
    assert answer.status_code == 503
    assert "model.pt" in answer.json()["error"]
    ((name, state, reason),) = index(service)
    assert (name, state, "model.pt" in reason) == ("pass", "UNAVAILABLE", True)
    model.write_bytes(content)
    wait_for(lambda: post(INFER, json=HOURS).status_code == 200)  # it is followed again


def test_what_is_not_understood_is_the_client_s_fault(service: Served) -> None:
    post = service.client.post
    assert post("/v2/repository/models/cat/load").status_code == 404
    assert post("/v2/repository/models/cat/unload").status_code == 404
    assert post(f"{REPOSITORY}/load", json={"parameters": {"config": "{}"}}).status_code == 400
    assert post(f"{REPOSITORY}/unload", content=b"[").status_code == 400
    assert post(f"{REPOSITORY}/load", content=bytes(5_000)).status_code == 413
    assert post(INFER, json=HOURS).status_code == 200


def test_what_is_gone_from_the_store_while_it_is_unloaded_is_gone(
    service: Served, store: ArtifactStore
) -> None:
    post = service.client.post
    assert post(f"{REPOSITORY}/unload").status_code == 200
    current = store.root / "pass" / "current"
    content = current.read_bytes()
    current.unlink()
    wait_for(lambda: post(f"{REPOSITORY}/load").status_code == 404)
    current.write_bytes(content)
    wait_for(lambda: post(INFER, json=HOURS).status_code == 200)


def test_several_workers_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service", "--allow-repository-control", "--workers", "2"]
    done = subprocess.run(
        [*command, "--artifacts", str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "--allow-repository-control is for --workers 1" in " ".join(done.stderr.split())
