#!/usr/bin/env bash
# httptools 0.9.0 (llhttp; the parser of uvicorn): the trailer fields of a chunked request.
#
# Guess: trailers come by a callback of their own, or not at all, as they may not be merged into the header (RFC 9110,
# section 6.5.1).
# Seen: they come through on_header, by the same callback as header fields, after on_headers_complete and the body. There
# is no flag; a caller tells them apart only by remembering that on_headers_complete was called.
# Why it matters: whoever appends in on_header to the list that was handed to the application on on_headers_complete
# changes the header of a request that is being answered.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check httptools==0.9.0 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import httptools

REQUEST = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n"
    b"2\r\nhi\r\n0\r\nX-Checksum: abc\r\n\r\n"
)


class Events(list):
    def on_header(self, name, value):
        self.append(("on_header", name, value))

    def on_headers_complete(self):
        self.append(("on_headers_complete",))

    def on_body(self, body):
        self.append(("on_body", body))

    def on_message_complete(self):
        self.append(("on_message_complete",))


events = Events()
httptools.HttpRequestParser(events).feed_data(REQUEST)
for event in events:
    print(*event)
last = [("on_headers_complete",), ("on_body", b"hi"), ("on_header", b"X-Checksum", b"abc")]
sys.exit(0 if events[-4:-1] == last else 1)
PYTHON
