#!/usr/bin/env bash
# tritonclient 2.73.0, HTTP and gRPC: an input that is given as a masked array of NumPy, or as an object array with None.
#
# Guess: what is masked is NaN, or it is refused; None is refused.
# Seen: as bytes, which is the default, a masked float is 1e20 and a masked integer 999999, NumPy's fill values; in JSON both are 0.0.
# None among strings is the string "None", as bytes and in JSON. Nothing is raised or warned.
# Why it matters: netCDF4 and rasterio read gaps as masked arrays, and data frames have None for a missing text. A server takes 1e20 for
# a measurement and "None" for a word, and the answer to the same array depends on which of two forms it was sent in.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check 'tritonclient[http,grpc]==2.73.0' numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import deserialize_bytes_tensor

LENGTH = "Inference-Header-Content-Length"
ANSWER = {"model_name": "m", "outputs": [{"name": "y", "shape": [1], "datatype": "FP32", "data": [0.0]}]}
received = []


class Server(BaseHTTPRequestHandler):
    """Answers as a model of one output would, and keeps the tensor of each request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        size = int(self.headers.get(LENGTH, len(body)))
        (tensor,) = json.loads(body[:size])["inputs"]
        received.append(tensor.get("data") or body[size:])
        answer = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


def read(data, datatype):
    """The elements that a server finds in the octets, or in the list."""
    if isinstance(data, list):
        return data
    if datatype == "BYTES":
        return [text.decode() for text in deserialize_bytes_tensor(data)]
    return np.frombuffer(data, {"FP32": "<f4", "INT32": "<i4"}[datatype]).tolist()


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.server_port}")
arrays = {
    "FP32": np.ma.array([1, 2], mask=[False, True], dtype="float32"),
    "INT32": np.ma.array([1, 2], mask=[False, True], dtype="int32"),
    "BYTES": np.array(["cat", None], object),
}
seen = {}
for datatype, array in arrays.items():
    of_grpc = tritonclient.grpc.InferInput("x", [2], datatype).set_data_from_numpy(array)
    found = [read(of_grpc._get_content(), datatype)]
    for binary in (True, False):
        sent = tritonclient.http.InferInput("x", [2], datatype).set_data_from_numpy(array, binary_data=binary)
        client.infer("m", [sent], outputs=[tritonclient.http.InferRequestedOutput("y", binary_data=False)])
        found.append(read(received[-1], datatype))
    seen[datatype] = found
    print(f"{datatype:5} {array.tolist()}: gRPC {found[0]}, HTTP as bytes {found[1]}, HTTP in JSON {found[2]}")
client.close()
server.shutdown()
huge = np.float32(1e20).item()
expected = {
    "FP32": [[1.0, huge], [1.0, huge], [1.0, 0.0]],
    "INT32": [[1, 999999], [1, 999999], [1, 0.0]],
    "BYTES": [["cat", "None"]] * 3,
}
sys.exit(0 if seen == expected else 1)
PYTHON
