#!/usr/bin/env bash
# s3fs 2026.9.0 (moto 5.2.5 as the S3 server): open(path, "xb") of an object that exists, closed without a byte written.
#
# Guess: FileExistsError and the object as it was, as with bytes written, and as from fsspec's memory filesystem.
# Seen: nothing is raised and the object is empty afterwards: what was in it is gone. With one byte written it is FileExistsError
# and the object stays. Without bytes s3fs puts an empty object in another way, which leaves the condition out.
# Why it matters: an empty file opened exclusively is how a lock or a "done" mark is set. Two that set it both believe they were
# first, and a name that meets a real object destroys it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check s3fs==2026.9.0 fsspec==2026.9.0 'moto[s3]==5.2.5' \
    flask==3.1.3 flask-cors==6.0.5 || exit 2
AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AWS_DEFAULT_REGION=us-east-1 "$folder/venv/bin/python" - <<'PYTHON'
import logging
import sys

import fsspec
from moto.server import ThreadedMotoServer

logging.disable(logging.INFO)


def create(filesystem, data):
    """The outcome of creating what is there already, and what is there afterwards."""
    filesystem.pipe_file("bucket/weights", b"weights")
    try:
        with filesystem.open("bucket/weights", "xb") as file:
            file.write(data)
        outcome = "nothing raised"
    except FileExistsError:
        outcome = "FileExistsError"
    return outcome, filesystem.cat_file("bucket/weights")


server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
_, port = server.get_host_and_port()
s3 = fsspec.filesystem("s3", endpoint_url=f"http://127.0.0.1:{port}")
s3.mkdir("bucket")
seen = {}
for name, filesystem in (("memory", fsspec.filesystem("memory")), ("s3fs", s3)):
    for data in (b"x", b""):
        seen[name, data] = create(filesystem, data)
        print(f"{name}: writing {data!r} exclusively: {seen[name, data][0]}; the object is {seen[name, data][1]!r}")
server.stop()
kept = ("FileExistsError", b"weights")
sys.exit(0 if list(seen.values()) == [kept, kept, kept, ("nothing raised", b"")] else 1)
PYTHON
