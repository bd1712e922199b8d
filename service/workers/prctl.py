"""What Linux does for families of processes: prctl(2)."""

import ctypes
import os
import signal
import sys

_SET_DEATH_SIGNAL, _SET_NAME, _SET_SUBREAPER = 1, 15, 36


def adopts_orphans() -> bool:
    """From now on this process is the parent of all below it whose own parent ends. False: it cannot be."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # a kernel older than 5.3, or a filter of system calls
        return False
    return _prctl(_SET_SUBREAPER, 1) == 0


def end_with_parent(parent: int) -> None:
    """Be killed when the process `parent`, which has started this one, ends."""
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended meanwhile
        os._exit(1)


def rename(name: str) -> None:
    """What `ps -o comm` shows: at most 15 bytes."""
    if sys.platform == "linux":
        _prctl(_SET_NAME, ctypes.c_char_p(name.encode()))


def _prctl(option: int, value: object) -> int:
    answer: int = ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    return answer
