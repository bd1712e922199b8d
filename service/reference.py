"""The reference page, /docs, and what a browser may load and run there.

FastAPI's page takes Swagger UI from the network. Its content security policy (W3C, CSP Level 3) admits the
files and the script that it names itself, and nothing else.
"""

import base64
import hashlib
import re

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_SCRIPT = re.compile(r'<script\b[^>]*\bsrc="(https://[^"]+)"')
_STYLE_SHEET = re.compile(r'<link\b[^>]*\brel="stylesheet"[^>]*\bhref="(https://[^"]+)"')
_ICON = re.compile(r'<link\b[^>]*\brel="shortcut icon"[^>]*\bhref="(https://[^"]+)"')


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    root = request.scope.get("root_path", "").rstrip("/")
    page = get_swagger_ui_html(openapi_url=f"{root}{request.app.openapi_url}", title=request.app.title)
    page.headers.update(security_headers(bytes(page.body).decode()))
    return page


def security_headers(page: str) -> dict[str, str]:
    """For an HTML page; with its content security policy."""
    hashes = [_hash(script) for script in _INLINE_SCRIPT.findall(page)]
    policy = {
        "default-src": ["'none'"],
        "script-src": [*_SCRIPT.findall(page), *hashes],
        "style-src": [*_STYLE_SHEET.findall(page), "'unsafe-inline'"],  # Swagger UI sets style attributes
        "img-src": [*_ICON.findall(page), "data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    return {
        "Content-Security-Policy": "; ".join(" ".join([name, *of]) for name, of in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
