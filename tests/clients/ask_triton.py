"""Asks with Triton's own clients: `ask_triton.py HTTP GRPC PICTURE` prints `call<TAB>outcome` lines.

PICTURE is a sample of the version that is live, `…/digit/VERSION/samples/7.png`.

Runs in an environment of its own, with tritonclient and without this project.
"""

import asyncio
import inspect
import itertools
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

CODINGS = (None, "gzip", "deflate")


def version_of(picture: str) -> str:
    return Path(picture).parts[-3]


async def sync_or_not(value: Any) -> Any:
    """What either kind of client returns."""
    return await value if inspect.isawaitable(value) else value


def tensor(name: str, values: Any, datatype: str, binary: bool) -> Any:
    given = tritonclient.http.InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return given


async def infer(client: Any, given: Any, **options: Any) -> Any:
    return await sync_or_not(client.infer("digit", [given], **options))


async def ask(client: Any, picture: str) -> AsyncIterator[tuple[str, bool]]:
    """Calls, and whether they went right."""
    for asked in (about, inferences, errors):
        async for call, right in asked(client, picture):
            yield call, bool(right)


async def about(client: Any, picture: str) -> AsyncIterator[tuple[str, bool]]:
    for call in ("is_server_live", "is_server_ready"):
        yield call, await sync_or_not(getattr(client, call)()) is True
    for name, version, is_there in (
        ("digit", "", True),
        ("digit", version_of(picture), True),
        ("nothing", "", False),
    ):
        ready = await sync_or_not(client.is_model_ready(name, version))
        yield f"is_model_ready {name} {version}", ready is is_there
    yield "get_server_metadata", (await sync_or_not(client.get_server_metadata()))["name"] == "abacus"
    metadata = await sync_or_not(client.get_model_metadata("digit", version_of(picture)))
    yield "get_model_metadata", metadata["inputs"][0]["shape"] == [-1, 28, 28]
    config = await sync_or_not(client.get_model_config("digit"))
    yield "get_model_config", config["max_batch_size"] == 64
    index = await sync_or_not(client.get_model_repository_index())
    yield "get_model_repository_index", "digit" in [model["name"] for model in index]
    for what in (("digit",), ("digit", version_of(picture)), ()):
        stats = await sync_or_not(client.get_inference_statistics(*what))
        yield f"get_inference_statistics {what}", bool(stats["model_stats"])
    for call in ("load_model", "unload_model"):
        try:
            await sync_or_not(getattr(client, call)("digit"))
        except InferenceServerException as error:
            yield call, "models activate" in str(error)


async def inferences(client: Any, picture: str) -> AsyncIterator[tuple[str, bool]]:
    pixels = np.zeros((64, 28, 28), np.uint8)
    pixels[:, 5:23, 13:15] = 255
    for binary, request, response, version in itertools.product(
        (True, False), CODINGS, CODINGS, ("", version_of(picture))
    ):
        answer = await infer(
            client,
            tensor("image", pixels, "UINT8", binary),
            model_version=version,
            request_compression_algorithm=request,
            response_compression_algorithm=response,
            request_id="mine",
            timeout=30_000_000,
        )
        right = (answer.as_numpy("probabilities").argmax(1) == 1).all()
        named = answer.get_response()["id"] == "mine" and answer.get_response()[
            "model_version"
        ] == version_of(picture)
        yield f"infer pixels binary={binary} {request} → {response} version={version}", right and named

    files = np.array([Path(picture).read_bytes()] * 2, np.object_)
    for binary in (True, False):
        wanted = tritonclient.http.InferRequestedOutput("probabilities", binary_data=binary)
        answer = await infer(client, tensor("image", files, "BYTES", True), outputs=[wanted])
        yield f"infer BYTES binary={binary}", (answer.as_numpy("probabilities").argmax(1) == 7).all()
        wanted = tritonclient.http.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)
        answer = await infer(client, tensor("image", files, "BYTES", True), outputs=[wanted])
        likeliest = answer.as_numpy("probabilities")[:, 0]
        texts = [text.decode() if isinstance(text, bytes) else text for text in likeliest]
        yield f"infer classification binary={binary}", all(text.endswith(":7:7") for text in texts)


async def errors(client: Any, _picture: str) -> AsyncIterator[tuple[str, bool]]:
    hours = tensor("hours", np.array([[1.0], [np.nan]], np.float32), "FP32", binary=True)
    for model, given, told in (
        ("pass", hours, "hours.1"),
        ("digit", hours, "no input"),
        ("none", hours, "none"),
    ):
        try:
            await sync_or_not(client.infer(model, [given]))
        except InferenceServerException as error:
            yield (
                f"an error that tells {told}",
                told in str(error) and str(error.status()) in ("400", "404"),
            )


async def over_grpc(client: Any, picture: str) -> AsyncIterator[tuple[str, bool]]:
    for call in ("is_server_live", "is_server_ready"):
        yield call, await sync_or_not(getattr(client, call)())
    for name, version, is_there in (
        ("digit", "", True),
        ("digit", version_of(picture), True),
        ("nothing", "", False),
    ):
        yield (
            f"is_model_ready {name} {version}",
            await sync_or_not(client.is_model_ready(name, version)) is is_there,
        )
    yield "get_server_metadata", (await sync_or_not(client.get_server_metadata())).name == "abacus"
    metadata = await sync_or_not(client.get_model_metadata("digit", version_of(picture), as_json=True))
    yield "get_model_metadata", metadata["inputs"][0]["shape"] == ["-1", "28", "28"]
    yield (
        "get_model_config",
        (await sync_or_not(client.get_model_config("digit"))).config.max_batch_size == 64,
    )
    index = await sync_or_not(client.get_model_repository_index())
    yield "get_model_repository_index", "digit" in [model.name for model in index.models]
    yield (
        "get_inference_statistics",
        bool((await sync_or_not(client.get_inference_statistics())).model_stats),
    )
    async for call, right in inferences_over_grpc(client, picture):
        yield call, right


async def inferences_over_grpc(client: Any, picture: str) -> AsyncIterator[tuple[str, bool]]:
    def given(name: str, values: Any, datatype: str) -> Any:
        tensor = tritonclient.grpc.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values)
        return tensor

    pixels = np.zeros((64, 28, 28), np.uint8)
    pixels[:, 5:23, 13:15] = 255
    for version, compression in itertools.product(("", version_of(picture)), CODINGS):
        options = {"model_version": version, "compression_algorithm": compression, "request_id": "mine"}
        answer = await infer(
            client, given("image", pixels, "UINT8"), timeout=30_000_000, client_timeout=60, **options
        )
        right = (
            answer.as_numpy("probabilities").argmax(1) == 1
        ).all() and answer.get_response().id == "mine"
        yield f"infer pixels {compression} version={version}", right
    files = given("image", np.array([Path(picture).read_bytes()] * 2, np.object_), "BYTES")
    wanted = tritonclient.grpc.InferRequestedOutput("probabilities", class_count=2)
    answer = await infer(client, files, outputs=[wanted])
    yield "infer BYTES, classification", answer.as_numpy("probabilities")[0, 0].endswith(b":7:7")
    try:
        await sync_or_not(client.infer("pass", [given("hours", np.array([[-1.0]], np.float32), "FP32")]))
    except InferenceServerException as error:
        yield "an error", "hours.0" in str(error) and "INVALID_ARGUMENT" in str(error.status())


async def main(address: str, grpc_address: str, picture: str) -> None:
    with tritonclient.http.InferenceServerClient(address) as client:
        async for call, right in ask(client, picture):
            print(f"http {call}\t{right}")
    async with tritonclient.http.aio.InferenceServerClient(address) as client:
        async for call, right in ask(client, picture):
            print(f"http.aio {call}\t{right}")
    with tritonclient.grpc.InferenceServerClient(grpc_address) as client:
        async for call, right in over_grpc(client, picture):
            print(f"grpc {call}\t{bool(right)}")
    async with tritonclient.grpc.aio.InferenceServerClient(grpc_address) as client:
        async for call, right in over_grpc(client, picture):
            print(f"grpc.aio {call}\t{bool(right)}")


asyncio.run(main(*sys.argv[1:]))
