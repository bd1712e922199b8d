"""Bytes → a message: what is none is the client's mistake, and of small fields there are only so many.

A parsed field takes up to forty times its bytes, and the event loop waits meanwhile: 16 MB of empty tensors
would be 700 MB. So the fields of a large message are counted before (Protocol Buffers, "Encoding").
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from service.errors import InvalidRequest
from service.protocol.documents import MAX_TENSORS

SMALL_BYTES = 64 * 1024  # whose fields are not counted
MOST_FIELDS = 4 * MAX_TENSORS  # inputs, outputs, raw contents, and whatever is beside them

_VARINT, _FIXED64, _SIZED, _FIXED32 = 0, 1, 2, 5
_CONTINUED = 0x80


def readable(parsed: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """As `parsed`, but raises InvalidRequest of what cannot be read or has too many fields."""

    def read(message: bytes) -> Any:
        if len(message) > SMALL_BYTES:
            check_fields(message)
        try:
            return parsed(message)
        except DecodeError as error:
            raise InvalidRequest("The bytes of the message are none of this method.") from error

    return read


def check_fields(message: bytes) -> None:
    """Raises InvalidRequest for one of more than MOST_FIELDS at its top; what is broken is not judged."""
    at = count = 0
    while at < len(message):
        count += 1
        if count > MOST_FIELDS:
            raise InvalidRequest(f"The message has more than {MOST_FIELDS:,} fields.")
        tag, at = _number(message, at)
        kind = tag & 7
        if kind == _SIZED:
            size, at = _number(message, at)
            at += size
        elif kind == _VARINT:
            _, at = _number(message, at)
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            return


def _number(message: bytes, at: int) -> tuple[int, int]:
    """A varint of at most ten bytes, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at == len(message):
            break
        byte, at = message[at], at + 1
        number |= (byte & ~_CONTINUED) << shift
        if byte < _CONTINUED:
            break
    return number, at
