"""The service with a heart that tells how long its event loop was busy at a time, and with planted faults.

`GET /heartbeat` answers the longest since it was last asked, in seconds of processor time of the loop's own
thread, and `GET /took` how long each small request took, in such seconds of the whole process: what
other processes do on the machine does not count. Faults are named in PLANTED, by commas.
"""

import asyncio
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError
from torch import Tensor

from service import app
from service.__main__ import cli
from service.connections import pacing
from service.decoding.pool import Decoding
from service.endpoints import columns
from service.endpoints.documents import Form
from service.endpoints.table import TableEndpoint
from service.engine.predictor import Predictor
from service.fast_path import calls
from service.pictures.images import Finding, Upload, find_digit, open_picture
from service.problems import found_in, invalid_payload
from service.serving import batching, steps
from service.serving.body import Body
from service.serving.job import Outputs

BEAT_S = 0.001
PLANTED, HELD = "PLANTED", "HELD"


class Watch:
    """Tells how long the requests took that were answered directly."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        honest = calls.FastCall._entry

        def entry(call: Any, *arguments: Any) -> Any:
            noted = honest(call, *arguments)
            self._seconds.append(noted.seconds)
            return noted

        plant(calls.FastCall, _entry=entry)
        plant(calls, time=SimpleNamespace(perf_counter=time.process_time))

    async def seconds(self) -> list[float]:
        seconds, self._seconds = self._seconds, []
        return seconds


class Heart:
    """Beats on the event loop, as often as it lets it."""

    def __init__(self) -> None:
        self._longest_s = 0.0
        self._beating: asyncio.Task[None] | None = None

    async def longest_s(self) -> float:
        self._beating = self._beating or asyncio.create_task(self._beat())
        await asyncio.sleep(5 * BEAT_S)  # until it has beaten once more
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s

    async def _beat(self) -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(BEAT_S)
            self._longest_s = max(self._longest_s, time.thread_time() - began)


def plant(where: object, **faults: Any) -> None:
    for name, fault in faults.items():
        setattr(where, name, fault)


def on_the_loop() -> None:
    """Whatever goes in steps, to a thread or to a process is done at once, by the event loop."""

    async def here(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    async def find(_: Decoding, uploads: Sequence[Upload], *__: Any) -> list[Finding]:
        return [find_digit(open_picture(data, 25_000_000)) for _, data in uploads]

    plant(Decoding, find=find)
    plant(asyncio, to_thread=here)
    plant(steps, STEPS_S=math.inf)


def every_error() -> None:
    """All that is wrong with a document is found at once, by the event loop."""

    def read(form: Form, document: bytes) -> Any:
        try:
            return [form.adapter.validate_json(document)]
        except ValidationError as error:
            raise invalid_payload(found_in(error)) from None

    def reading(*whole: Any) -> Any:
        yield
        return read(*whole)

    plant(columns, read=read, reading=reading)
    on_the_loop()


def announced() -> None:
    """Permits are for what a body is announced to be."""
    honest = Body._limit

    def limit(self: Body, size: int) -> None:
        honest(self, size)
        if size > self._admitted:
            self._pending.admit(size - self._admitted)
            self._admitted = size

    plant(Body, _limit=limit, _admit=lambda *_: None)


def in_turn() -> None:
    """Rows go in the order in which they came, ten thousand at a time."""
    plant(batching, FEW=1.0)
    plant(TableEndpoint, batch_rows=10_000)


def unpaced() -> None:
    """All that has come on a connection is taken in at once."""
    plant(pacing, SLICE_BYTES=1 << 30)


def held() -> None:
    """No batch is computed while the file is there that HELD names."""
    honest, file = Predictor.answer, Path(os.environ[HELD])

    def answer(predictor: Predictor, rows: Tensor) -> Outputs:
        while file.exists():
            time.sleep(0.005)
        return honest(predictor, rows)

    plant(Predictor, answer=answer)


FAULTS = {fault.__name__: fault for fault in (on_the_loop, every_error, announced, in_turn, unpaced, held)}


def main() -> None:
    honest, heart, watch = app.create_app, Heart(), Watch()

    def create_app(*arguments: Any) -> FastAPI:
        application = honest(*arguments)
        application.add_api_route("/heartbeat", heart.longest_s)
        application.add_api_route("/took", watch.seconds)
        return application

    plant(app, create_app=create_app)
    for fault in filter(None, os.environ.get(PLANTED, "").split(",")):
        FAULTS[fault]()
    cli()


if __name__ == "__main__":
    main()
