"""The protocol over gRPC: a real server of two workers, asked by grpc's own client."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service.http.keys import add_key
from service.rpc.messages import SERVICE, message, protocol
from tests.conftest import (
    COMMITTED,
    DIGIT_VERSION,
    Digits,
    Served,
    free_ports,
    metric_sum,
    png,
    rpc_address_of,
    served,
    wait_for,
)

CODES = grpc.StatusCode
MAX_BYTES = 2_000_000


class Rpc(NamedTuple):
    """A service, the way to it, and a key."""

    service: Served
    channel: Any
    address: str
    key: tuple[tuple[str, str], ...]

    def call(self, method: str, request: Any, key: bool = True, **options: Any) -> Any:
        _, services = protocol()
        stub = services.GRPCInferenceServiceStub(self.channel)
        return getattr(stub, method)(request, metadata=self.key if key else (), timeout=60, **options)

    def infer(self, model: str, *inputs: Any, **more: Any) -> Any:
        return self.call("ModelInfer", inference(model, *inputs, **more))


@pytest.fixture(scope="module")
def rpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rpc]:
    """Ends as it should: a SIGTERM is an exit code of 0."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    key = (("authorization", f"Bearer {add_key(keys, 'laboratory')}"),)
    options = ("--grpc-port", "0", "--workers", "2", "--models", "digit,pass", "--api-keys-file", str(keys))
    limits = ("--max-body-bytes", str(MAX_BYTES), "--max-queued-batches", "1", "--open-paths", "/metrics")
    with served("--artifacts", str(COMMITTED), *options, *limits) as service:
        address = rpc_address_of(service)
        with grpc.insecure_channel(address, (("grpc.max_send_message_length", -1),)) as channel:
            yield Rpc(service, channel, address, key)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(120) == 0


def inference(model: str, *inputs: Any, **more: Any) -> Any:
    """Each input: its name, its datatype, its shape, and bytes or the name of contents and a list."""
    request = message("ModelInferRequest", model_name=model, **more)
    for name, datatype, shape, data, *field in inputs:
        tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
        if field:
            getattr(tensor.contents, field[0]).extend(data)
        else:
            request.raw_input_contents.append(data)
    return request


def images(digits: Digits, count: int) -> tuple[str, str, list[int], bytes]:
    return "image", "UINT8", [count, 28, 28], digits.images_u8[:count].tobytes()


def output(response: Any, at: int = 0) -> Any:
    tensor = response.outputs[at]
    dtype = {"FP32": "<f4", "BOOL": "?"}[tensor.datatype]
    return np.frombuffer(response.raw_output_contents[at], dtype).reshape(list(tensor.shape))


def near(values: Any, expected: Any) -> bool:
    """Each worker computes in the way that it found to be the quickest."""
    return np.allclose(values, expected, atol=1e-5)


def refused(call: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_it_says_what_v2_says(rpc: Rpc) -> None:
    assert rpc.call("ServerLive", message("ServerLiveRequest"), key=False).live
    assert rpc.call("ServerReady", message("ServerReadyRequest"), key=False).ready
    assert rpc.call("ServerMetadata", message("ServerMetadataRequest")).name == "abacus"
    for name, version, is_ready in (
        ("digit", "", True),
        ("digit", DIGIT_VERSION, True),
        ("digit", "1", False),
        ("cat", "", False),
    ):
        request = message("ModelReadyRequest", name=name, version=version)
        assert rpc.call("ModelReady", request).ready is is_ready
    metadata = rpc.call("ModelMetadata", message("ModelMetadataRequest", name="digit"))
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [
        ("image", "UINT8", [-1, 28, 28])
    ]
    assert [t.name for t in metadata.outputs] == ["probabilities", "out_of_distribution"]
    config = rpc.call("ModelConfig", message("ModelConfigRequest", name="pass")).config
    assert (config.max_batch_size, config.input[0].name, config.input[0].data_type) == (10_000, "hours", 11)
    index = rpc.call("RepositoryIndex", message("RepositoryIndexRequest")).models
    assert [(m.name, m.version, m.state) for m in index] == [
        ("digit", DIGIT_VERSION, "READY"),
        ("pass", "1", "READY"),
    ]
    load = refused(
        lambda: rpc.call("RepositoryModelLoad", message("RepositoryModelLoadRequest", model_name="digit"))
    )
    assert load.code() == CODES.UNIMPLEMENTED
    assert "models activate" in load.details()


def test_raw_and_typed_contents_are_the_same_rows(rpc: Rpc, digits: Digits) -> None:
    files = [("file", png(image)) for image in digits.images_u8[:5]]
    fields = {"X-API-Key": rpc.key[0][1].removeprefix("Bearer ")}
    predictions = rpc.service.client.post("/predict/digit", files=files, headers=fields).json()[
        "predictions"
    ]
    expected = [prediction["probabilities"] for prediction in predictions]
    raw = rpc.infer("digit", images(digits, 5), id="mine")
    assert (raw.model_name, raw.model_version, raw.id) == ("digit", DIGIT_VERSION, "mine")
    assert near(output(raw), expected)
    assert output(raw, 1).shape == (5, 1)
    pixels = digits.images_u8[:5].ravel().tolist()
    typed = rpc.infer(
        "digit", ("image", "UINT8", [5, 28, 28], pixels, "uint_contents"), model_version=DIGIT_VERSION
    )
    assert near(output(typed), expected)
    uploads = rpc.infer("digit", ("image", "BYTES", [5], [file for _, file in files], "bytes_contents"))
    assert near(output(uploads), expected)
    hours = rpc.infer("pass", ("hours", "FP64", [2, 1], [1.0, 4.0], "fp64_contents"))
    assert output(hours).shape == (2, 1)


def test_outputs_are_chosen_and_classified(rpc: Rpc, digits: Digits) -> None:
    request = inference("digit", images(digits, 1))
    wanted = request.outputs.add(name="probabilities")
    wanted.parameters["classification"].int64_param = 2
    response = rpc.call("ModelInfer", request)
    assert [tensor.name for tensor in response.outputs] == ["probabilities"]
    assert (response.outputs[0].datatype, list(response.outputs[0].shape)) == ("BYTES", [1, 2])
    likeliest = int(output(rpc.infer("digit", images(digits, 1)))[0].argmax())
    length = int.from_bytes(response.raw_output_contents[0][:4], "little")
    assert response.raw_output_contents[0][4 : 4 + length].decode().endswith(f":{likeliest}:{likeliest}")


WRONG: list[tuple[str, tuple[Any, ...], Any, str]] = [
    ("cat", ("hours", "FP32", [1], b"\0\0\0\0"), CODES.NOT_FOUND, "no model 'cat'"),
    ("pass", ("hours", "FP32", [1], b"\0\0\0"), CODES.INVALID_ARGUMENT, "bytes, not 3"),
    ("pass", ("hours", "FP32", [-1], b""), CODES.INVALID_ARGUMENT, "at least 0"),
    ("pass", ("hours", "FP32", [2**62, 4], b""), CODES.INVALID_ARGUMENT, "rows; a request has"),
    ("pass", ("hours", "float", [1], b"\0\0\0\0"), CODES.INVALID_ARGUMENT, "no datatype"),
    (
        "pass",
        ("hours", "FP32", [1], [1], "int64_contents"),
        CODES.INVALID_ARGUMENT,
        "FP32 is in fp32_contents",
    ),
    ("pass", ("hours", "FP16", [1], [1], "fp32_contents"), CODES.INVALID_ARGUMENT, "raw_input_contents"),
    (
        "pass",
        ("hours", "FP32", [1], [-1], "fp32_contents"),
        CODES.INVALID_ARGUMENT,
        "hours.0: input should be",
    ),
    (
        "digit",
        ("image", "UINT8", [1, 28, 28], [256] * 784, "uint_contents"),
        CODES.INVALID_ARGUMENT,
        "256, which",
    ),
    ("digit", ("image", "BYTES", [1], [b"GIF89a"], "bytes_contents"), CODES.INVALID_ARGUMENT, "GIF"),
    ("digit", ("image", "BYTES", [2], b"\xff\xff\xff\xff"), CODES.INVALID_ARGUMENT, "ends within"),
    ("digit", ("image", "UINT8", [1], b"0" * MAX_BYTES), CODES.RESOURCE_EXHAUSTED, "larger than max"),
]


@pytest.mark.parametrize(("model", "tensor", "code", "why"), WRONG, ids=[why for *_, why in WRONG])
def test_what_is_wrong_is_told(rpc: Rpc, model: str, tensor: tuple[Any, ...], code: Any, why: str) -> None:
    error = refused(lambda: rpc.infer(model, tensor))
    assert (error.code(), why in error.details()) == (code, True), error.details()


@pytest.mark.parametrize(("what", "name"), [("input", "hours"), ("output", "probability")])
def test_shared_memory_is_refused(rpc: Rpc, what: str, name: str) -> None:
    request = inference("pass", ("hours", "FP32", [1], b"\0\0\0\0"))
    request.outputs.add(name="probability")
    (tensor,) = getattr(request, f"{what}s")
    tensor.parameters["shared_memory_region"].string_param = "x"
    error = refused(lambda: rpc.call("ModelInfer", request))
    assert error.code() == CODES.INVALID_ARGUMENT
    assert f"The {what} '{name}' is to be in shared memory" in error.details()


@pytest.mark.parametrize(
    ("sent", "why"),
    [(b"\xff\xff", "are none of this method"), (b"\x2a\x00" * 100_000, "more than 4,096 fields")],
)
def test_bytes_that_are_no_such_message_are_told(rpc: Rpc, sent: bytes, why: str) -> None:
    path = f"/{SERVICE}/Model"
    for call in (
        lambda: rpc.channel.unary_unary(f"{path}Infer")(sent, metadata=rpc.key),
        lambda: next(rpc.channel.stream_stream(f"{path}StreamInfer")(iter([sent]), metadata=rpc.key)),
        lambda: rpc.channel.unary_unary("/grpc.health.v1.Health/Check")(sent),
    ):
        error = refused(call)
        assert (error.code(), why in error.details()) == (CODES.INVALID_ARGUMENT, True)
    assert "Traceback" not in rpc.service.log.read_text()


def test_a_key_is_asked_for(rpc: Rpc) -> None:
    error = refused(lambda: rpc.call("ServerMetadata", message("ServerMetadataRequest"), key=False))
    assert error.code() == CODES.UNAUTHENTICATED


def test_the_time_of_a_request(rpc: Rpc, digits: Digits) -> None:
    request = inference("digit", images(digits, 1))
    request.parameters["timeout"].int64_param = 1
    error = refused(lambda: rpc.call("ModelInfer", request))
    assert error.code() == CODES.DEADLINE_EXCEEDED
    assert "time for this request" in error.details()


def test_too_much_at_once_is_told_when_to_come_again(rpc: Rpc, digits: Digits) -> None:
    def ask(_: int) -> Any:
        try:
            return rpc.infer("digit", images(digits, 64))
        except grpc.RpcError as error:
            return error

    def some_are_refused() -> list[grpc.RpcError] | None:
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(ask, range(80)))
        errors = [answer for answer in answers if isinstance(answer, grpc.RpcError)]
        assert len(errors) < len(answers)
        return errors

    errors = wait_for(some_are_refused)  # on a busy machine they may come one after the other
    for error in errors:
        assert error.code() == CODES.RESOURCE_EXHAUSTED
        assert int(dict(error.trailing_metadata())["retry-after"]) >= 1


def test_a_call_that_is_given_up_is_not_answered(rpc: Rpc) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    file = png(noise, "JPEG", quality=30)
    request = inference("digit", ("image", "BYTES", [12], [file] * 12, "bytes_contents"))
    _, services = protocol()
    stub = services.GRPCInferenceServiceStub(rpc.channel)

    def figure(prefix: str) -> float:
        return metric_sum(rpc.service.client.get("/metrics").text, prefix)

    def waiting() -> float:
        return figure('abacus_queue_rows{model="digit"')

    route = 'route="/inference.GRPCInferenceService/ModelInfer/digit"'

    def is_given_up() -> bool:
        under_way = stub.ModelInfer.future(request, metadata=rpc.key)
        wait_for(lambda: waiting() > 0 or under_way.done())
        under_way.cancel()
        wait_for(lambda: waiting() == 0)
        return figure(f'abacus_requests_total{{method="POST",{route},status="499"}}') > 0

    wait_for(is_given_up)  # it may have been answered before


def test_a_stream_answers_each_in_order(rpc: Rpc, digits: Digits) -> None:
    requests = [inference("digit", images(digits, count), id=str(count)) for count in (1, 3, 2)]
    answers = list(rpc.call("ModelStreamInfer", iter(requests)))
    assert [answer.infer_response.id for answer in answers] == ["1", "3", "2"]
    assert [output(answer.infer_response).shape[0] for answer in answers] == [1, 3, 2]


def test_an_error_in_a_stream_is_the_answer_to_its_request(rpc: Rpc) -> None:
    """As Triton has it: those behind it are answered."""
    hours = ("hours", "FP32", [1], np.array([4], "<f4").tobytes())
    requests = [
        inference("pass", hours, id="before"),
        inference("cat", hours, id="unknown"),
        inference("pass", ("hours", "FP32", [2], b"few"), id="wrong"),
        inference("pass", hours, id="behind"),
    ]
    answers = list(rpc.call("ModelStreamInfer", iter(requests)))
    assert [answer.infer_response.id for answer in answers] == ["before", "unknown", "wrong", "behind"]
    assert [len(answer.infer_response.outputs) for answer in answers] == [1, 0, 0, 1]
    assert all(a.infer_response.parameters["triton_final_response"].bool_param for a in answers)
    errors = [answer.error_message for answer in answers]
    assert errors[0] == errors[3] == ""
    assert "There is no model 'cat'" in errors[1]
    assert "has 8 bytes, not 3" in errors[2]


def test_it_ends_the_stream_where_that_is_asked_for_or_there_is_no_key(rpc: Rpc) -> None:
    hours = ("hours", "FP32", [1], np.array([4], "<f4").tobytes())
    requests = [inference("pass", hours), inference("cat", hours), inference("pass", hours)]
    stub = protocol()[1].GRPCInferenceServiceStub(rpc.channel)
    asked = stub.ModelStreamInfer(iter(requests), metadata=(*rpc.key, ("triton_grpc_error", "true")))
    assert len(next(asked).infer_response.outputs) == 1
    assert refused(lambda: next(asked)).code() == CODES.NOT_FOUND
    silent = Event()
    for _ in range(8):  # twice as many as there may be: without a key none of them is kept open
        unknown = rpc.call("ModelStreamInfer", iter(silent.wait, True), key=False)
        assert refused(partial(next, unknown)).code() == CODES.UNAUTHENTICATED
    silent.set()


def test_health_and_reflection(rpc: Rpc) -> None:
    health = health_pb2_grpc.HealthStub(rpc.channel)
    for name in ("", SERVICE):
        status = health.Check(health_pb2.HealthCheckRequest(service=name)).status
        assert status == health_pb2.HealthCheckResponse.SERVING
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    (listed,) = reflection_pb2_grpc.ServerReflectionStub(rpc.channel).ServerReflectionInfo(iter([asked]))
    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_port_that_is_taken_is_told_in_a_line(rpc: Rpc, tmp_path: Path, workers: str, host: str) -> None:
    """By another, or by the other protocol; before anything is loaded, of which the log would tell."""
    taken, (free,) = rpc.address.rpartition(":")[2], free_ports(1)
    for port, grpc_port in (("0", taken), (taken, "0"), (str(free), str(free))):
        ports = ("--host", host, "--port", port, "--grpc-port", grpc_port)
        command = [
            sys.executable,
            "-m",
            "service",
            *ports,
            "--workers",
            workers,
            "--artifacts",
            str(tmp_path),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: cannot listen on ")
        assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f":{free}: HTTP and gRPC need a port each\n")
