"""How the gRPC service is asked, and what came of it."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc

from conformance.client import Unreachable
from conformance.row import Failed
from conformance.rpc.messages import kind, message

SERVICE = "inference.GRPCInferenceService"
Code = grpc.StatusCode


@dataclass(frozen=True)
class Outcome:
    """A message, or a status other than OK and its text."""

    method: str
    code: Any
    details: str
    message: Any

    @property
    def in_short(self) -> str:
        """For the reason of a failure."""
        return "OK" if self.code is Code.OK else f"{self.code.name} {' '.join(self.details.split())[:90]}"

    def ok(self) -> Any:
        """The message of an OK. Raises Failed."""
        if self.code is not Code.OK:
            raise Failed(f"{self.method} answered {self.in_short}")
        return self.message


class Channel:
    """One channel to a server, without TLS."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self.channel = grpc.insecure_channel(address, (("grpc.max_receive_message_length", -1),))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def call(self, method: str, /, timeout_s: float | None = None, **fields: Any) -> Outcome:
        """Ask with the method's request of these fields."""
        return self.send(method, message(f"{method}Request", **fields), timeout_s)

    def send(self, method: str, request: Any, timeout_s: float | None = None) -> Outcome:
        ask = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=kind(f"{method}Response").FromString,
        )
        return self.outcome(method, ask, request, timeout_s)

    def outcome(self, method: str, ask: Any, request: Any, timeout_s: float | None = None) -> Outcome:
        """Of any call, with the time that each has."""
        try:
            return Outcome(method, Code.OK, "", ask(request, timeout=timeout_s or self._timeout_s))
        except grpc.RpcError as error:
            return Outcome(method, error.code(), error.details() or "", None)

    def reach(self) -> None:
        """Raises Unreachable."""
        found = self.call("ServerLive")
        if found.code in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
            raise Unreachable(f"{self._address}: {found.in_short}")
