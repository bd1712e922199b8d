"""The address that is listened to, taken before anything is loaded: whether it is free is known at once."""

import errno
import socket

# Of a name with several addresses, one that is not here is no obstacle: `localhost` where there is no IPv6.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

Address = tuple[str, int, *tuple[int, ...]]


class AddressUnusable(Exception):
    """Nothing can listen there."""


def bind(host: str, port: int, shared: bool = False) -> list[socket.socket]:
    """A socket for each address of `host`, bound, but not listening: nobody connects before it is served.

    Until it is `opened` nobody else may bind it either, but where `shared` others of this user.
    Port 0 takes a free one, the same for all.
    Raises AddressUnusable.
    """
    found = _addresses(host, port)
    bound: list[socket.socket] = []
    refused = ""
    for family, address in found:
        if not port and bound:
            address = (address[0], bound[0].getsockname()[1], *address[2:])
        try:
            bound.append(_bound(family, address, shared, alone=len(found) == 1))
        except OSError as error:
            refused = f"cannot listen on {written(address[0], address[1])}: {error.strerror}"
            if error.errno not in _NOT_HERE:
                break
    else:
        if bound:
            return bound
    for taken in bound:
        taken.close()
    raise AddressUnusable(refused)


def opened(listener: socket.socket) -> socket.socket:
    """To listen now; what is left of its connections will not be in the way of the next to bind it."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return listener


def keep(host: str, port: int) -> list[socket.socket]:
    """Keep a free address for servers that bind it by themselves. Raises AddressUnusable."""
    free = bind(host, port)
    number = port_of(free)
    for listener in free:
        listener.close()
    return bind(host, number, shared=True)


def port_of(listeners: list[socket.socket]) -> int:
    number: int = listeners[0].getsockname()[1]
    return number


def url(host: str, listeners: list[socket.socket]) -> str:
    return f"http://{written(host, port_of(listeners))}"


def is_listening(listener: socket.socket) -> bool:
    try:
        return bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # closed
        return False


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, Address]]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no name of a host"
        raise AddressUnusable(f"cannot listen on {written(host, port)}: {reason}") from error
    # A name may be there twice, as `localhost` in some /etc/hosts.
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))  # type: ignore[misc]


def _bound(family: socket.AddressFamily, address: Address, shared: bool, alone: bool) -> socket.socket:
    """`alone`, `::` takes the interfaces of IPv4 as well, as it does for gRPC. Raises OSError."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not alone)
        listener.bind(address)
        # Linux lets two bind it that both are set so, as long as neither listens.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        listener.close()
        raise
    return listener


def written(host: str, port: int) -> str:
    """An address, as it is told."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
