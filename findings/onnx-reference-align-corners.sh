#!/usr/bin/env bash
# onnx 1.23.2, its ReferenceEvaluator, beside onnxruntime 1.32.0: Resize by `scales` with align_corners.
#
# Guess: align_corners puts the first pixel on the first and the last on the last, whatever the scale; and the evaluator that comes
# with the standard computes what its text says.
# Seen: where length times scale is no whole number, it goes by that number (5 × 1.5 = 7.5) and not by the pixels that there are (7).
# Of a line of 0 to 40 the last pixel is then 36.9 instead of 40, and by half the scale, two pixels for 2.5, it is 26.7. Asked by
# `sizes` for the same pixels it is 40. onnxruntime gives 40 both ways.
# Why it matters: exporters are tested against this evaluator, and "the reference says so" ends a search. All pixels but the first
# are off, by up to a third here, smoothly, so that a picture looks right and coordinates read from it are not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

line = np.array([[0, 10, 20, 30, 40]], "float32")
LENGTH = line.shape[1]


def resized(asked, by):
    """The line, by the reference and by onnxruntime."""
    kind = TensorProto.FLOAT if asked == "scales" else TensorProto.INT64
    inputs = ["x", "", asked] if asked == "scales" else ["x", "", "", asked]
    node = helper.make_node("Resize", inputs, ["y"], mode="linear", coordinate_transformation_mode="align_corners")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, line.shape)
    how = helper.make_tensor_value_info(asked, kind, [2])
    graph = helper.make_graph([node], "one", [x, how], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    feed = {"x": line, asked: np.array([1, by], "float32" if asked == "scales" else "int64")}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return tuple(evaluator.run(None, feed)[0].ravel() for evaluator in (ReferenceEvaluator(model), session))


as_stated = True
for scale, last in ((0.5, 26.67), (1.5, 36.92), (1.9, 37.65), (2.0, 40.0)):
    reference, runtime = resized("scales", scale)
    by_sizes, _ = resized("sizes", int(LENGTH * scale))
    print(f"scale {scale}: {len(reference)} pixels, the last is {reference[-1]:.2f}; by sizes {by_sizes[-1]:.2f};", end=" ")
    print(f"onnxruntime {runtime[-1]:.2f}")
    as_stated &= round(float(reference[-1]), 2) == last
    as_stated &= np.allclose(by_sizes, runtime, atol=1e-4) and round(float(runtime[-1]), 2) == 40.0
sys.exit(0 if as_stated else 1)
PYTHON
