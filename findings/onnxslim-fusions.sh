#!/usr/bin/env bash
# onnxslim 0.1.98: slim() of a Conv followed by a Mul, and of random nodes (ONNX, opset 17).
#
# Guess: the smaller model computes what the model did.
# Seen: a constant factor is taken into the convolution as one for each channel as soon as it has as many elements as there are
# channels, whatever their axis: four factors of columns become those of four channels. Two random nodes of the same input are made
# one, so the difference of two noises is 0, and a Dropout with training_mode on, as Monte Carlo dropout has it, is taken out.
# Why it matters: a window or mask over a square feature map meets the first; a model that samples to tell how sure it is, the
# second: it is then always sure. Shapes are right and nothing is raised.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnxslim==0.1.98 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import copy
import sys

import numpy as np
import onnxruntime
import onnxslim
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(0)


def before_and_after(nodes, rows, shape, constants=()):
    """The outputs of the model and of its slim form, and the latter's operators."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, rows.shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    tensors = [numpy_helper.from_array(array, name) for name, array in dict(constants).items()]
    graph = helper.make_graph([helper.make_node(*node) for node in nodes], "graph", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    slim = onnxslim.slim(copy.deepcopy(model))
    outputs = []
    for one in (model, slim):
        session = onnxruntime.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"])
        outputs.append(session.run(["y"], {"x": rows})[0])
    return *outputs, [node.op_type for node in slim.graph.node]


pictures = random.normal(size=(1, 2, 4, 4)).astype("float32")
weights = random.normal(size=(4, 2, 1, 1)).astype("float32")
factors = np.array([0.1, 1, 10, 100], "float32")
convolution = [("Conv", ["x", "w"], ["features"]), ("Mul", ["features", "factors"], ["y"])]
right = {}
for name, shape in (("channels", (4, 1, 1)), ("rows", (4, 1)), ("columns", (4,))):
    constants = {"w": weights, "factors": factors.reshape(shape)}
    before, after, operators = before_and_after(convolution, pictures, (1, 4, 4, 4), constants)
    taken_for_channels = np.allclose(after, before / constants["factors"] * factors.reshape(4, 1, 1), rtol=1e-3, atol=1e-3)
    right[name] = np.allclose(before, after, rtol=1e-3, atol=1e-3)
    words = "right" if right[name] else f"WRONG, as of channels: {taken_for_channels}"
    print(f"a factor for each of four {name}: {operators} {words}")
    right[name] |= not taken_for_channels

ones = np.ones(1000, "float32")
noises = [("RandomNormalLike", ["x"], ["one"]), ("RandomNormalLike", ["x"], ["other"]), ("Sub", ["one", "other"], ["y"])]
before, after, operators = before_and_after(noises, ones, ones.shape)
print(f"difference of two noises: deviation {before.std():.2f} before, {after.std():.2f} after, {operators}")
no_noise = before.std() > 1 and not after.any()
dropout = [("Dropout", ["x", "ratio", "training"], ["kept"]), ("Neg", ["kept"], ["y"])]
constants = {"ratio": np.float32(0.5), "training": np.bool_(True)}
before, after, operators = before_and_after(dropout, ones, ones.shape, {name: np.array(one) for name, one in constants.items()})
print(f"Dropout in training: {(before == 0).mean():.2f} of the values dropped before, {(after == 0).mean():.2f} after, {operators}")
no_dropout = 0.4 < (before == 0).mean() < 0.6 and np.array_equal(after, -ones)
sys.exit(0 if right == {"channels": True, "rows": False, "columns": False} and no_noise and no_dropout else 1)
PYTHON
