"""The page, `/`: a model is chosen and asked. Its files are in `service/web/`, and are sent as they are.

It names them and every path that it asks relative to itself, so that it works under any prefix.
"""

from pathlib import PurePosixPath

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.http.policy import security_headers

FILES = "/web/"
router = APIRouter(include_in_schema=False)

_PACKAGE = "service"
# Not by what the machine's own list says of a suffix: a browser runs no module of another type.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# A picture that is chosen is shown before it is sent.
_ALLOWED = {"img-src": ("blob:",), "require-trusted-types-for": ("'script'",)}


@router.get("/")
async def page(request: Request) -> Response:
    root = str(request.scope.get("root_path", ""))
    if root and request.scope.get("raw_path") == root.encode():
        return RedirectResponse(f"{root}/")  # what is relative to it would be above the prefix
    return await _file("index.html", request)


@router.get(FILES + "{file}")
async def static(file: str, request: Request) -> Response:
    """The page's script, style sheet and icon."""
    return await _file(file, request)


async def whole_file(package: str, folder: str, name: str, scope: Scope) -> Response:
    """A file of an installed package; `Range` is passed over (RFC 9110, section 14.2): all are small."""
    scope["headers"] = [field for field in scope["headers"] if field[0] != b"range"]
    response = await StaticFiles(packages=[(package, folder)]).get_response(name, scope)
    response.headers["Accept-Ranges"] = "none"
    return response


async def _file(name: str, request: Request) -> Response:
    """Kept by browsers, and asked for again each time with its ETag (RFC 9110, section 13.1.2)."""
    response = await whole_file(_PACKAGE, "web", name, request.scope)
    response.headers.update(security_headers(_ALLOWED))
    response.headers["Cache-Control"] = "no-cache"
    if response.status_code == 200:
        response.headers["Content-Type"] = _TYPES[PurePosixPath(name).suffix]
    return response
