#!/usr/bin/env bash
# MLServer 1.7.1 with adaptive batching (max_batch_size, max_batch_time): requests whose tensors have different datatypes.
#
# Guess: each is read by its own datatype, as it is alone; or requests that do not fit are not put together.
# Seen: all of a batch are read by the datatype of the first, and have their answers in it, with status 200. 0.5 as FP32 behind a
# neighbour that sends INT64 is 0. A parameter of a request, as a threshold, is for all of them that of the last.
# Why it matters: whole numbers are INT64 to one client and FP32 to another, and alone both are right. Only under load, and by
# who came first, one of them gets the answer to other numbers, and asking again gives the right one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check mlserver==1.7.1 numpy==2.4.6 || exit 2
mkdir "$folder/model"
cat > "$folder/model/tenfold.py" <<'PYTHON'
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Tenfold(MLModel):
    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0]) * 10
        threshold = getattr(payload.parameters, "threshold", None)
        outputs = [NumpyCodec.encode_output("tenfold", rows)]
        if threshold is not None:
            outputs.append(NumpyCodec.encode_output("above", rows > threshold))
        return InferenceResponse(model_name=self.name, outputs=outputs)
PYTHON
cat > "$folder/model/model-settings.json" <<'JSON'
{"name": "tenfold", "implementation": "tenfold.Tenfold", "max_batch_size": 2, "max_batch_time": 1.5}
JSON
cd "$folder/model"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

held = [socket.socket() for _ in range(3)]
for one in held:
    one.bind(("127.0.0.1", 0))
http, grpc, metrics = (one.getsockname()[1] for one in held)
for one in held:
    one.close()
settings = {"HOST": "127.0.0.1", "HTTP_PORT": http, "GRPC_PORT": grpc, "METRICS_PORT": metrics, "PARALLEL_WORKERS": 0}
environment = os.environ | {f"MLSERVER_{name}": str(value) for name, value in settings.items()}
mlserver = os.path.join(os.path.dirname(sys.executable), "mlserver")


def call(path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{http}/v2/{path}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def ask(datatype, value, threshold=None):
    body = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": datatype, "data": [value]}]}
    if threshold is not None:
        body["parameters"] = {"threshold": threshold}
    outputs = json.loads(call("models/tenfold/infer", json.dumps(body).encode()))["outputs"]
    return [(output["datatype"], output["data"][0]) for output in outputs]


def ask_together(*requests):
    """The requests' answers; each is sent while the one before waits for its batch."""
    with ThreadPoolExecutor() as pool:
        answers = []
        for request in requests:
            answers.append(pool.submit(ask, *request))
            time.sleep(0.3)
        return [answer.result() for answer in answers]


server = subprocess.Popen([mlserver, "start", "."], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(240):
        try:
            call("models/tenfold/ready")
            break
        except OSError:
            time.sleep(0.25)
    seen = []
    for requests in (
        (("FP32", 0.5),),
        (("INT64", 3), ("FP32", 0.5)),
        (("FP32", 0.5), ("INT64", 3)),
        (("FP32", 0.5, 2.0), ("FP32", 0.6, 50.0)),
    ):
        seen.append(ask_together(*requests))
        for request, answer in zip(requests, seen[-1]):
            print(f"{'alone' if len(requests) == 1 else 'batch'}: sent {request}, ten times it is {answer}")
        print()
finally:
    server.terminate()
    server.wait()
stated = [
    [[("FP32", 5.0)]],
    [[("INT64", 30)], [("INT64", 0)]],
    [[("FP32", 5.0)], [("FP32", 30.0)]],
    [[("FP32", 5.0), ("BOOL", False)], [("FP32", 6.0), ("BOOL", False)]],
]
sys.exit(0 if seen == stated else 1)
PYTHON
