"""Asks with PyTriton's clients: `ask_pytriton.py HTTP GRPC PICTURE` prints `call<TAB>outcome` lines.

Runs in an environment of its own, with nvidia-pytriton and without this project.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pytriton.client import AsyncioModelClient, FuturesModelClient, ModelClient
from pytriton.client.exceptions import PyTritonClientInferenceServerError

HOURS = np.array([[1.0], [4.0]], np.float32)


def passed(answer: dict[str, np.ndarray]) -> bool:
    return bool(((answer["probability"] > 0.5).ravel() == [False, True]).all())


def ask(url: str, picture: str) -> Iterator[tuple[str, bool]]:
    pixels = np.zeros((64, 28, 28), np.uint8)
    pixels[:, 5:23, 13:15] = 255
    with ModelClient(url, "digit", Path(picture).parts[-3]) as client:
        yield "infer_batch", bool((client.infer_batch(pixels)["probabilities"].argmax(1) == 1).all())
        yield "infer_sample", client.infer_sample(pixels[0])["probabilities"].argmax() == 1
        yield "model_config", client.model_config.max_batch_size == 64
    with ModelClient(url, "pass") as client:
        yield "infer_batch by name", passed(client.infer_batch(hours=HOURS, parameters={"any": 1}))
        try:
            client.infer_batch(-HOURS)
        except PyTritonClientInferenceServerError as error:
            yield "an error", "hours.0" in str(error)


async def with_asyncio(url: str) -> bool:
    async with AsyncioModelClient(url, "pass") as client:
        return passed(await client.infer_batch(HOURS))


def main(http: str, grpc: str, picture: str) -> None:
    for url in (f"http://{http}", f"grpc://{grpc}"):
        for call, right in ask(url, picture):
            print(f"{url[:4]} {call}\t{bool(right)}")
        print(f"{url[:4]} with asyncio\t{asyncio.run(with_asyncio(url))}")
    with FuturesModelClient(f"http://{http}", "pass", max_workers=4) as client:
        futures = [client.infer_batch(HOURS) for _ in range(20)]
        print(f"http futures\t{all(passed(future.result()) for future in futures)}")


main(*sys.argv[1:])
