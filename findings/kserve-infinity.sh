#!/usr/bin/env bash
# KServe 0.21.0, its REST client and its reading of requests: an infinity in a float32 input that is sent as JSON.
#
# Guess: infinity arrives, or the client refuses it, as JSON has none.
# Seen: the client writes null for infinity, minus infinity and NaN alike, and null is read as NaN. As octets (binary_data=True,
# the default) all three arrive as they are. Nothing is raised or warned.
# Why it matters: a mask of minus infinities means "not these"; as NaN it spoils every answer. The same request, in the client's two
# forms, are two requests.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check kserve==0.21.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.rest.v2_datamodels import InferenceRequest

values = np.array([1, np.inf, -np.inf, np.nan], "float32")
sent = []


def answer(request):
    """Keep what the client sends; answer as a model of one output would."""
    sent.append(request)
    output = {"name": "y", "shape": [1], "datatype": "FP32", "data": [0.0]}
    return httpx.Response(200, json={"model_name": "m", "outputs": [output]})


async def ask(binary):
    tensor = InferInput("x", [4], "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    client = InferenceRESTClient(RESTConfig(protocol="v2", transport=httpx.MockTransport(answer)))
    await client.infer("http://127.0.0.1", InferRequest(model_name="m", infer_inputs=[tensor]), model_name="m")


def read(request):
    """As KServe's server does."""
    length = request.headers.get("inference-header-content-length")
    if length:
        return InferRequest.from_bytes(request.content, int(length), "m").inputs[0].as_numpy()
    body = InferenceRequest.model_validate_json(request.content)
    return InferRequest.from_inference_request(body, "m").inputs[0].as_numpy()


seen = {}
for name, binary in (("JSON", False), ("octets", True)):
    asyncio.run(ask(binary))
    seen[name] = read(sent[-1])
    print(f"{name}: sent {values.tolist()}, read {seen[name].tolist()}")
print("JSON:", sent[0].content.decode())
as_json = np.array([1, np.nan, np.nan, np.nan], "float32")
as_stated = np.array_equal(seen["JSON"], as_json, equal_nan=True) and np.array_equal(seen["octets"], values, equal_nan=True)
sys.exit(0 if as_stated else 1)
PYTHON
