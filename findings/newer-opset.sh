#!/usr/bin/env bash
# OpenVINO 2026.4.1 and tract 0.23.9: ONNX models of opset 28 with attributes that they do not know.
#
# Guess: a runtime that does not know an opset, or an attribute of an operator, refuses the model.
# Seen: both take it and pass over the attribute. SpaceToDepth with mode="CRD" is computed as "DCR", so the channels are in
# another order; Attention with left_window_size looks back over everything. Nothing is raised or warned. onnxruntime 1.32.0 and
# NumPy agree on what is right; with the attributes left out, all agree.
# Why it matters: a model that was exported anew, from the same code, answers otherwise, in the right shape and range. The opset of
# a model has to be compared with what the runtime was made for.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check openvino==2026.4.1 tract==0.23.9 onnxruntime==1.32.0 onnx==1.23.2 \
    numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - "$folder/model.onnx" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
import tract
from onnx import TensorProto, helper

core = openvino.Core()
depth = np.arange(32, dtype="float32").reshape(1, 2, 4, 4)
query, key, value = np.random.default_rng(0).normal(size=(3, 1, 1, 4, 2)).astype("float32")


def run(operator, arrays, shape, **attributes):
    names = [f"x{place}" for place in range(len(arrays))]
    node = helper.make_node(operator, names, ["y"], **attributes)
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in zip(names, arrays)]
    graph = helper.make_graph([node], operator, given, [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 28)], ir_version=12)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, sys.argv[1])
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {
        "onnxruntime": session.run(["y"], dict(zip(names, arrays)))[0],
        "OpenVINO": compiled(arrays)["y"],
        "tract": tract.onnx().load(sys.argv[1]).into_model().into_runnable().run(arrays)[0].to_numpy(),
    }


def space_to_depth(mode):
    """The channels: DCR counts them fastest, CRD slowest."""
    blocks = depth.reshape(2, 2, 2, 2, 2)  # channel, row, place in it, column, place in it
    order = (2, 4, 0, 1, 3) if mode == "DCR" else (0, 2, 4, 1, 3)
    return blocks.transpose(order).reshape(1, 8, 2, 2)


def attention(back):
    """Each step sees itself and at most `back` steps before it."""
    scores = query[0, 0] @ key[0, 0].T / np.sqrt(2)
    steps = np.arange(4)
    away = steps[:, None] - steps
    weights = np.where((away >= 0) & (away <= back), np.exp(scores), 0)
    return (weights / weights.sum(1, keepdims=True) @ value[0, 0]).reshape(1, 1, 4, 2)


cases = {
    "SpaceToDepth, mode CRD": ("SpaceToDepth", [depth], (1, 8, 2, 2), {"blocksize": 2, "mode": "CRD"}),
    "SpaceToDepth, no mode": ("SpaceToDepth", [depth], (1, 8, 2, 2), {"blocksize": 2}),
    "Attention, window of 1": ("Attention", [query, key, value], (1, 1, 4, 2), {"is_causal": 1, "left_window_size": 1}),
    "Attention, no window": ("Attention", [query, key, value], (1, 1, 4, 2), {"is_causal": 1}),
}
right = [space_to_depth("CRD"), space_to_depth("DCR"), attention(1), attention(3)]
as_stated = True
for place, (name, (operator, arrays, shape, attributes)) in enumerate(cases.items()):
    seen = {}
    for runtime, answer in run(operator, arrays, shape, **attributes).items():
        without = np.allclose(answer, right[place // 2 * 2 + 1], atol=1e-5)
        seen[runtime] = "right" if np.allclose(answer, right[place], atol=1e-5) else "as without it" if without else "neither"
    print(f"{name:24} {seen}")
    wanted = ["right", "as without it", "as without it"] if place % 2 == 0 else ["right"] * 3
    as_stated = as_stated and list(seen.values()) == wanted
sys.exit(0 if as_stated else 1)
PYTHON
