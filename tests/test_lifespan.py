"""What lives as long as the application: it ends with a start that fails, and needs no thread later."""

import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from service.app import create_app
from service.settings import Settings
from tests.conftest import Digits, decoders, png, running, until


async def test_a_start_that_fails_leaves_nothing_running(published: Path) -> None:
    threads, processes = set(threading.enumerate()), set(decoders())

    async def nothing_is_left() -> bool:
        begun = set(threading.enumerate()) - threads
        executors = {thread for thread in begun if thread.name.startswith("elsewhere")}
        return begun == executors and set(decoders()) <= processes

    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(artifacts=published, grpc_port=taken.getsockname()[1])
        with pytest.raises(RuntimeError, match="cannot listen"):
            async with running(create_app(settings)):
                pass
    await until(nothing_is_left)


async def test_where_no_thread_can_be_started_any_more_pictures_are_read(
    published: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> None:
        raise RuntimeError("can't start new thread")

    own_form = png(digits.images_u8[0])
    drawn = png(np.kron(digits.images_u8[0], np.ones((3, 3), np.uint8)))
    async with running(create_app(Settings(artifacts=published))) as client:
        with monkeypatch.context() as limited:
            limited.setattr(threading.Thread, "start", refused)
            for picture in (own_form, drawn):
                answer = await client.post("/predict/digit", files=[("file", picture)] * 9)
                assert answer.status_code == 200, answer.text
