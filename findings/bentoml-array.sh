#!/usr/bin/env bash
# BentoML 1.4.39 (NumPy 2.4.6), SyncHTTPClient: an array that an endpoint returns as it came.
#
# Guess: the array that was sent, or at least its values.
# Seen: float32 comes back as float64 and uint8 as int64; the endpoint already has them so, as JSON says no type. One NaN or
# infinity makes the answer an array of objects, with None in its place, though the endpoint has received it right: NaN,
# infinity and minus infinity are one, and isnan raises TypeError. Nothing else is raised.
# Why it matters: a logit that ran over, a mask of minus infinities and a missing value are ordinary in arrays. "Are the values
# finite?" cannot even be asked of the answer.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check bentoml==1.4.39 numpy==2.4.6 || exit 2
cat > "$folder/service.py" <<'PYTHON'
import bentoml
import numpy as np


@bentoml.service
class Arrays:
    @bentoml.api
    def same(self, array: np.ndarray) -> np.ndarray:
        return array

    @bentoml.api
    def kind(self, array: np.ndarray) -> str:
        return f"{array.dtype} {array.tolist()}"
PYTHON
BENTOML_HOME="$folder/home" BENTOML_DO_NOT_TRACK=True "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import socket
import subprocess
import sys

import bentoml
import numpy as np

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
serve = [sys.executable, "-m", "bentoml", "serve", "service:Arrays", "--host", "127.0.0.1", "--port", str(port)]
arrays = [np.array([1.5, 2], "float32"), np.array([1, 2], "uint8"), np.array([1.5, np.nan, np.inf, -np.inf], "float32")]
seen = []
server = subprocess.Popen(serve, cwd=sys.argv[1], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    with bentoml.SyncHTTPClient(f"http://127.0.0.1:{port}", server_ready_timeout=60) as client:
        for array in arrays:
            back, there = client.same(array=array), client.kind(array=array)
            seen.append((there, str(back.dtype), back.tolist()))
            print(f"sent {array.dtype} {array.tolist()}, the endpoint has {there}, back {back.dtype} {back.tolist()}")
finally:
    server.terminate()
    server.wait()
try:
    np.isnan(back)
    refused = False
except TypeError:
    refused = True
as_stated = refused and seen == [
    ("float64 [1.5, 2.0]", "float64", [1.5, 2.0]),
    ("int64 [1, 2]", "int64", [1, 2]),
    ("float64 [1.5, nan, inf, -inf]", "object", [1.5, None, None, None]),
]
sys.exit(0 if as_stated else 1)
PYTHON
