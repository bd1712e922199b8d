"""Asks with KServe's own clients: `ask_kserve.py URL GRPC PICTURE` prints `call<TAB>outcome` lines.

Runs in an environment of its own, with kserve and without this project.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, Model, RESTConfig
from kserve.context import set_predictor_config
from kserve.predictor_config import PredictorConfig
from kserve.protocol.infer_type import RequestedOutput


def asked(values: Any, datatype: str, binary: bool, model: str = "digit", **more: Any) -> InferRequest:
    given = InferInput("image", list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return InferRequest(model, [given], request_id="mine", **more)


def digits(response: Any) -> list[int]:
    found: list[int] = response.outputs[0].as_numpy().argmax(1).tolist()
    return found


def pictures(picture: str) -> tuple[Any, Any]:
    """Three drawn ones as pixels, and two files of a seven."""
    pixels = np.zeros((3, 28, 28), np.uint8)
    pixels[:, 5:23, 13:15] = 255
    return pixels, np.array([Path(picture).read_bytes()] * 2, np.object_)


async def over_rest(client: Any, url: str, picture: str) -> AsyncIterator[tuple[str, bool]]:
    pixels, files = pictures(picture)
    yield "is_server_live", await client.is_server_live(url)
    yield "is_server_ready", await client.is_server_ready(url)
    yield "is_model_ready", await client.is_model_ready(url, "digit")
    yield "is_model_ready nothing", await client.is_model_ready(url, "nothing") is False
    wanted = [RequestedOutput("probabilities", {"binary_data": True})]
    for binary in (False, True):
        for outputs in (None, wanted):
            request = asked(pixels, "UINT8", binary, request_outputs=outputs)
            response = await client.infer(url, request, model_name="digit")
            right = digits(response) == [1, 1, 1] and response.id == "mine"
            count = 1 if outputs else 2
            yield f"infer pixels binary={binary} outputs={count}", right and len(response.outputs) == count
    response = await client.infer(url, asked(files, "BYTES", True), model_name="digit")
    yield "infer BYTES", digits(response) == [7, 7]
    try:
        await client.infer(url, asked(files, "BYTES", True, "nothing"), model_name="nothing")
    except httpx.HTTPStatusError as error:
        yield "an error", "no model 'nothing'" in str(error)


async def over_grpc(client: Any, picture: str) -> AsyncIterator[tuple[str, bool]]:
    pixels, files = pictures(picture)
    yield "is_server_live", await client.is_server_live()
    yield "is_server_ready", await client.is_server_ready()
    yield "is_model_ready", await client.is_model_ready("digit")
    yield "is_model_ready nothing", await client.is_model_ready("nothing") is False
    for binary in (False, True):
        response = await client.infer(asked(pixels, "UINT8", binary))
        right = digits(response) == [1, 1, 1] and response.id == "mine"
        yield f"infer pixels raw={binary}", right and len(response.outputs) == 2
    yield "infer BYTES", digits(await client.infer(asked(files, "BYTES", True))) == [7, 7]
    try:
        await client.infer(asked(files, "BYTES", True, "nothing"))
    except grpc.RpcError as error:
        yield "an error", error.code() is grpc.StatusCode.NOT_FOUND


async def as_a_transformer(hosts: dict[str, str], picture: str) -> AsyncIterator[tuple[str, bool]]:
    pixels, _ = pictures(picture)
    for protocol, host in hosts.items():
        set_predictor_config(PredictorConfig(host, predictor_protocol=protocol))
        for binary in (False, True):
            response = await Model("digit").predict(asked(pixels, "UINT8", binary))
            yield f"{protocol} binary={binary}", digits(response) == [1, 1, 1]


async def main(url: str, address: str, picture: str) -> None:
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        async for call, right in over_rest(client, url, picture):
            print(f"rest {call}\t{bool(right)}")
    async with InferenceGRPCClient(address) as client:
        async for call, right in over_grpc(client, picture):
            print(f"grpc {call}\t{bool(right)}")
    async for call, right in as_a_transformer(
        {"v2": url.removeprefix("http://"), "grpc-v2": address}, picture
    ):
        print(f"transformer {call}\t{bool(right)}")


asyncio.run(main(*sys.argv[1:]))
