"""Models are unloaded and loaded by requests, over HTTP and gRPC, where the operator allows it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from service.artifacts.store import ArtifactStore
from service.rpc.messages import message, protocol
from tests.conftest import COMMITTED, Served, rpc_address_of, served, wait_for

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
    assert "abacus_models_missing 0.0" in get("/metrics").text
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


@pytest.fixture(scope="module")
def workers(store: ArtifactStore) -> Iterator[Served]:
    options = ("--artifacts", str(store.root), "--reload-s", "0.1", "--grpc-port", "0", "--workers", "2")
    with served(*options, "--allow-repository-control", "--worker-silence-s", "60") as started:
        wait_for(lambda: len(pids(started)) == 2)
        yield started


def pids(service: Served) -> list[int]:
    """Of the workers that were ready, and have not ended."""
    log = service.log.read_text()
    ended = re.findall(r"worker (\d+) (?:was ended|ended)", log)
    return [int(pid) for pid in re.findall(r"worker (\d+) is ready", log) if pid not in ended]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """It answers nothing: the other worker takes every connection."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def asked(service: Served, path: str = INFER, document: Any = HOURS) -> httpx.Response:
    """On a connection of its own."""
    return httpx.post(f"{service.client.base_url}{path}", json=document, timeout=60)


def done_everywhere(service: Served, what: str) -> None:
    """On a busy machine a worker may take longer than another waits for it."""

    def done() -> bool:
        answer = asked(service, f"{REPOSITORY}/{what}", {})
        assert answer.status_code == 200 or "has not answered within 5 s" in answer.text
        return answer.status_code == 200

    wait_for(done)


def by_each(service: Served) -> dict[int, int]:
    """The status that each worker answers with."""
    first, second = pids(service)
    statuses = {}
    for asking, other in ((first, second), (second, first)):
        with stopped(other):
            statuses[asking] = asked(service).status_code
    return statuses


def test_every_worker_has_done_it_when_the_call_is_answered(workers: Served) -> None:
    done_everywhere(workers, "unload")
    assert list(by_each(workers).values()) == [503, 503]
    done_everywhere(workers, "load")
    assert list(by_each(workers).values()) == [200, 200]


def test_over_grpc_every_worker_has_too(workers: Served) -> None:
    with grpc.insecure_channel(rpc_address_of(workers)) as channel:
        stub = protocol()[1].GRPCInferenceServiceStub(channel)

        def unloaded() -> bool:
            try:
                stub.RepositoryModelUnload(message("RepositoryModelUnloadRequest", model_name="pass"))
            except grpc.RpcError as error:
                if "has not answered within" not in error.details():
                    raise
                return False
            return True

        wait_for(unloaded)  # a busy machine may be late
        assert list(by_each(workers).values()) == [503, 503]
        stub.RepositoryModelLoad(message("RepositoryModelLoadRequest", model_name="pass"))
        assert list(by_each(workers).values()) == [200, 200]


def test_a_worker_that_is_started_later_knows_of_it(workers: Served) -> None:
    done_everywhere(workers, "unload")
    dies, stays = pids(workers)
    os.kill(dies, signal.SIGKILL)
    wait_for(lambda: len(now := pids(workers)) == 2 and dies not in now)
    assert by_each(workers) == dict.fromkeys(pids(workers), 503)
    done_everywhere(workers, "load")
    assert by_each(workers) == dict.fromkeys(pids(workers), 200)
    assert stays in pids(workers)


def test_a_worker_that_does_not_answer_is_told_of_and_follows(workers: Served) -> None:
    asleep, _ = pids(workers)
    with stopped(asleep):
        answer = asked(workers, f"{REPOSITORY}/unload", {})
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert "Another worker has not answered within 5 s" in answer.json()["error"]
    wait_for(lambda: list(by_each(workers).values()) == [503, 503])
    done_everywhere(workers, "load")


def test_what_one_worker_cannot_load_is_told_by_all(workers: Served, store: ArtifactStore) -> None:
    done_everywhere(workers, "unload")
    model = store.folder("pass", 1) / "model.pt"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + b"!")
    answer = asked(workers, f"{REPOSITORY}/load", {})
    model.write_bytes(content)
    assert (answer.status_code, "model.pt" in answer.json()["error"]) == (503, True)
    wait_for(lambda: list(by_each(workers).values()) == [200, 200])


def test_what_is_gone_while_it_is_unloaded_is_gone_in_every_worker(
    workers: Served, store: ArtifactStore
) -> None:
    done_everywhere(workers, "unload")
    current = store.root / "pass" / "current"
    content = current.read_bytes()
    current.unlink()
    wait_for(lambda: list(by_each(workers).values()) == [404, 404])
    current.write_bytes(content)
    wait_for(lambda: list(by_each(workers).values()) == [200, 200])


def test_a_folder_that_cannot_hold_sockets_is_said_in_a_line(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    command = [sys.executable, "-m", "service", "--allow-repository-control", "--workers", "2"]
    done = subprocess.run(
        [*command, "--port", "0", "--artifacts", str(tmp_path)],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot hold the sockets of workers" in done.stderr
