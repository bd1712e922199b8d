"""Who may call: whoever shows an API key."""

from collections.abc import Iterable

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Unauthorized
from service.http.keys import KeyFile
from service.http.page import FILES

# Where a key is typed in there is none yet; the page's own files tell nothing of the models.
_PAGE = "/"
_OPEN = ("/health/", "/v2/health/", FILES)


def check(keys: KeyFile, scope: Scope) -> None:
    """Note in its state who sent this request. Raises Unauthorized."""
    key = _presented(scope)
    if key is None:
        raise Unauthorized("Send a key as 'Authorization: Bearer …' or 'X-API-Key: …'.")
    name = keys.name_of(key)
    if name is None:
        raise Unauthorized("This key is not known.")
    scope["state"]["caller"] = name


class OpenPaths:
    """Those that need no key: of health and the page, and `others`; each with all that lies below it."""

    def __init__(self, others: Iterable[str]) -> None:
        self._others = tuple(f"{path.rstrip('/')}/" for path in others)

    def __contains__(self, path: str) -> bool:
        return path == _PAGE or path.startswith(_OPEN) or f"{path}/".startswith(self._others)


class ApiKeys:
    """Lets those pass who show a key, as `Authorization: Bearer` or `X-API-Key`; all to open paths."""

    def __init__(self, app: ASGIApp, keys: KeyFile, open_paths: OpenPaths) -> None:
        self._app = app
        self._keys = keys
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and get_route_path(scope) not in self._open_paths:
            check(self._keys, scope)
        await self._app(scope, receive, send)


def _presented(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return str(value, "latin-1")
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return str(value[7:], "latin-1").strip()
    return None
