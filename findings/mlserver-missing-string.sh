#!/usr/bin/env bash
# MLServer 1.7.1, NumpyCodec: a BYTES tensor in JSON in which not every element is a string.
#
# Guess: strings stay what they are; a null among them is None, or is refused.
# Seen: every element is cut to as many bytes as the last dimension of the shape: in a column, [N, 1], "mouse" becomes b"m" and
# the null b"N", of "None"; in a row of three b"mou" and b"Non". Without the null they are whole. Nothing is raised.
# Why it matters: one missing value in a column of categories changes the others, too. NumpyCodec is how a model takes its
# input as an array, and a null is how JSON has what is missing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check mlserver==1.7.1 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

from mlserver.codecs import NumpyCodec
from mlserver.types import RequestInput

tensors = {
    "column": ([3, 1], ["cat", "mouse", "mole"]),
    "column with a null": ([3, 1], ["cat", "mouse", None]),
    "row with a null": ([1, 3], ["cat", "mouse", None]),
    "column with a number": ([3, 1], ["cat", "mouse", 12]),
}
seen = {}
for name, (shape, data) in tensors.items():
    sent = json.dumps({"name": "animal", "shape": shape, "datatype": "BYTES", "data": data})
    array = NumpyCodec.decode_input(RequestInput.model_validate_json(sent))
    seen[name] = array.ravel().tolist()
    print(f"{name:20} {shape}: sent {json.dumps(data)}, read {seen[name]} ({array.dtype})")
cut = [[b"c", b"m", b"N"], [b"cat", b"mou", b"Non"], [b"c", b"m", b"1"]]
sys.exit(0 if list(seen.values()) == [["cat", "mouse", "mole"], *cut] else 1)
PYTHON
