#!/usr/bin/env bash
# s3fs 2026.9.0 (moto 5.2.5 as the S3 server): reading a range of no bytes, start = end, inside an object that has bytes.
#
# Guess: b"", as a slice [4:4] is, and as fsspec's memory filesystem gives.
# Seen: the whole object, from cat_file and from cat_ranges. "bytes=4-3" is sent, which is no valid range (RFC 9110, 14.1.1), and a
# server has to pass over such a header and send everything.
# Why it matters: files of tensors, columns and chunks are read by offsets, and a tensor without elements has start = end. Its
# reader gets gigabytes in place of nothing, the more the larger the file.
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
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
_, port = server.get_host_and_port()
s3 = fsspec.filesystem("s3", endpoint_url=f"http://127.0.0.1:{port}")
s3.mkdir("bucket")
content, offsets = b"0123456789", (0, 4, 4, 10)
starts, ends = list(offsets[:-1]), list(offsets[1:])
seen = {}
for name, filesystem in (("memory", fsspec.filesystem("memory")), ("s3fs", s3)):
    filesystem.pipe_file("bucket/tensors", content)
    one = filesystem.cat_file("bucket/tensors", start=4, end=4)
    seen[name] = one, filesystem.cat_ranges(["bucket/tensors"] * 3, starts, ends)
    print(f"{name}: [4:4] is {one}; three tensors at {offsets} are {seen[name][1]}")
server.stop()
right = [b"0123", b"", b"456789"]
as_stated = seen["memory"] == (b"", right) and seen["s3fs"] == (content, [right[0], content, right[2]])
sys.exit(0 if as_stated else 1)
PYTHON
