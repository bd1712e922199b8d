#!/usr/bin/env bash
# httptools 0.9.0 (llhttp; the parser of uvicorn) and h11 0.16.0: white space behind a field's value.
#
# Guess: it is taken off: optional white space around a value is no part of it (RFC 9112, section 5.1).
# Seen: httptools takes off what is in front and keeps what is behind; h11 takes off both. Uvicorn uses whichever is
# installed, so the application gets another value by what else was installed.
# Why it matters: `Accept: text/html ` or an API key pasted with a space behind it compares equal on one machine and not
# on the other.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check httptools==0.9.0 h11==0.16.0 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import h11
import httptools

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Token:  abc \t\r\n\r\n"


class Headers(dict):
    def on_header(self, name, value):
        self[name.lower()] = value


with_httptools = Headers()
httptools.HttpRequestParser(with_httptools).feed_data(REQUEST)
connection = h11.Connection(h11.SERVER)
connection.receive_data(REQUEST)
with_h11 = dict(connection.next_event().headers)
print("httptools:", with_httptools[b"x-token"])
print("h11:      ", with_h11[b"x-token"])
sys.exit(0 if (with_httptools[b"x-token"], with_h11[b"x-token"]) == (b"abc \t", b"abc") else 1)
PYTHON
