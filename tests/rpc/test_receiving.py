"""Messages over gRPC come when there is room for them: real clients fill it, and others want some."""

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

from service.rpc.messages import SERVICE, message, protocol
from tests.conftest import COMMITTED, Served, served, wait_for

CODES = grpc.StatusCode
MAX_BYTES = 2_000_000  # of a message, and a quarter of all: two calls send theirs at a time, and one stream
WAITING = 60


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    limits = ("--max-body-bytes", str(2 * MAX_BYTES), "--max-pending-bytes", str(4 * MAX_BYTES))
    models = ("--artifacts", str(COMMITTED), "--models", "pass")
    with served(*models, "--grpc-port", "0", *limits) as started:
        yield started


@pytest.fixture
def channel(service: Served) -> Iterator[Any]:
    found = re.search(r"gRPC running on ([\w.:]+)", service.log.read_text())
    assert found
    with grpc.insecure_channel(found[1], (("grpc.max_send_message_length", -1),)) as channel:
        yield channel


def hours(data: bytes, shape: list[int]) -> Any:
    request = message("ModelInferRequest", model_name="pass", raw_input_contents=[data])
    request.inputs.add(name="hours", datatype="FP32", shape=shape)
    return request


SMALL = (b"\0\0\x80\x40", [1, 1])
TOO_MANY = (bytes(MAX_BYTES - 1_000), [(MAX_BYTES - 1_000) // 4, 1])


def stub(channel: Any) -> Any:
    return protocol()[1].GRPCInferenceServiceStub(channel)


def held_up(channel: Any, until: Event) -> Any:
    """A call whose message comes late, which a client of one message cannot make."""
    messages = protocol()[0]

    def late() -> Iterator[Any]:
        until.wait(300)
        yield hours(*SMALL)

    method = channel.stream_unary(
        f"/{SERVICE}/ModelInfer",
        request_serializer=messages.ModelInferRequest.SerializeToString,
        response_deserializer=messages.ModelInferResponse.FromString,
    )
    return method.future(late(), timeout=300)


def resident_bytes(service: Served) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def code_of(call: Any) -> Any:
    try:
        call.result(300)
    except grpc.RpcError as error:
        return error.code()
    return CODES.OK


def test_what_waits_for_its_turn_is_not_in_memory(service: Served, channel: Any) -> None:
    go = Event()
    first = [held_up(channel, go) for _ in range(2)]

    def has_no_room() -> bool:
        return code_of(stub(channel).ModelInfer.future(hours(*SMALL), timeout=1)) is CODES.DEADLINE_EXCEEDED

    wait_for(has_no_room)
    before = resident_bytes(service)
    waiting = [stub(channel).ModelInfer.future(hours(*TOO_MANY), timeout=300) for _ in range(WAITING)]
    with pytest.raises(grpc.FutureTimeoutError):  # time to send what they may
        waiting[-1].result(3)
    assert [code_of(call) for call in waiting if call.done()] == []
    assert resident_bytes(service) - before < WAITING * MAX_BYTES / 4
    go.set()
    assert [code_of(call) for call in first] == [CODES.OK] * 2
    codes = {code_of(call) for call in waiting}
    assert CODES.INVALID_ARGUMENT in codes
    assert codes <= {CODES.INVALID_ARGUMENT, CODES.RESOURCE_EXHAUSTED}
    assert len(stub(channel).ModelInfer(hours(*SMALL)).outputs) == 1


def test_a_stream_takes_room_as_long_as_it_is_open(channel: Any) -> None:
    go = Event()

    def two() -> Iterator[Any]:
        yield hours(*SMALL)
        go.wait(60)
        yield hours(*SMALL)

    stream = stub(channel).ModelStreamInfer(two(), timeout=60)
    assert len(next(stream).infer_response.outputs) == 1
    with pytest.raises(grpc.RpcError) as caught:
        next(stub(channel).ModelStreamInfer(iter([hours(*SMALL)]), timeout=60))
    assert caught.value.code() == CODES.RESOURCE_EXHAUSTED
    assert "1 streams are open" in caught.value.details()
    assert int(dict(caught.value.trailing_metadata())["retry-after"]) >= 1
    go.set()
    assert len(list(stream)) == 1
    assert len(list(stub(channel).ModelStreamInfer(iter([hours(*SMALL)]), timeout=60))) == 1


def test_a_message_is_at_most_a_quarter_of_all(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub(channel).ModelInfer(hours(bytes(MAX_BYTES + 1), [1]))
    assert caught.value.code() == CODES.RESOURCE_EXHAUSTED
    assert "larger than max" in caught.value.details()


def test_a_compressed_message_is_as_large_as_it_is_inflated(service: Served, channel: Any) -> None:
    before = resident_bytes(service)
    with pytest.raises(grpc.RpcError) as caught:
        stub(channel).ModelInfer(hours(bytes(20 * MAX_BYTES), [1]), compression=grpc.Compression.Gzip)
    assert caught.value.code() == CODES.RESOURCE_EXHAUSTED
    assert resident_bytes(service) - before < 10 * MAX_BYTES


def test_a_call_without_a_message_is_told_so(service: Served, channel: Any) -> None:
    method = channel.stream_unary(f"/{SERVICE}/ModelInfer")
    with pytest.raises(grpc.RpcError) as caught:
        method(iter(()), timeout=60)
    assert caught.value.code() == CODES.INVALID_ARGUMENT
    assert "Traceback" not in service.log.read_text()
