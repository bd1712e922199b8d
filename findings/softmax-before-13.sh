#!/usr/bin/env bash
# ONNX models of before opset 13 with Softmax, LogSoftmax or Hardmax of more than two dimensions: onnx 1.23.2, its
# ReferenceEvaluator; OpenVINO 2026.4.1, CPU; onnxruntime 1.32.0.
#
# Guess: an old model means what it meant: before opset 13, `axis` (1 if not given) is where the dimensions are cut in two, and all
# from there on are one distribution.
# Seen: the evaluator computes all three operators as if they were of opset 13, along the one axis, in every opset, and without an
# axis along the last: ten classes of shape [1, 10, 1, 1] are all exactly 1.0. OpenVINO goes along the one axis too, but only in
# Softmax and only of opset 11 and 12. There, with an axis, the standard's own evaluator and OpenVINO agree against onnxruntime and
# the standard as written, which NumPy computes here: what should sum to 1 sums to 4. Nothing is raised or warned.
# Why it matters: which of two backends is right is settled with this evaluator, and here it says the wrong one. Its page says that
# mismatches with the standard may remain, and names none. OpenVINO's own is known there (issue 37823); the release still has it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnx==1.23.2 openvino==2026.4.1 onnxruntime==1.32.0 numpy==2.4.6 \
    || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

core = openvino.Core()
cube = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


def along(operator, x, axis):
    """As opset 13 defines it."""
    shifted = x - x.max(axis, keepdims=True)
    total = np.exp(shifted).sum(axis, keepdims=True)
    if operator == "Hardmax":
        return (shifted == 0).astype("float32")
    return np.exp(shifted) / total if operator == "Softmax" else shifted - np.log(total)


def cut_in_two(operator, x, axis):
    """As the opsets before 13 define it."""
    axis = 1 if axis is None else axis
    return along(operator, x.reshape(int(np.prod(x.shape[:axis])), -1), 1).reshape(x.shape)


def run(operator, opset, axis, x):
    node = helper.make_node(operator, ["x"], ["y"], **({} if axis is None else {"axis": axis}))
    given, found = (helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xy")
    graph = helper.make_graph([node], operator, [given], [found])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)
    onnx.checker.check_model(model, full_check=True)
    octets = model.SerializeToString()
    session = onnxruntime.InferenceSession(octets, providers=["CPUExecutionProvider"])
    return {
        "onnxruntime": session.run(["y"], {"x": x})[0],
        "evaluator": ReferenceEvaluator(model).run(["y"], {"x": x})[0],
        "OpenVINO": core.compile_model(core.read_model(octets), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})["y"],
    }


as_stated = True
for operator in ("Softmax", "LogSoftmax", "Hardmax"):
    for opset in (7, 9, 11, 12):
        for axis in (None, 1):
            right, newer = cut_in_two(operator, cube, axis), along(operator, cube, -1 if axis is None else axis)
            seen = {}
            for name, answer in run(operator, opset, axis, cube).items():
                matches = {"as of its opset": right, "as of 13": newer, "along 1": along(operator, cube, 1)}
                seen[name] = next((what for what, y in matches.items() if np.allclose(answer, y, atol=1e-5)), "neither")
            print(f"{operator:10} opset {opset:2} axis {axis}: {seen}")
            wrong = operator == "Softmax" and opset in (11, 12)
            as_stated = as_stated and seen["onnxruntime"] == "as of its opset" and seen["evaluator"] == "as of 13"
            as_stated = as_stated and (seen["OpenVINO"] != "as of its opset") == wrong
sums = {name: float(answer[0].sum()) for name, answer in run("Softmax", 11, 1, cube).items()}
print("Softmax of opset 11, axis 1: the first row of", cube.shape, "sums to", sums)
classes = np.arange(10, dtype="float32").reshape(1, 10, 1, 1)
ten = {name: np.round(answer.ravel().astype(float), 3).tolist() for name, answer in run("Softmax", 11, None, classes).items()}
print("ten classes of [1, 10, 1, 1], no axis:", ten)
as_stated = as_stated and [round(total, 3) for total in sums.values()] == [1, 4, 4] and ten["evaluator"] == [1.0] * 10
sys.exit(0 if as_stated else 1)
PYTHON
