"""How a stop goes on: its stages, the signals that ask for them, and what processes say about it."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)

# What a worker says.
READY, ALIVE, ASKED_TO_STOP = b"r", b".", b"s"


class Stage(IntEnum):
    """What it is told: that it may begin, and how far its stop has come."""

    SERVE = 0
    DRAIN = 1  # not ready, answering for a while more
    LEAVE = 2  # no new connections; what is in flight is finished
    CUT_OFF = 3

    def after(self, number: signal.Signals) -> "Stage":
        """Where a signal leads from here: SIGTERM waits before it leaves, the others do not."""
        if number == signal.SIGTERM:
            return Stage(max(self, min(self + 1, Stage.LEAVE)))
        return Stage.CUT_OFF if self >= Stage.LEAVE else Stage.LEAVE


@contextmanager
def caught() -> Iterator[socket.socket]:
    """The numbers of the signals that come, as bytes of a socket. They stay without effect afterwards."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        signal.set_wakeup_fd(theirs.fileno())
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(-1)
