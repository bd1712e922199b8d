#!/usr/bin/env bash
# s3fs 2026.9.0 (moto 5.2.5 as the S3 server): reading the beginning of an object that is empty.
#
# Guess: cat_file(path, start=0, end=n) gives at most n bytes of an object, so b"" of an empty one, as fsspec's own
# memory filesystem does.
# Seen: OSError 22, "The requested range is not satisfiable". S3 answers 416 to a range of an object without bytes
# (RFC 9110, 15.5.17), and s3fs passes it on. cat_file(path) without a range gives b"".
# Why it matters: "read at most n bytes" is how what others have written is read without trusting its size; a marker, or
# a label that is empty, then looks like a fault of the store.
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


def read(filesystem, path, **of):
    try:
        return repr(filesystem.cat_file(path, **of))
    except OSError as error:
        return f"OSError {error.errno}: {error.strerror}"


server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
_, port = server.get_host_and_port()
s3 = fsspec.filesystem("s3", endpoint_url=f"http://127.0.0.1:{port}")
s3.mkdir("bucket")
seen = {}
for name, filesystem in (("memory", fsspec.filesystem("memory")), ("s3fs", s3)):
    filesystem.pipe_file("bucket/empty", b"")
    filesystem.pipe_file("bucket/four", b"four")
    seen[name] = [
        read(filesystem, "bucket/four", start=0, end=16),
        read(filesystem, "bucket/empty", start=0, end=16),
        read(filesystem, "bucket/empty"),
    ]
    print(f"{name}: first 16 of four bytes {seen[name][0]}; first 16 of none {seen[name][1]}; all of none {seen[name][2]}")
server.stop()
as_stated = seen["memory"] == ["b'four'", "b''", "b''"] and seen["s3fs"] == [
    "b'four'",
    "OSError 22: The requested range is not satisfiable",
    "b''",
]
sys.exit(0 if as_stated else 1)
PYTHON
