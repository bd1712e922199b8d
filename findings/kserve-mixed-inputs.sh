#!/usr/bin/env bash
# KServe 0.21.0: a request of several inputs, some in JSON (binary_data=False) and some binary, over REST and over gRPC.
#
# Guess: every input arrives, as its own flag says it is sent.
# Seen: over REST it does. Over gRPC the binary ones are raw_input_contents, of which there are then fewer than inputs, and the
# receiver takes the first for the first input, whatever it has itself: here a = [1, 2] is read as [3, 4], the values of b, without a word.
# b is empty. The specification has either raw contents for all inputs or for none.
# Why it matters: strings are sent in JSON, numbers as octets. What was tested over REST computes with other numbers once the
# protocol is changed, as one setting of a transformer does.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check kserve==0.21.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from kserve import InferInput, InferRequest

VALUES = {"a": ([1.0, 2.0], False), "b": ([3.0, 4.0], True), "c": ([5.0, 6.0], False)}


def asked():
    inputs = []
    for name, (values, binary) in VALUES.items():
        tensor = InferInput(name, [2], "FP32")
        tensor.set_data_from_numpy(np.array(values, "float32"), binary_data=binary)
        inputs.append(tensor)
    return InferRequest("m", inputs)


def read(request):
    """As a model of KServe's reads its inputs."""
    came = {}
    for tensor in request.inputs:
        try:
            came[tensor.name] = tensor.as_numpy().tolist()
        except ValueError as error:
            came[tensor.name] = str(error)
    return came


seen = {
    "REST": read(InferRequest.from_bytes(*asked().to_rest(), "m")),
    "gRPC": read(InferRequest.from_grpc(asked().to_grpc())),
}
sent = {name: values for name, (values, _) in VALUES.items()}
print(f"sent: {sent}")
for protocol, came in seen.items():
    print(f"{protocol}: {came}")
sys.exit(0 if seen["REST"] == sent and seen["gRPC"]["a"] == sent["b"] else 1)
PYTHON
