"""Rows on requests that are wrong: the status says whose mistake it is."""

from collections.abc import Callable
from typing import Any

from conformance.row import Row, row
from conformance.rpc.channel import Code, Outcome
from conformance.rpc.subject import RpcSubject, refused_with


def refused(
    says: str, code: Any = Code.INVALID_ARGUMENT
) -> Callable[[Callable[[RpcSubject], Outcome]], Row]:
    """Make a wrong request a row: it passes where the call ends with the status."""

    def of(ask: Callable[[RpcSubject], Outcome]) -> Row:
        def check(subject: RpcSubject) -> None:
            refused_with(ask(subject), code)

        check.__name__ = ask.__name__
        return row(f"gRPC status codes: {code.name}", says)(check)

    return of
