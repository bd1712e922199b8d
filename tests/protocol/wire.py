"""Requests of the protocol, byte by byte."""

import json
from typing import Any, NamedTuple

import httpx
import numpy as np
from numpy.typing import NDArray

LENGTH = "Inference-Header-Content-Length"
DTYPES = {
    "u1": "UINT8",
    "i8": "INT64",
    "f4": "FP32",
    "f8": "FP64",
    "?": "BOOL",
    "f2": "FP16",
    "i2": "INT16",
}


class Reply(NamedTuple):
    """A 200, taken apart: its JSON, and the outputs by name."""

    document: dict[str, Any]
    outputs: dict[str, Any]


def tensor(name: str, values: NDArray[Any], datatype: str = "") -> dict[str, Any]:
    """An input in JSON, flat."""
    datatype = datatype or DTYPES[values.dtype.str.lstrip("<|>=")]
    data = values.ravel().tolist()
    return {"name": name, "shape": list(values.shape), "datatype": datatype, "data": data}


def packed(strings: list[bytes]) -> bytes:
    return b"".join(len(s).to_bytes(4, "little") + s for s in strings)


def binary(name: str, data: bytes, shape: list[int], datatype: str) -> tuple[dict[str, Any], bytes]:
    size = {"binary_data_size": len(data)}
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": size}, data


def binary_of(name: str, values: NDArray[Any]) -> tuple[dict[str, Any], bytes]:
    datatype = DTYPES[values.dtype.str.lstrip("<|>=")]
    return binary(name, values.tobytes(), list(values.shape), datatype)


def body_of(*inputs: tuple[dict[str, Any], bytes], **more: Any) -> tuple[bytes, dict[str, str]]:
    """A body with bytes, and the field that tells it."""
    document = json.dumps({"inputs": [said for said, _ in inputs], **more}).encode()
    return document + b"".join(data for _, data in inputs), {LENGTH: str(len(document))}


def inferred(client: httpx.Client, model: str, body: bytes, **headers: str) -> httpx.Response:
    """Without a Content-Type, as tritonclient sends it."""
    return client.post(f"/v2/models/{model}/infer", content=body, headers=headers)


def asked(client: httpx.Client, model: str, *inputs: dict[str, Any], **more: Any) -> httpx.Response:
    return inferred(client, model, json.dumps({"inputs": inputs, **more}).encode())


def read(response: httpx.Response) -> Reply:
    assert response.status_code == 200, response.text
    length = int(response.headers.get(LENGTH, len(response.content)))
    document, rest = json.loads(response.content[:length]), response.content[length:]
    outputs = {}
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        values: Any = output.get("data")
        if size is not None:
            values, rest = _of_bytes(output["datatype"], rest[:size]), rest[size:]
        outputs[output["name"]] = np.array(values).reshape(output["shape"])
    assert rest == b""
    return Reply(document, outputs)


def _of_bytes(datatype: str, data: bytes) -> Any:
    if datatype != "BYTES":
        return np.frombuffer(data, {"FP32": "<f4", "BOOL": "?"}[datatype])
    strings = []
    while data:
        end = 4 + int.from_bytes(data[:4], "little")
        strings.append(data[4:end].decode())
        data = data[end:]
    return strings
