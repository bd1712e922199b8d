"""How the server is asked: every request is its own, and every answer is kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from conformance.row import Failed

HEADER = "Inference-Header-Content-Length"
JSON, OCTETS = "application/json", "application/octet-stream"


class Unreachable(Exception):
    """Nobody answers there."""


@dataclass(frozen=True)
class Answer:
    """What came back, its content inflated."""

    asked: str
    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def in_short(self) -> str:
        """For the reason of a failure."""
        return f"{self.status} {' '.join(self.content[:90].decode(errors='replace').split())}".strip()

    def document(self) -> dict[str, Any]:
        """The object of a 200. Raises Failed."""
        found = self.any_json()
        if not isinstance(found, dict):
            raise Failed(f"{self.asked} answered JSON that is no object")
        return found

    def any_json(self) -> Any:
        if self.status != 200:
            raise Failed(f"{self.asked} answered {self.in_short}")
        try:
            return json.loads(self.content)
        except ValueError:
            raise Failed(f"{self.asked} answered no JSON: {self.in_short}") from None


class Client:
    """One kept connection to a server; nothing is sent that a row did not ask for."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Raises Unreachable where it is no URL."""
        try:
            self._http = httpx.Client(base_url=url.rstrip("/"), timeout=timeout_s)
        except httpx.InvalidURL as error:
            raise Unreachable(f"{url}: {error}") from error
        self._url = url
        for name in ("accept", "accept-encoding"):  # which the reference client does not send
            del self._http.headers[name]
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Answer:
        """Raises Failed where no whole answer comes."""
        try:
            found = self._request(method, path, headers, content)
        except httpx.HTTPError as error:
            raise Failed(f"{method} {path}: {type(error).__name__} {error}".rstrip()) from error
        answer = Answer(f"{method} {path}", found.status_code, found.headers, found.content)
        self.answers.append(answer)
        return answer

    def _request(
        self, method: str, path: str, headers: Mapping[str, str] | None, content: bytes | None
    ) -> httpx.Response:
        """Once more where a kept connection ended, as it may after the answer before (RFC 9112, 9.3.1)."""
        try:
            return self._http.request(method, path, headers=headers, content=content)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            return self._http.request(method, path, headers=headers, content=content)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("GET", path, headers)

    def reach(self) -> None:
        """Raises Unreachable."""
        try:
            self._http.get("/v2/health/live")
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._url}: {error or type(error).__name__}") from error


def model_path(model: str, version: str | None = None) -> str:
    """`/v2/models/digit/versions/3`, names percent-encoded."""
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"


def encode(document: Any, tail: bytes | None) -> tuple[dict[str, str], bytes]:
    """A body and the headers that go with it; without a tail it is JSON alone.

    A binary body has no Content-Type, as the reference client sends none.
    """
    body = json.dumps(document).encode()
    if tail is None:
        return {"Content-Type": JSON}, body
    return {HEADER: str(len(body))}, body + tail
