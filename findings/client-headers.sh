#!/usr/bin/env bash
# tritonclient 2.73.0 (HTTP) and KServe 0.21.0 (its REST client): the `headers` that a caller passes to infer().
#
# Guess: they are sent, and stay what they are.
# Seen: both clients write the length of the JSON part of this request into the caller's dict (KServe a Content-Type, too). A later
# request in JSON with the same dict sends the old length: here more octets than its whole body has, and called octets by KServe.
# Why it matters: headers with a key are made once and passed to every call. What works alone fails once a binary request has gone
# before, and a header length is what a server cuts the body by.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check 'tritonclient[http]==2.73.0' kserve==0.21.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import tritonclient.http
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

LENGTH = "inference-header-content-length"
ANSWER = {"model_name": "m", "outputs": [{"name": "y", "shape": [1], "datatype": "FP32", "data": [0.0]}]}
received = []


class Server(BaseHTTPRequestHandler):
    """Answers as a model of one output would, and keeps what length each request says and has."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.append((self.headers.get(LENGTH), len(body), self.headers.get("Content-Type")))
        answer = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


def ask_triton(address, tensor, binary, headers):
    client = tritonclient.http.InferenceServerClient(address)
    sent = tritonclient.http.InferInput("x", [len(tensor)], "FP32")
    sent.set_data_from_numpy(tensor, binary_data=binary)
    output = tritonclient.http.InferRequestedOutput("y", binary_data=False)
    client.infer("m", [sent], outputs=[output], headers=headers)
    client.close()


def ask_kserve(address, tensor, binary, headers):
    sent = InferInput("x", [len(tensor)], "FP32")
    sent.set_data_from_numpy(tensor, binary_data=binary)
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    request = InferRequest(model_name="m", infer_inputs=[sent])
    asyncio.run(client.infer(f"http://{address}", request, model_name="m", headers=headers))


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"127.0.0.1:{server.server_port}"
as_stated = []
for name, ask in (("tritonclient", ask_triton), ("KServe", ask_kserve)):
    headers = {"X-Key": "secret"}
    for binary in (True, False):
        ask(address, np.ones(2, "float32"), binary, headers)
        said, length, kind = received[-1]
        print(f"{name}, {'binary' if binary else 'JSON'}: header length {said}, body {length}, {kind}; the caller's dict: {headers}")
    as_stated += [any(key.lower() == LENGTH for key in headers), said is not None and int(said) > length]
server.shutdown()
sys.exit(0 if all(as_stated) else 1)
PYTHON
