#!/usr/bin/env bash
# onnxruntime 1.32.0, quantize_dynamic: a row's answer, alone and in a batch.
#
# Guess: rows of a batch do not know of each other, as in the model before quantization, which answers bit for bit the same.
# Seen: the scale of the activations is taken from the whole batch. A neighbour whose values are a hundred times as large
# leaves three levels of 256 to the row, and its answer moves by a third; one with an infinity makes it NaN.
# Why it matters: servers put rows of several callers into one batch. What one caller is told then depends on who else asked,
# an evaluation in batches measures another model than single requests get, and one bad row spoils all. Static quantization
# does not have it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

logging.disable(logging.WARNING)  # quantize_dynamic advises a preparation, of which one product has no need
folder = sys.argv[1]
random = np.random.default_rng(0)
weight = random.normal(size=(16, 4)).astype("float32")
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, size]) for name, size in (("x", 16), ("y", 4)))
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "weight"], ["y"])], "product", [x], [y], [numpy_helper.from_array(weight, "weight")]
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), f"{folder}/float.onnx")
quantize_dynamic(f"{folder}/float.onnx", f"{folder}/quantized.onnx")

row = random.random((1, 16)).astype("float32")
infinite = row.copy()
infinite[0, 0] = np.inf
neighbours = {"none": row[:0], "the same": row, "100 times": 100 * row, "infinite": infinite}
seen = {}
for name in ("float", "quantized"):
    session = onnxruntime.InferenceSession(f"{folder}/{name}.onnx", providers=["CPUExecutionProvider"])
    for neighbour, other in neighbours.items():
        seen[name, neighbour] = session.run(None, {"x": np.concatenate([row, other])})[0][0]
        print(f"{name:10} neighbour {neighbour:10}", seen[name, neighbour])
alone = seen["quantized", "none"]
as_stated = (
    all(np.array_equal(seen["float", neighbour], seen["float", "none"]) for neighbour in neighbours)
    and np.abs(alone - seen["float", "none"]).max() < 0.1
    and np.array_equal(seen["quantized", "the same"], alone)
    and np.abs(seen["quantized", "100 times"] - alone).max() > 0.3
    and np.isnan(seen["quantized", "infinite"]).all()
)
sys.exit(0 if as_stated else 1)
PYTHON
