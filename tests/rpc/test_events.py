"""The server of grpc's core by itself, on the loop of the test, asked by grpc's own client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2

from service.http.middleware import Ledger
from service.rpc.calls import Calls
from service.rpc.events import ASKED, CoreServer
from service.rpc.exchange import EOF, Exchange, Method
from service.rpc.messages import SERVICE
from service.rpc.receiving import Receiving
from service.rpc.room import Room
from service.serving.admission import Admission
from service.serving.deadlines import Deadlines
from service.serving.metrics import Metrics

CODES = grpc.StatusCode
Answered = Callable[[Exchange], Awaitable[Any]]


def same(data: bytes) -> bytes:
    return data


@asynccontextmanager
async def serving(
    most_calls: int = 256,
    options: tuple[tuple[str, int], ...] = (),
    stop: bool = True,
    **answers: Answered,
) -> AsyncIterator[tuple[CoreServer, Any]]:
    """The server, which stops at once at the end unless the test has stopped it, and a channel to it."""
    server = CoreServer(lambda _, answered: Method(answered, same, same), options, most_calls)
    server.add_registered_method_handlers("test", answers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    unread = [("grpc.http2.bdp_probe", 0)]  # no more than 64 KiB comes to a client that reads nothing
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", unread) as channel:
        try:
            yield server, channel
        finally:
            if stop:
                await server.stop(0)


async def code_of(call: Any) -> Any:
    with suppress(grpc.RpcError):
        await call
    return await call.code()


async def echo(exchange: Exchange) -> bytes:
    message: bytes = await exchange.read()
    return message


class Hung:
    """Methods that do not end by themselves."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.free = asyncio.Event()

    async def __call__(self, _: Exchange) -> bytes:
        self.begun.set()
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b"free"


async def test_as_many_calls_as_there_are_get_their_own_answers() -> None:
    async with serving(Echo=echo) as (_, channel):
        messages = [str(number).encode() for number in range(4 * ASKED)]
        answers = await asyncio.gather(*(channel.unary_unary("/test/Echo")(m) for m in messages))
    assert answers == messages


async def test_metadata_deadline_and_status_go_both_ways() -> None:
    async def told(exchange: Exchange) -> bytes:
        name = str(dict(exchange.invocation_metadata())["name"])
        assert exchange.peer().startswith("ipv4:127.0.0.1")
        exchange.set_trailing_metadata((("name", name + " too"),))
        remaining = exchange.time_remaining()
        return b"none" if remaining is None else str(int(remaining)).encode()

    async def aborted(exchange: Exchange) -> None:
        await exchange.abort(CODES.NOT_FOUND, "näh", (("retry-after", "3"),))

    async with serving(Told=told, Aborted=aborted) as (_, channel):
        call = channel.unary_unary("/test/Told")(b"", timeout=900, metadata=(("name", "me"),))
        assert 800 < int(await call) <= 900
        assert dict(await call.trailing_metadata())["name"] == "me too"
        assert await channel.unary_unary("/test/Told")(b"", metadata=(("name", "me"),)) == b"none"
        call = channel.unary_unary("/test/Aborted")(b"")
        assert await code_of(call) is CODES.NOT_FOUND
        assert (await call.details(), dict(await call.trailing_metadata())) == ("näh", {"retry-after": "3"})


async def test_a_stream_is_read_and_written_to_its_end() -> None:
    async def doubled(exchange: Exchange) -> None:
        while (message := await exchange.read()) is not EOF:
            await exchange.write(2 * message)
        assert await exchange.read() is EOF

    async with serving(Doubled=doubled) as (_, channel):
        call = channel.stream_stream("/test/Doubled")(iter([b"a", b"b", b""]))
        assert [message async for message in call] == [b"aa", b"bb", b""]
        assert await call.code() is CODES.OK


async def test_what_cannot_be_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(_: Exchange) -> bytes:
        raise ValueError("secret")

    hung = Hung()
    async with serving(most_calls=1, Fails=fails, Hangs=hung) as (server, channel):
        assert await code_of(channel.unary_unary("/test/Nothing")(b"")) is CODES.UNIMPLEMENTED
        call = channel.unary_unary("/test/Fails")(b"")
        assert await code_of(call) is CODES.UNKNOWN
        assert "secret" not in await call.details()
        assert "secret" in caplog.text
        while server._tasks:  # a client may have its answer a moment before that is heard of here
            await asyncio.sleep(0)
        first = channel.unary_unary("/test/Hangs")(b"")
        await hung.begun.wait()
        one_more = channel.unary_unary("/test/Fails")(b"")
        assert await code_of(one_more) is CODES.RESOURCE_EXHAUSTED
        assert dict(await one_more.trailing_metadata())["retry-after"] == "1"
        hung.free.set()
        assert await first == b"free"


async def test_a_message_that_is_too_large_is_not_read() -> None:
    async with serving(options=(("grpc.max_receive_message_length", 10),), Echo=echo) as (_, channel):
        assert await code_of(channel.unary_unary("/test/Echo")(bytes(11))) is CODES.RESOURCE_EXHAUSTED
        assert await channel.unary_unary("/test/Echo")(bytes(10)) == bytes(10)


@pytest.mark.parametrize("timeout_s", [None, 1.0], ids=["cancelled", "its deadline"])
async def test_a_call_that_is_given_up_is_cancelled(timeout_s: float | None) -> None:
    hung = Hung()
    async with serving(Hangs=hung) as (_, channel):
        while not hung.begun.is_set():  # its time may be over before it is there
            call = channel.unary_unary("/test/Hangs")(b"", timeout=timeout_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(hung.begun.wait(), timeout_s or 60)
        if timeout_s is None:
            call.cancel()
        await asyncio.wait_for(hung.cancelled.wait(), 60)
        assert not hung.free.is_set()


async def test_a_stop_waits_for_what_is_under_way() -> None:
    hung = Hung()
    async with serving(stop=False, Hangs=hung) as (server, channel):
        call = channel.unary_unary("/test/Hangs")(b"")
        await hung.begun.wait()
        stopping = asyncio.create_task(server.stop(60))
        await asyncio.sleep(0)
        hung.free.set()
        assert await call == b"free"
        await stopping


async def test_a_stop_cancels_what_does_not_end() -> None:
    hung = Hung()
    async with serving(stop=False, Hangs=hung) as (server, channel):
        call = channel.unary_unary("/test/Hangs")(b"")
        await hung.begun.wait()
        await server.stop(0)
        assert hung.cancelled.is_set()
        assert await code_of(call) is not CODES.OK


async def test_a_port_that_cannot_be_had() -> None:
    server = CoreServer(lambda _, answered: Method(answered, same, same), (), 1)
    with pytest.raises(RuntimeError):
        server.add_insecure_port("192.0.2.1:1")


def receiving_with(pending: Admission, timeout_s: float) -> Receiving:
    calls = Calls(Ledger(Metrics(None), access_log=False), None, None)
    return Receiving(Room(pending, 1_000_000), calls, Deadlines(), timeout_s)


async def test_a_silent_stream_that_needs_no_key_keeps_no_other_out() -> None:
    pending = Admission(4_000_000, "bytes")
    receiving = receiving_with(pending, 0.2)

    async def echoed(messages: AsyncIterator[bytes], _: Exchange) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message

    handler = grpc.stream_stream_rpc_method_handler(echoed, same, same)
    answered = receiving.method("/grpc.reflection.v1alpha.ServerReflection/Info", handler).answer
    async with serving(Info=answered) as (_, channel):
        for _ in range(2):  # there is room for one
            stream = channel.stream_stream("/test/Info")()
            await stream.write(b"first")
            assert await stream.read() == b"first"
            assert await stream.code() == CODES.DEADLINE_EXCEEDED
    assert pending.taken == 0


def checked(answer: Any) -> Any:
    """A handler of health checks, which are messages of some bytes."""
    asked, said = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    return grpc.unary_unary_rpc_method_handler(answer, asked.FromString, said.SerializeToString)


async def test_silent_calls_that_need_no_key_keep_no_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.rpc.receiving.OPEN_S", 1.0)
    pending = Admission(8_000_000, "bytes")  # eight messages: four of those with a key, one of others
    receiving = receiving_with(pending, 60)
    serving_status = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    async def answer(*_: Any) -> Any:
        return serving_status

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.sleep(300)
        yield b""

    async with serving(Echo=echo) as (server, channel):
        for path in ("/grpc.health.v1.Health/Check", f"/{SERVICE}/ModelInfer"):
            server._methods[path] = receiving.method(path, checked(answer))
        silent = [channel.stream_unary("/grpc.health.v1.Health/Check")(nothing()) for _ in range(8)]
        while pending.taken == 0:
            await asyncio.sleep(0.01)
        assert (
            await channel.unary_unary(f"/{SERVICE}/ModelInfer")(b"") == serving_status.SerializeToString()
        )
        assert await code_of(silent[0]) == CODES.DEADLINE_EXCEEDED
        for call in silent:
            call.cancel()
    assert pending.taken == 0


async def test_an_answer_is_under_way_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.rpc.room.STALL_S", 1.0)
    pending = Admission(8_000_000, "bytes")
    receiving = receiving_with(pending, 60)
    large = health_pb2.HealthCheckRequest(service=3_000_000 * "x")

    async def answer(*_: Any) -> Any:
        return large

    asked = health_pb2.HealthCheckRequest
    handler = grpc.unary_unary_rpc_method_handler(answer, asked.FromString, asked.SerializeToString)
    async with serving(Echo=echo) as (server, channel):
        server._methods["/test/Large"] = receiving.method("/test/Large", handler)
        assert await channel.unary_unary("/test/Large")(b"") == large.SerializeToString()
        while pending.taken:  # its last bytes have just been taken
            await asyncio.sleep(0.01)
        unread = channel.unary_stream("/test/Large")(b"")
        while pending.taken < 3_000_000:
            await asyncio.sleep(0.01)
        assert len(server._tasks) == 1
        while server._tasks:
            await asyncio.sleep(0.01)
        assert pending.taken == 0
        unread.cancel()


async def test_those_who_watch_health_keep_no_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.rpc.receiving.MOST_OPEN", 2)
    receiving = receiving_with(Admission(4_000_000, "bytes"), 60)
    healthy = health.aio.HealthServicer()
    asked, answer = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    watch = grpc.unary_stream_rpc_method_handler(healthy.Watch, asked.FromString, answer.SerializeToString)
    async with serving(Echo=echo) as (server, channel):
        server._methods["/test/Watch"] = receiving.method("/grpc.health.v1.Health/Watch", watch)
        watches = [channel.unary_stream("/test/Watch")(b"") for _ in range(2)]
        for each in watches:
            assert answer.FromString(await each.read()).status == answer.SERVING
        one_more = channel.unary_stream("/test/Watch")(b"")
        assert await one_more.code() == CODES.RESOURCE_EXHAUSTED
        assert await channel.unary_unary("/test/Echo")(b"x") == b"x"
        await receiving.leave()
        assert [await each.code() for each in watches] == [CODES.CANCELLED] * 2


async def test_a_stop_ends_streams_once_what_came_of_them_is_answered() -> None:
    receiving, asked = receiving_with(Admission(8_000_000, "bytes"), 60), health_pb2.HealthCheckRequest
    begun, over = asyncio.Event(), asyncio.Event()

    async def answers(requests: AsyncIterator[Any], _: Exchange) -> AsyncIterator[Any]:
        async for request in requests:
            begun.set()
            await over.wait()
            yield request

    handler = grpc.stream_stream_rpc_method_handler(answers, asked.FromString, asked.SerializeToString)
    async with serving() as (server, channel):
        server._methods["/test/Stream"] = receiving.method(f"/{SERVICE}/ModelStreamInfer", handler)
        idle, busy = (channel.stream_stream("/test/Stream")() for _ in range(2))
        await busy.write(b"")
        await begun.wait()
        while len(server._tasks) < 2:
            await asyncio.sleep(0.01)
        await receiving.leave()
        assert await idle.code() is CODES.UNAVAILABLE
        assert dict(await idle.trailing_metadata())["retry-after"] == "5"
        over.set()
        assert await busy.read() == b""
        assert await busy.code() is CODES.UNAVAILABLE
        later = channel.stream_stream("/test/Stream")()
        assert await later.code() is CODES.UNAVAILABLE
