#!/usr/bin/env bash
# KServe 0.21.0, its two clients: an InferRequest with model_version.
#
# Guess: that version is asked, by whichever client; the answer says which one gave it.
# Seen: over gRPC the version goes along and comes back. The REST client asks /v2/models/m/infer, without it in path, header or
# body, and of the answer it drops model_version. Nothing is raised or warned.
# Why it matters: a comparison of two versions compares the live one with itself, and nothing in the answers tells.
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
from kserve import InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferResponse

sent = []


def answer(request):
    """Keep what the client sends; answer as version 3 of a model would."""
    sent.append(request)
    output = {"name": "y", "shape": [1], "datatype": "FP32", "data": [0.0]}
    return httpx.Response(200, json={"model_name": "m", "model_version": "3", "outputs": [output]})


def asked():
    tensor = InferInput("x", [1], "FP32")
    tensor.set_data_from_numpy(np.ones(1, "float32"), binary_data=False)
    return InferRequest("m", [tensor], model_version="2")


client = InferenceRESTClient(RESTConfig(protocol="v2", transport=httpx.MockTransport(answer)))
answered = asyncio.run(client.infer("http://127.0.0.1", asked(), model_name="m"))
(request,) = sent
body = request.content.decode()
print(f"REST: version 2 is asked as {request.url.path} {body}; the answer of version 3 has version {answered.model_version}")
over_grpc = asked().to_grpc().model_version
back = InferResponse.from_grpc(ModelInferResponse(model_name="m", model_version="3")).model_version
print(f"gRPC: version {over_grpc} is asked, the answer of version 3 has version {back}")
as_stated = (
    request.url.path == "/v2/models/m/infer"
    and "version" not in body
    and not any("version" in name for name in request.headers)
    and answered.model_version is None
    and (over_grpc, back) == ("2", "3")
)
sys.exit(0 if as_stated else 1)
PYTHON
