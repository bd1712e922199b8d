#!/usr/bin/env bash
# BentoML 1.4.39 (Pillow 13.0.0), SyncHTTPClient: sending a Pillow picture to an endpoint that takes one.
#
# Guess: the picture is encoded and sent, as it is in the other direction.
# Seen: the file behind it is sent. A picture that was made, cropped or converted has none: AttributeError. One that was
# opened works until its pixels are asked for, which closes its file: then ValueError, "I/O operation on closed file".
# Why it matters: the first trial, open and send, works. It stops as soon as somebody looks at a pixel in between, resizes, or
# sends a frame of a camera: one has to write a file and to send its path.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check bentoml==1.4.39 pillow==13.0.0 || exit 2
cat > "$folder/service.py" <<'PYTHON'
import bentoml
from PIL.Image import Image


@bentoml.service
class Pictures:
    @bentoml.api
    def size(self, picture: Image) -> str:
        return f"{picture.mode} {picture.width}x{picture.height}"
PYTHON
BENTOML_HOME="$folder/home" BENTOML_DO_NOT_TRACK=True "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import pathlib
import socket
import subprocess
import sys

import bentoml
from PIL import Image

folder = pathlib.Path(sys.argv[1])
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
serve = [sys.executable, "-m", "bentoml", "serve", "service:Pictures", "--host", "127.0.0.1", "--port", str(port)]
file = folder / "grey.png"
Image.new("L", (3, 2), 7).save(file)
looked_at = Image.open(file)
looked_at.getpixel((0, 0))
pictures = {
    "a path": file,
    "opened": Image.open(file),
    "opened, one pixel asked for": looked_at,
    "opened, converted": Image.open(file).convert("RGB"),
    "made": Image.new("L", (3, 2), 7),
}
seen = {}
server = subprocess.Popen(serve, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    with bentoml.SyncHTTPClient(f"http://127.0.0.1:{port}", server_ready_timeout=60) as client:
        for name, picture in pictures.items():
            try:
                seen[name] = client.size(picture=picture)
            except (AttributeError, ValueError) as error:
                seen[name] = f"{type(error).__name__}: {error}"
            print(f"{name:28} {seen[name]}")
finally:
    server.terminate()
    server.wait()
no_file, closed = "AttributeError: 'Image' object has no attribute 'fp'", "ValueError: I/O operation on closed file"
sys.exit(0 if list(seen.values()) == ["L 3x2", "L 3x2", closed, no_file, no_file] else 1)
PYTHON
