#!/usr/bin/env bash
# KServe 0.21.0 and MLServer 1.7.1 (Open Inference Protocol in JSON): values of another JSON type than the tensor's datatype.
#
# Guess: a string for BOOL, or a fraction for INT64, is refused, as a number that INT8 cannot hold is; or "False" is false.
# Seen: both servers read "False", "false" and "0" as True, and 1.9 as 1. None of it is raised or warned.
# Why it matters: a column of a CSV file, or of a form, is strings, and "False" is how Python writes it: every answer to "no" is
# given for "yes". The rule is NumPy's, that a string is true unless it is empty, and no model behind it can see what was sent.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for server in kserve==0.21.0 mlserver==1.7.1; do
    "${PYTHON:-python3}" -m venv "$folder/${server%%=*}" || exit 2
    "$folder/${server%%=*}/bin/pip" install -qq --disable-pip-version-check "$server" numpy==2.4.6 || exit 2
done
cat > "$folder/cases.py" <<'PYTHON'
import json
import sys


def compare(server, read):
    """Exit 0 if `read`, which takes a request's JSON and gives its first tensor, reads each case as stated."""
    cases = [
        ("BOOL", [True, False], [True, False]),
        ("BOOL", ["True", "False", "false", "0", ""], [True, True, True, True, False]),
        ("INT64", [1.9, -1.9, "7"], [1, -1, 7]),
        ("INT8", [300], "OverflowError"),
    ]
    as_stated = True
    for datatype, data, stated in cases:
        tensor = {"name": "x", "shape": [len(data)], "datatype": datatype, "data": data}
        try:
            seen = read(json.dumps({"inputs": [tensor]})).tolist()
        except OverflowError:
            seen = "OverflowError"
        print(f"{server:8} {datatype:5} {json.dumps(data)} -> {seen}")
        as_stated &= seen == stated
    sys.exit(0 if as_stated else 1)
PYTHON
cat > "$folder/with_kserve.py" <<'PYTHON'
from cases import compare
from kserve import InferRequest
from kserve.protocol.rest.v2_datamodels import InferenceRequest


def read(body):
    return InferRequest.from_inference_request(InferenceRequest.model_validate_json(body), "m").inputs[0].as_numpy()


compare("KServe", read)
PYTHON
cat > "$folder/with_mlserver.py" <<'PYTHON'
from cases import compare
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest


def read(body):
    return NumpyCodec.decode_input(InferenceRequest.model_validate_json(body).inputs[0])


compare("MLServer", read)
PYTHON
for server in kserve mlserver; do "$folder/$server/bin/python" "$folder/with_$server.py" || exit 1; done
