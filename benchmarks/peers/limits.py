"""The limits: an ASGI application that answers a constant, and FastAPI with an upload and nothing else.

Started by uvicorn as `limits:constant` or `limits:empty`.
"""

from typing import Any

from fastapi import FastAPI, UploadFile

empty = FastAPI()


async def constant(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ARG001
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@empty.post("/predict/digit")
async def predict_digit(file: UploadFile) -> dict[str, str | None]:
    return {"name": file.filename}
