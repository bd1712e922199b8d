"""The reference page, /docs.

FastAPI's page takes Swagger UI from the network; here its files come from a package and are served beside
it, so that it works offline. Its content security policy admits them and the page's own script, and nothing
else.
"""

import base64
import hashlib
import re

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from service.http.page import whole_file
from service.http.policy import security_headers

router = APIRouter(include_in_schema=False)

_PACKAGE = "fastapi_swagger"
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    root = _root(request)
    page = get_swagger_ui_html(
        openapi_url=f"{root}{request.app.openapi_url}",
        title=request.app.title,
        swagger_js_url=f"{root}/docs/static/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/static/swagger-ui.css",
        swagger_favicon_url=f"{root}/docs/static/favicon-32x32.png",
    )
    inline = _INLINE_SCRIPT.findall(bytes(page.body).decode())
    style = "'unsafe-inline'"  # Swagger UI sets style attributes
    page.headers.update(security_headers({"script-src": [*map(_hash, inline)], "style-src": [style]}))
    return page


@router.get("/docs/static/{file}")
async def static(file: str, request: Request) -> Response:
    """Swagger UI's script, style sheet and icon."""
    return await whole_file(_PACKAGE, "resources", file, request.scope)


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
