#!/usr/bin/env bash
# KServe 0.21.0, a transformer (kserve.Model) that asks a predictor over REST, by the Open Inference Protocol ("v2").
#
# Guess: an InferRequest goes on as it is; set_data_from_numpy makes octets of arrays by default, which both ends know.
# Seen: the request has two fields Content-Type, application/json and then application/octet-stream, and KServe's own predictor answers
# 400, "There was an error parsing the body". KServe's REST client sends the same request with one, and gets its answer. So does a
# transformer with binary_data=False.
# Why it matters: a transformer that was tested with JSON fails once it sends arrays as its documents show. Servers that read the last
# field, or none, answer; those that read the first fail, and those that refuse a repeated field do so too.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check kserve==0.21.0 numpy==2.4.6 || exit 2
cat > "$folder/predictor.py" <<'PYTHON'
import sys

import numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer


class Double(Model):
    def __init__(self):
        super().__init__("double")
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        numbers = payload.inputs[0].as_numpy()
        doubled = InferOutput("y", list(numbers.shape), "FP32")
        doubled.set_data_from_numpy((2 * numbers).astype(np.float32), binary_data=False)
        return InferResponse("1", "double", [doubled])


if __name__ == "__main__":
    ModelServer(http_port=int(sys.argv.pop()), enable_grpc=False).start([Double()])
PYTHON
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import asyncio
import socket
import subprocess
import sys
import time

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, Model, RESTConfig
from kserve.context import set_predictor_config
from kserve.predictor_config import PredictorConfig

sent = []
send = httpx.AsyncClient.send


async def watched(self, request, **options):
    sent.append([value for name, value in request.headers.multi_items() if name == "content-type"])
    return await send(self, request, **options)


httpx.AsyncClient.send = watched


def asked(binary):
    numbers = InferInput("x", [2], "FP32")
    numbers.set_data_from_numpy(np.array([1, 2], "float32"), binary_data=binary)
    return InferRequest("double", [numbers])


async def outcome(call):
    try:
        return (await call).outputs[0].as_numpy().tolist()
    except httpx.HTTPStatusError as error:
        return error.response.status_code, error.response.text


async def ask(port):
    set_predictor_config(PredictorConfig(f"127.0.0.1:{port}", predictor_protocol="v2"))
    seen = {}
    for binary in (False, True):
        seen["transformer", binary] = await outcome(Model("double").predict(asked(binary)))
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        call = client.infer(f"http://127.0.0.1:{port}", asked(binary), model_name="double")
        seen["client", binary] = await outcome(call)
    return seen


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command = [sys.executable, f"{sys.argv[1]}/predictor.py", str(port)]
server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(300):
        try:
            httpx.get(f"http://127.0.0.1:{port}/v2/health/ready")
            break
        except httpx.TransportError:
            time.sleep(0.2)
    seen = asyncio.run(ask(port))
finally:
    server.terminate()
    server.wait()
for (who, binary), types in zip(seen, sent, strict=True):
    print(f"{who:11} {'octets' if binary else 'JSON':6} Content-Type {types}: {seen[who, binary]}")
as_stated = (
    seen["transformer", False] == seen["client", False] == seen["client", True] == [2.0, 4.0]
    and seen["transformer", True][0] == 400
    and sent[2] == ["application/json", "application/octet-stream"]
    and len(sent[3]) == 1
)
sys.exit(0 if as_stated else 1)
PYTHON
