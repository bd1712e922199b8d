#!/usr/bin/env bash
# tritonclient 2.73.0, http.aio, and MLServer 1.7.1, each by default: asking for a model's metadata.
#
# Guess: the list of inputs, as from tritonclient.http, as both speak the Open Inference Protocol.
# Seen: UnicodeDecodeError once the answer is longer than 500 bytes. The asynchronous client asks for gzip, deflate and br
# with every request, and unpacks answers to infer() alone; the server packs what is long. "Accept-Encoding: identity" helps.
# Why it matters: a trial with a model of a few inputs works; one of 30 columns, or a proxy that packs, breaks the client
# before its first prediction, with a message of bytes that names neither.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/client" || exit 2
"$folder/client/bin/pip" install -qq --disable-pip-version-check 'tritonclient[http]==2.73.0' || exit 2
"${PYTHON:-python3}" -m venv "$folder/server" || exit 2
"$folder/server/bin/pip" install -qq --disable-pip-version-check mlserver==1.7.1 || exit 2
cat > "$folder/echo_model.py" <<'PYTHON'
from mlserver import MLModel


class Echo(MLModel):
    async def load(self):
        return True
PYTHON
"$folder/client/bin/python" - "$folder" <<'PYTHON'
import asyncio
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import tritonclient.http
import tritonclient.http.aio

folder = pathlib.Path(sys.argv[1])
sockets = [socket.socket() for _ in range(3)]
for free in sockets:
    free.bind(("127.0.0.1", 0))
ports = [free.getsockname()[1] for free in sockets]
for free in sockets:
    free.close()
address = f"127.0.0.1:{ports[0]}"
for name, count in (("few", 3), ("many", 30)):
    (folder / name).mkdir()
    inputs = [{"name": f"column_{index}", "datatype": "FP32", "shape": [-1, 1]} for index in range(count)]
    settings = {"name": name, "implementation": "echo_model.Echo", "inputs": inputs}
    (folder / name / "model-settings.json").write_text(json.dumps(settings))
settings = dict(zip(("http_port", "grpc_port", "metrics_port"), ports), host="127.0.0.1", parallel_workers=0)
(folder / "settings.json").write_text(json.dumps(settings))


async def asynchronous(model, headers):
    async with tritonclient.http.aio.InferenceServerClient(address) as client:
        try:
            return len((await client.get_model_metadata(model, headers=headers))["inputs"])
        except UnicodeDecodeError:
            return "UnicodeDecodeError"


environment = os.environ | {"PYTHONPATH": str(folder)}
command = [folder / "server/bin/mlserver", "start", folder]
server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    client = tritonclient.http.InferenceServerClient(address)
    for _ in range(600):
        try:
            if client.is_model_ready("few") and client.is_model_ready("many"):
                break
        except OSError:
            pass
        time.sleep(0.2)
    seen = {}
    for model in ("few", "many"):
        seen[model] = (
            len(client.get_model_metadata(model)["inputs"]),
            asyncio.run(asynchronous(model, {})),
            asyncio.run(asynchronous(model, {"Accept-Encoding": "identity"})),
        )
        print(f"{model}: inputs by http {seen[model][0]}, by http.aio {seen[model][1]}, with identity {seen[model][2]}")
finally:
    server.terminate()
    server.wait()
sys.exit(0 if list(seen.values()) == [(3, 3, 3), (30, "UnicodeDecodeError", 30)] else 1)
PYTHON
