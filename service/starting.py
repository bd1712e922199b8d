"""Signals while the service is only being imported, which takes seconds on a busy machine."""

import os
import signal


def stop_at_once() -> None:
    """A stop meanwhile is a stop like any other; what other signals are to ask for, it is not to end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: os._exit(0))
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
