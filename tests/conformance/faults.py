"""The faults that can be planted into the small server, each named as the row that finds it."""

from typing import NoReturn


class Refused(Exception):
    """The request is wrong, or a fault makes the server think so."""


class Accepted(Exception):
    """A fault lets a wrong request through."""


class Faults(frozenset[str]):
    """Those that are planted."""

    def refuse(self, name: str) -> NoReturn:
        """What is wrong with the request; nothing, if that is the fault."""
        raise (Accepted if name in self else Refused)(name)

    def wants(self, name: str) -> None:
        """The request uses what may be lacking."""
        if name in self:
            raise Refused(name)
