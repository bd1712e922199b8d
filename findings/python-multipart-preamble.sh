#!/usr/bin/env bash
# python-multipart 0.0.34, which reads the forms of FastAPI and Starlette: a form with something before its first boundary.
#
# Guess: a preamble is passed over (RFC 2046, section 5.1.1), or refused, and a form is read alike however it comes.
# Seen: behind a line break it is passed over up to the next "-", but only as far as the same chunk reaches. So the form is read
# where it comes whole, and refused where the network cuts it within the preamble. One that begins with a letter is refused.
# Why it matters: a client that writes a preamble works on the loopback and fails now and then behind a proxy.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check python-multipart==0.0.34 || exit 2
"$folder/venv/bin/python" - 2> "$folder/log" <<'PYTHON'
import sys

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

PARTS = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ncontent\r\n--b--\r\n'


def read(*chunks):
    """The content of the one part, or what is wrong with the form."""
    found = bytearray()
    parser = MultipartParser(b"b", {"on_part_data": lambda data, start, end: found.extend(data[start:end])})
    try:
        for chunk in chunks:
            parser.write(chunk)
    except MultipartParseError as error:
        return f"MultipartParseError: {error}"
    return bytes(found)


form = b"\r\nFor readers without MIME.\r\n" + PARTS
whole, cut = read(form), read(form[:10], form[10:])
letter_first = read(form[2:])
print("whole:                  ", whole)
print("cut in its preamble:    ", cut)
print("without the line break: ", letter_first)
as_stated = whole == b"content" and "Parse" in str(cut) and "Parse" in str(letter_first)
sys.exit(0 if as_stated and read(PARTS) == read(PARTS[:10], PARTS[10:]) == b"content" else 1)
PYTHON
