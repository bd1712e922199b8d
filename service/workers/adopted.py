"""A process that another one has started, and that became ours when that one ended."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress


class Adopted:
    """As the processes of multiprocessing, as far as workers need it."""

    def __init__(self, pid: int) -> None:
        """Raises OSError."""
        self.pid = pid
        self.sentinel = os.pidfd_open(pid)
        self._code: int | None = None

    @property
    def exitcode(self) -> int | None:
        if self._code is None:
            with suppress(ChildProcessError):
                ended, status = os.waitpid(self.pid, os.WNOHANG)
                if ended:
                    self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.sentinel, signal.SIGKILL)

    def join(self) -> None:
        if self._code is None:
            _, status = os.waitpid(self.pid, 0)
            self._code = os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        os.close(self.sentinel)


def bury_strangers(workers: Collection[int]) -> None:
    """Let go of what became ours without being a worker and has ended: what a dead worker had started."""
    if sys.platform != "linux":
        return
    known = {*workers, *(process.pid for process in multiprocessing.active_children())}
    with suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid in known:
                return  # whoever knows it is about to see it
            os.waitpid(found.si_pid, 0)
