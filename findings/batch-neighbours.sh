#!/usr/bin/env bash
# mosec 0.9.8 and LitServe 0.2.19, batches of up to four: one request among four whose JSON is cut short, or lacks its field.
#
# Guess: a request is decoded by itself, so the one that is wrong is answered 4xx and its neighbours as ever.
# Seen: all four get the one's error. In mosec a ValidationError, raised as its documents say, tells four clients, three of them
# right, 422 and why; in LitServe a missing field is 500 for all. An empty body is 200 in mosec, with the text "no data provided".
# Why it matters: a client that is told 422 corrects what was right, and does not ask again; the faults of one caller stand in the
# statistics of the others. Whoever looks at the status alone takes "no data provided" for a prediction.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check mosec==0.9.8 litserve==0.2.19 httpx==0.28.1 || exit 2
cat > "$folder/with_mosec.py" <<'PYTHON'
import json

from mosec import Server, ValidationError, Worker


class Double(Worker):
    def deserialize(self, data):
        try:
            return json.loads(data)["x"]
        except (ValueError, KeyError) as error:
            raise ValidationError("not as agreed") from error

    def forward(self, data):
        return [2 * number for number in data]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Double, num=1, max_batch_size=4, max_wait_time=1000)
    server.run()
PYTHON
cat > "$folder/with_litserve.py" <<'PYTHON'
import sys

import litserve


class Double(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["x"]

    def predict(self, numbers):
        return [2 * number for number in numbers]

    def encode_response(self, number):
        return number


if __name__ == "__main__":
    server = litserve.LitServer(Double(max_batch_size=4, batch_timeout=1), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[-1]), generate_client_file=False, log_level="error")
PYTHON
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import asyncio
import socket
import subprocess
import sys

import httpx

FOUR = [b'{"x": 1}', b'{"x": 2}', b'{"x": 3}', b'{"x": 4}']


async def ask(client, path, bodies):
    headers = {"Content-Type": "application/json"}
    answers = await asyncio.gather(*(client.post(path, content=body, headers=headers) for body in bodies))
    return [(answer.status_code, answer.text) for answer in answers]


async def ask_all(port, path, ready, cases):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for _ in range(300):
            try:
                if (await client.get(ready)).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)
        return [await ask(client, path, bodies) for bodies in cases]


def serve(script, path, ready, cases):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, script, "--port", str(port)]
    server = subprocess.Popen(command, cwd=sys.argv[1], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return asyncio.run(ask_all(port, path, ready, cases))
    finally:
        server.terminate()
        server.wait()


one_cut, one_other = [FOUR[0], b'{"x": 2', *FOUR[2:]], [FOUR[0], b'{"y": 2}', *FOUR[2:]]
mosec = serve("with_mosec.py", "/inference", "/metrics", [FOUR, one_cut, [b""]])
litserve = serve("with_litserve.py", "/predict", "/health", [FOUR, one_other])
for name, answers in (("mosec", mosec), ("LitServe", litserve)):
    for answer in answers:
        print(name, answer)
right = [(200, "2"), (200, "4"), (200, "6"), (200, "8")]
as_stated = [
    mosec[0] == right,
    len(set(mosec[1])) == 1 and mosec[1][0][0] == 422,
    mosec[2] == [(200, "no data provided")],
    litserve[0] == right,
    [status for status, _ in litserve[1]] == [500] * 4,
]
sys.exit(0 if all(as_stated) else 1)
PYTHON
