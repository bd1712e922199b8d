"""The least that can be behind Ray Serve: an ASGI application that reads a body and answers a constant."""

from typing import Any

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp, Receive, Scope, Send

ANSWER = b'{"probability":0.5}'


class Trivial:
    """A replica of it."""

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return answer


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body", False):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def build(_: dict[str, Any]) -> Application:
    replica = serve.deployment(serve.ingress()(Trivial), name="Trivial")
    return replica.options(max_ongoing_requests=1000, logging_config={"enable_access_log": False}).bind()
