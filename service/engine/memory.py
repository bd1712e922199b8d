"""What the C library keeps of memory that is free, for whoever might ask for it again."""

import ctypes


def give_back() -> None:
    """Hand it to the system, after what took much memory for a short time: a model that got ready.

    Without effect where the C library is not glibc. Takes milliseconds, in which other threads go on.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
