#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU: calling a compiled model of two inputs with one of them.
#
# Guess: an error that names the missing input, as from onnxruntime.
# Seen: it is computed with that input's values of the call before, whose number of rows may have been another: two rows
# are then added to the one that is left over. With no input at all, the last answer is computed once more.
# Why it matters: a client that forgets a field is answered, plausibly and wrongly, by what the caller before it sent.
# Inputs have to be compared with the signature before the call.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 \
    numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper

a, b, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "aby")
graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "add", [a, b], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
core = openvino.Core()
compiled = core.compile_model(core.read_model(model), "CPU")
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def with_openvino(inputs):
    return compiled(inputs)["y"].tolist()


def with_onnxruntime(inputs):
    try:
        return session.run(["y"], inputs)[0].tolist()
    except ValueError as error:
        return f"ValueError: {error}"


ones, twos, hundreds = (np.full((rows, 2), value, "float32") for rows, value in ((1, 1), (2, 2), (1, 100)))
calls = {
    "a = 1, b = 100": {"a": ones, "b": hundreds},
    "a = 1": {"a": ones},
    "a = 2, two rows": {"a": twos},
    "nothing": {},
}
seen = {}
for name, inputs in calls.items():
    seen[name] = with_openvino(inputs)
    print(f"{name:16} OpenVINO {seen[name]}; onnxruntime {with_onnxruntime(inputs)}")
one_row, two_rows = [[101, 101]], [[102, 102], [102, 102]]
refused = [with_onnxruntime(inputs).startswith("ValueError") for inputs in list(calls.values())[1:]]
sys.exit(0 if list(seen.values()) == [one_row, one_row, two_rows, two_rows] and all(refused) else 1)
PYTHON
