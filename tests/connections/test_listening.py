"""Addresses: what a name stands for is bound, what cannot be is said in a line."""

import errno
import logging
import socket

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from service.connections.listening import AddressUnusable, bind, opened, url
from service.server import Server


def addresses(host: str, port: int = 0) -> list[str]:
    listeners = bind(host, port)
    ports = {listener.getsockname()[1] for listener in listeners}
    assert len(ports) == 1
    found = [listener.getsockname()[0] for listener in listeners]
    for listener in listeners:
        listener.close()
    return found


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_name_stands_for_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert addresses("127.0.0.1") == ["127.0.0.1"]
    assert "127.0.0.1" in addresses("localhost")
    assert "0.0.0.0" in addresses("")
    four = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    found = [(*four, ("192.0.2.1", 0)), (*four, ("127.0.0.1", 0)), (*four, ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert addresses("name") == ["127.0.0.1"]  # the first is not ours, the third is there twice


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6_is_written_in_brackets() -> None:
    (listener,) = bind("::1", 0)
    with listener:
        port = listener.getsockname()[1]
        assert url("::1", [listener]) == f"http://[::1]:{port}"
        listener.listen()
        with pytest.raises(AddressUnusable, match=rf"\[::1\]:{port}: Address already in use"):
            bind("::1", port)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(("host", "clients"), [("::", ["127.0.0.1", "::1"]), ("0.0.0.0", ["127.0.0.1"])])
def test_every_interface_of_ipv6_is_every_one_of_ipv4_too(host: str, clients: list[str]) -> None:
    """As gRPC has it, beside which it would otherwise be another service to some."""
    (listener,) = bind(host, 0)
    with listener:
        listener.listen()
        port = listener.getsockname()[1]
        for client in clients:
            socket.create_connection((client, port), timeout=5).close()
            with pytest.raises(AddressUnusable, match="Address already in use"):
                bind(client, port)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "192.0.2.1:8000: Cannot assign requested address"),
        ("no.such.host.invalid", "no.such.host.invalid:8000: "),
        ("..", r"\.\.:8000: "),
        ("x" * 70, "8000: no name of a host"),
    ],
)
def test_what_is_no_address_of_ours_is_refused(host: str, reason: str) -> None:
    with pytest.raises(AddressUnusable, match=reason):
        bind(host, 8000)


def test_a_port_without_permission_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may well have it."""

    class Denied(socket.socket):
        def bind(self, *_: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", Denied)
    with pytest.raises(AddressUnusable, match=r"127\.0\.0\.1:80: Permission denied"):
        bind("127.0.0.1", 80)


def test_what_is_bound_is_taken_before_anybody_listens() -> None:
    (first,) = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    for host in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(AddressUnusable, match="Address already in use"):
            bind(host, port)
    first.close()
    bind("127.0.0.1", port)[0].close()


def test_connections_that_are_over_leave_the_port_free() -> None:
    """Closed by the service first, they stay in the system for a minute."""
    (listener,) = bind("127.0.0.1", 0)
    opened(listener).listen()
    address = listener.getsockname()
    with socket.create_connection(address) as client:
        listener.accept()[0].close()
        assert client.recv(1) == b""
    listener.close()
    (again,) = bind(*address)
    with again, pytest.raises(AddressUnusable):
        bind(*address)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_of_two_that_bind_at_once_the_slower_one_ends(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """As another system may let them, or in the moment between a socket's two options."""
    quicker = opened(bind("127.0.0.1", 0)[0])
    slower = opened(bind("127.0.0.1", quicker.getsockname()[1])[0])
    served = []
    config = uvicorn.Config(PlainTextResponse(""), loop=loop, lifespan="off", log_config=None)
    quicker.listen()
    with quicker, slower, caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as ended:
        Server(config, on_serving=lambda: served.append(1)).serve_from([slower])
    assert (ended.value.code, served) == (3, [])
    assert "cannot listen on ('127.0.0.1'," in caplog.text
