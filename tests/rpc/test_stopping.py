"""A stop of both servers: an upload in flight is waited for, and nothing begins over gRPC meanwhile."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

from service.rpc.messages import message, protocol
from tests.conftest import Served, rpc_address_of, served, wait_for

CODES = grpc.StatusCode
BODY = b'{"hours": 4}'


def stub(channel: grpc.Channel) -> Any:
    return protocol()[1].GRPCInferenceServiceStub(channel)


def refused(address: str) -> bool:
    """Whether a new connection is answered UNAVAILABLE."""
    with grpc.insecure_channel(address, (("grpc.use_local_subchannel_pool", 1),)) as channel:
        try:
            stub(channel).ServerLive(message("ServerLiveRequest"), timeout=60)
        except grpc.RpcError as error:
            return bool(error.code() is CODES.UNAVAILABLE)
    return False


def half_sent(service: Served) -> socket.socket:
    url = service.client.base_url
    connection = socket.create_connection((url.host, url.port or 80), timeout=120)
    head = ("POST /predict/pass HTTP/1.1", "Host: x", "Content-Type: application/json")
    connection.sendall("\r\n".join((*head, f"Content-Length: {len(BODY)}", "", "")).encode() + BODY[:4])
    return connection


@pytest.mark.parametrize("workers", [1, 2])
def test_grpc_takes_no_more_while_http_finishes(published: Path, workers: int) -> None:
    def none() -> Iterator[Any]:
        done.wait()
        yield from ()

    done = Event()
    long = ("--stop-s", "300", "--request-timeout-s", "300")  # it would fail the test to wait so long
    options = ("--artifacts", str(published), "--grpc-port", "0", "--workers", str(workers), *long)
    with served(*options) as service:
        address = rpc_address_of(service)
        with half_sent(service) as upload, grpc.insecure_channel(address) as channel:
            stream = stub(channel).ModelStreamInfer(none(), timeout=120)
            wait_for(lambda: not refused(address))
            service.process.send_signal(signal.SIGTERM)
            assert stream.code() is CODES.UNAVAILABLE
            wait_for(lambda: refused(address))
            upload.sendall(BODY[4:])
            assert upload.recv(1000).startswith(b"HTTP/1.1 200 ")
        done.set()
        assert service.process.wait(timeout=120) == 0
