"""Versions beside the live one: kept for those who ask for them, and a canary that gets its share."""

import re
import shutil
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import grpc
import httpx
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from service.artifacts.manifest import MANIFEST_FILE
from service.artifacts.pointers import CANARY, STABLE
from service.artifacts.store import ArtifactStore
from service.commands import cli
from service.rpc.messages import message, protocol
from tests.conftest import Digits, Served, metric_sum, png, publish_copy, publish_digit, served, wait_for
from training.digits.digit_nets import DigitNet, softmax_mlp

WITHIN_S = 60
SHARE = 0.25
IDS = [f"request-{number}" for number in range(120)]
FEW = IDS[:20]


class FailsOnOne(nn.Module):
    """Answers all but one picture, as if only clients had it."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self.net = DigitNet(softmax_mlp())
        self.total = total

    def forward(self, images: Tensor) -> Tensor:
        bad = images.flatten(1).long().sum(1, keepdim=True) == self.total
        answers: Tensor = self.net(images)
        return torch.where(bad, torch.full_like(answers, float("nan")), answers)


@pytest.fixture(scope="module")
def store(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    """Version 1 of `digit` is live; 2 cannot answer picture 20; 3 is like 1."""
    store = ArtifactStore(tmp_path_factory.mktemp("artifacts"))
    publish_digit(store.root, digits)
    publish_digit(store.root, digits, FailsOnOne(int(digits.images_u8[20].sum())))
    publish_copy(store)
    store.activate("digit", 1)
    return store


@pytest.fixture(scope="module")
def service(store: ArtifactStore) -> Iterator[Served]:
    options = ("--artifacts", str(store.root), "--reload-s", "0.1", "--canary-share", str(SHARE))
    with served(*options, "--keep", "2", "--grpc-port", "0") as service:
        yield service


@pytest.fixture
def no_labels(service: Served, store: ArtifactStore) -> Iterator[None]:
    yield
    for label in (CANARY, STABLE):
        (store.root / "digit" / label).unlink(missing_ok=True)
    store.activate("digit", 1)
    wait_for(lambda: (info(service)["version"], info(service)["labels"]) == (1, {}), WITHIN_S)


def info(service: Served) -> dict[str, Any]:
    answer: dict[str, Any] = service.client.get("/models/digit").json()
    return answer


def ask(service: Served, picture: bytes, request_id: str, path: str = "/predict/digit") -> httpx.Response:
    headers = {"Content-Type": "image/png", "X-Request-ID": request_id}
    return service.client.post(path, content=picture, headers=headers)


def ask_v2(service: Served, image: Any, request_id: str, version: int | None = None) -> int:
    """The version that answers, or else the status."""
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 28, 28], "data": image.ravel().tolist()}
    path = f"/v2/models/digit{f'/versions/{version}' if version else ''}/infer"
    headers = {"X-Request-ID": request_id}
    answer = service.client.post(path, json={"inputs": [tensor]}, headers=headers)
    assert answer.headers["X-Request-ID"] == request_id
    return int(answer.json()["model_version"]) if answer.status_code == 200 else answer.status_code


def ask_grpc(service: Served, image: Any, request_id: str, version: int | None = None) -> int:
    """Likewise, in HTTP's statuses."""
    found = re.search(r"gRPC running on ([\w.:]+)", service.log.read_text())
    assert found
    request = message("ModelInferRequest", model_name="digit", model_version=str(version or ""))
    request.inputs.add(name="image", datatype="UINT8", shape=[1, 28, 28])
    request.raw_input_contents.append(image.tobytes())
    with grpc.insecure_channel(found[1]) as channel:
        stub = protocol()[1].GRPCInferenceServiceStub(channel)
        try:
            answer = stub.ModelInfer(request, metadata=(("x-request-id", request_id),), timeout=60)
        except grpc.RpcError as error:
            return {grpc.StatusCode.NOT_FOUND: 404, grpc.StatusCode.INTERNAL: 500}[error.code()]
    return int(answer.model_version)


def falls_to_the_canary(request_id: str) -> bool:
    """As docs/operations.md says it."""
    return int.from_bytes(sha256(request_id.encode()).digest()[:8], "big") / 2**64 < SHARE


OTHER_WAYS = (ask_v2, ask_grpc)


def canary_is(service: Served, version: int, picture: bytes) -> bool:
    chosen = next(filter(falls_to_the_canary, IDS))
    return bool(ask(service, picture, chosen).json()["version"] == version)


def test_a_version_that_is_kept_can_be_asked_for(
    service: Served, digits: Digits, store: ArtifactStore
) -> None:
    picture = png(digits.images_u8[0])
    assert info(service)["loaded"] == [1, 3]
    for version in (1, 3):
        answer = ask(service, picture, "kept", f"/predict/digit/versions/{version}")
        assert (answer.status_code, answer.json()["version"]) == (200, version)
    for unknown in ("2", "99", "03", "x"):
        answer = ask(service, picture, "kept", f"/predict/digit/versions/{unknown}")
        assert answer.status_code == 404
        assert answer.json()["type"].endswith(":unknown-version")
    for way in OTHER_WAYS:
        assert [way(service, digits.images_u8[0], "kept", version) for version in (1, 3, 2)] == [1, 3, 404]
    store.label("digit", 2, STABLE)
    wait_for(lambda: info(service)["loaded"] == [1, 2, 3], WITHIN_S)
    assert ask(service, picture, "kept", "/predict/digit/versions/2").json()["version"] == 2
    (store.root / "digit" / STABLE).unlink()
    wait_for(lambda: info(service)["loaded"] == [1, 3], WITHIN_S)
    assert 'version="2"' not in service.client.get("/metrics").text


@pytest.mark.usefixtures("no_labels")
def test_a_canary_answers_those_whose_id_falls_into_its_share(
    service: Served, digits: Digits, store: ArtifactStore
) -> None:
    """Also where the request is not one of those that are answered directly."""
    picture = png(digits.images_u8[0])
    expected = {request_id for request_id in IDS if falls_to_the_canary(request_id)}
    assert 0 < len(expected) < len(IDS)
    store.label("digit", 3, CANARY)
    wait_for(lambda: canary_is(service, 3, picture), WITHIN_S)
    for more in ("", "?explain=false"):
        answers = {i: ask(service, picture, i, f"/predict/digit{more}") for i in IDS}
        assert {i for i, answer in answers.items() if answer.json()["version"] == 3} == expected
        assert all(answer.headers["X-Request-ID"] == i for i, answer in answers.items())
    assert ask(service, picture, min(expected), "/predict/digit/versions/1").json()["version"] == 1
    for way in OTHER_WAYS:
        assert {i for i in FEW if way(service, digits.images_u8[0], i) == 3} == expected.intersection(FEW)
        assert way(service, digits.images_u8[0], min(expected), 1) == 1
    assert info(service)["labels"] == {"canary": 3}
    wait_for(
        lambda: (
            metric_sum(
                service.client.get("/metrics").text, 'abacus_predictions_total{model="digit",version="3"}'
            )
            > 2 * len(expected)
        ),
        WITHIN_S,
    )


@pytest.mark.usefixtures("no_labels")
def test_a_canary_that_fails_is_stood_in_for_and_the_log_says_so_once(
    service: Served, digits: Digits, store: ArtifactStore
) -> None:
    good, bad = png(digits.images_u8[0]), png(digits.images_u8[20])
    store.label("digit", 2, CANARY)
    wait_for(lambda: canary_is(service, 2, good), WITHIN_S)
    answers = {i: ask(service, bad, i) for i in IDS}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert {answer.json()["version"] for answer in answers.values()} == {1}
    assert service.client.get("/health/ready").status_code == 200
    assert service.log.read_text().count("the canary digit/2 fails") == 1
    counted = 'abacus_canary_fallbacks_total{model="digit",version="2"}'
    failures = sum(map(falls_to_the_canary, IDS))
    assert metric_sum(service.client.get("/metrics").text, counted) == failures
    for way in OTHER_WAYS:
        assert {way(service, digits.images_u8[20], i) for i in FEW} == {1}
        failures += sum(map(falls_to_the_canary, FEW))
        assert metric_sum(service.client.get("/metrics").text, counted) == failures
        assert way(service, digits.images_u8[20], "asked-for", 2) == 500
    assert service.log.read_text().count("the canary digit/2 fails") == 1
    assert ask(service, bad, "asked for", "/predict/digit/versions/2").status_code == 500


@pytest.mark.usefixtures("no_labels")
def test_a_canary_that_is_refused_gets_nothing_and_harms_nothing(
    service: Served, digits: Digits, store: ArtifactStore
) -> None:
    picture = png(digits.images_u8[0])
    shutil.copytree(store.folder("digit", 1), store.folder("digit", 4))
    try:
        (store.folder("digit", 4) / MANIFEST_FILE).write_text("{}")
        store.label("digit", 4, CANARY)
        wait_for(lambda: "is not a manifest" in info(service)["without"].get("4", ""), WITHIN_S)
        assert {ask(service, picture, i).json()["version"] for i in IDS} == {1}
        assert service.client.get("/health/ready").status_code == 200
        (store.root / "digit" / CANARY).write_text("../../etc/passwd\n")
        wrong = "digit/canary must hold a version number and nothing else"
        wait_for(lambda: info(service)["without"].get("canary") == wrong, WITHIN_S)
        assert info(service)["labels"] == {}
        unlabel = ["unlabel", "digit", "canary", "--artifacts", str(store.root)]
        assert CliRunner().invoke(cli, unlabel).output.strip() == "no version of digit is canary any more"
        wait_for(lambda: "canary" not in info(service)["without"], WITHIN_S)
        assert service.log.read_text().count(f"model digit does without canary: {wrong}") == 1
        assert "no version of 'digit' is canary" in CliRunner().invoke(cli, unlabel).output
        unlabel[1] = "../digit"
        assert "is no name of a model" in CliRunner().invoke(cli, unlabel).output
    finally:
        shutil.rmtree(store.folder("digit", 4))


@pytest.mark.usefixtures("no_labels", "tried_here")
def test_the_canary_is_promoted_and_is_live_without_being_loaded_again(
    service: Served, store: ArtifactStore
) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli, [*arguments, "--artifacts", str(store.root)])
        return f"{result.exit_code} {result.output.strip()}"

    assert run("promote", "digit") == "1 Error: no version of 'digit' is canary"
    assert run("label", "digit", "9", "canary").startswith("1 Error: digit/9 cannot be read")
    assert run("label", "digit", "3", "canary") == "0 digit/3 is canary"
    wait_for(lambda: info(service)["labels"] == {"canary": 3}, WITHIN_S)
    assert "digit/3 [canary]" in run("list")
    loads = service.log.read_text().count("digit version 3 loaded")
    promoted = "0 digit/3 is live instead of digit/1, which is stable; there is no canary any more"
    assert run("promote", "digit") == promoted
    wait_for(lambda: (info(service)["version"], info(service)["labels"]) == (3, {"stable": 1}), WITHIN_S)
    assert service.log.read_text().count("digit version 3 loaded") == loads
    assert 1 in info(service)["loaded"]
    assert run("unlabel", "digit", "stable") == "0 no version of digit is stable any more"
