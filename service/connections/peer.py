"""What the operating system knows of the other end of a connection, asked without waiting."""

import asyncio
import select


def has_come(transport: asyncio.Transport) -> bool:
    """Whether there are bytes that have not been read yet, or there will be none any longer."""
    return bool(_events(transport) & (select.POLLIN | select.POLLHUP))


def has_gone(transport: asyncio.Transport) -> bool:
    """Whether the other end has refused what was written to it."""
    return bool(_events(transport) & (select.POLLHUP | select.POLLERR))


def _events(transport: asyncio.Transport) -> int:
    socket = transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0:
        return select.POLLHUP
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return next((events for _, events in poll.poll(0)), 0)
