#!/usr/bin/env bash
# onnxruntime 1.32.0, CPU: ReduceSum of int64 and int32.
#
# Guess: integers are summed as integers: exact, and around at the end of the range, as Add does it and NumPy.
# Seen: they are summed as float64. 2^53 + 1, alone or beside a zero, comes out as 2^53, and an int32 sum that is too large stays at
# the largest int32. Add and ReduceMax of the same numbers are exact.
# Why it matters: a time in nanoseconds is 1.8e18, two hundred times 2^53, so a sum over an axis of length one changes it; so it is
# with hashes and identifiers. Tests with small numbers show nothing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def run(operator, *arrays):
    kind = helper.np_dtype_to_tensor_dtype(arrays[0].dtype)
    names = [f"x{index}" for index in range(len(arrays))]
    inputs = [helper.make_tensor_value_info(name, kind, array.shape) for name, array in zip(names, arrays)]
    node = helper.make_node(operator, names, ["y"])
    graph = helper.make_graph([node], operator, inputs, [helper.make_tensor_value_info("y", kind, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return int(session.run(["y"], dict(zip(names, arrays)))[0].item())


odd, nanoseconds = 2**53 + 1, 1_800_000_000_123_456_789
largest = np.iinfo(np.int32).max
cases = {
    "int64, one number": np.array([odd]),
    "int64, a zero beside it": np.array([odd, 0]),
    "int64, a time in nanoseconds": np.array([nanoseconds]),
    "int32, beyond the largest": np.array([largest, 1], "int32"),
}
seen = []
for name, array in cases.items():
    with_numpy = int(array.sum(dtype=array.dtype))
    seen.append(run("ReduceSum", array) - with_numpy)
    print(f"{name:30} NumPy {with_numpy}, ReduceSum {seen[-1] + with_numpy}")
exact = run("Add", np.array([odd]), np.array([0])) == run("ReduceMax", np.array([odd])) == odd
print("Add and ReduceMax are exact:", exact)
as_float = int(float(nanoseconds)) - nanoseconds
sys.exit(0 if exact and as_float and seen == [-1, -1, as_float, 2 * largest + 1] else 1)
PYTHON
