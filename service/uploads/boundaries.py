"""Where the boundaries of a form stand, found before the parser, which is slow for what looks like one."""

from service.errors import InvalidInput

MOST_BLANKS = 64  # behind a boundary: more than any client means


class Boundaries:
    """Counts them as they come."""

    def __init__(self, boundary: bytes, most: int) -> None:
        self._most = most
        self._line = b"\r\n--" + boundary
        self._overlap = len(self._line) + MOST_BLANKS
        self._last = b""
        self._count = 0

    def count(self, chunk: bytes) -> None:
        """Raises InvalidInput. Each counts once, however it is cut."""
        seen = self._last + chunk
        self._count += seen.count(self._line, max(0, len(self._last) - len(self._line) + 1))
        if self._count > self._most:
            raise InvalidInput(f"The form's boundary is there more than {self._most} times.")
        at = seen.find(self._line)
        while at >= 0:
            at += len(self._line)
            if not seen[at : at + MOST_BLANKS].strip(b" \t") and len(seen) >= at + MOST_BLANKS:
                raise InvalidInput(f"The form has more than {MOST_BLANKS} blanks behind its boundary.")
            at = seen.find(self._line, at)
        self._last = seen[-self._overlap :]


class Preamble:
    """What comes before the first boundary, and is nobody's (RFC 2046, section 5.1.1).

    The parser passes over it or refuses it by the places at which it is cut.
    """

    def __init__(self, boundary: bytes) -> None:
        self._line = b"\r\n--" + boundary
        self._last = b"\r\n"  # as if a line had ended before the form
        self.is_over = False

    def without(self, chunk: bytes) -> bytes:
        """What of the next bytes is behind it."""
        if self.is_over:
            return chunk
        seen = self._last + chunk
        at = seen.find(self._line)
        self.is_over = at >= 0
        self._last = seen[1 - len(self._line) :]
        return seen[at + 2 :] if self.is_over else b""
