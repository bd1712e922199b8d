#!/usr/bin/env bash
# KServe 0.21.0, its server and its REST client: a file, such as a JPEG, as an element of BYTES in binary tensor data.
#
# Guess: the octets arrive as they are; that is what binary tensor data is for, and the client's default.
# Seen: the server answers 500, 'Failed to encode "b'\xff\xd8…'" using UTF-8. Please use binary_data=True', which it was. Both ends make
# strings of JSON of the octets as they read them, so the client fails in the same words where a server answers a file. Over gRPC the
# same request is answered.
# Why it matters: pictures and sounds are sent so. Texts pass, so it is found with the first real file; and a server of another
# make, which answers the same client, looks like the odd one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check kserve==0.21.0 numpy==2.4.6 || exit 2
cat > "$folder/predictor.py" <<'PYTHON'
import sys

import numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer


class Length(Model):
    def __init__(self):
        super().__init__("length")
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        (file,) = payload.inputs[0].as_numpy()
        answer = InferOutput("y", [1], "INT32")
        answer.set_data_from_numpy(np.array([len(file)], "int32"), binary_data=False)
        return InferResponse("1", "length", [answer])


if __name__ == "__main__":
    http, grpc = map(int, sys.argv[1:])
    sys.argv[1:] = []
    ModelServer(http_port=http, grpc_port=grpc).start([Length()])
PYTHON
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import asyncio
import json
import logging
import socket
import subprocess
import sys
import time

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.errors import InferenceError

JPEG, TEXT = b"\xff\xd8\xff\xe0\x00\x10JFIF", b"a text"
logging.disable()


def asked(content):
    file = InferInput("file", [1], "BYTES")
    file.set_data_from_numpy(np.array([content], np.object_), binary_data=True)
    return InferRequest("length", [file])


def answers_a_file(request):
    """As any server may, in the same form."""
    octets = len(JPEG).to_bytes(4, "little") + JPEG
    output = {"name": "y", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(octets)}}
    head = json.dumps({"model_name": "length", "outputs": [output]}).encode()
    return httpx.Response(200, content=head + octets, headers={"Inference-Header-Content-Length": str(len(head))})


async def outcome(call):
    try:
        return (await call).outputs[0].as_numpy().tolist()
    except httpx.HTTPStatusError as error:
        return error.response.status_code, error.response.text
    except (InferenceError, grpc.RpcError) as error:
        return type(error).__name__, str(error)


async def ask(http, rpc):
    seen = {}
    rest = InferenceRESTClient(RESTConfig(protocol="v2"))
    for name, content in (("text", TEXT), ("JPEG", JPEG)):
        seen["REST", name] = await outcome(rest.infer(f"http://127.0.0.1:{http}", asked(content), model_name="length"))
        async with InferenceGRPCClient(f"127.0.0.1:{rpc}") as client:
            seen["gRPC", name] = await outcome(client.infer(asked(content)))
    mocked = InferenceRESTClient(RESTConfig(protocol="v2", transport=httpx.MockTransport(answers_a_file)))
    seen["REST", "JPEG as an answer"] = await outcome(mocked.infer("http://127.0.0.1", asked(TEXT), model_name="length"))
    return seen


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


ports = free_port(), free_port()
command = [sys.executable, f"{sys.argv[1]}/predictor.py", *map(str, ports)]
server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(300):
        try:
            httpx.get(f"http://127.0.0.1:{ports[0]}/v2/health/ready")
            break
        except httpx.TransportError:
            time.sleep(0.2)
    seen = asyncio.run(ask(*ports))
finally:
    server.terminate()
    server.wait()
for (how, what), came in seen.items():
    print(f"{what} over {how}: {came}")
status, said = seen["REST", "JPEG"]
as_stated = (
    (seen["REST", "text"], seen["gRPC", "text"], seen["gRPC", "JPEG"]) == ([len(TEXT)], [len(TEXT)], [len(JPEG)])
    and (status, "Please use binary_data=True" in said) == (500, True)
    and seen["REST", "JPEG as an answer"][0] == "InferenceError"
)
sys.exit(0 if as_stated else 1)
PYTHON
