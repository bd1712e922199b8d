#!/usr/bin/env bash
# onnxruntime 1.32.0, and tritonclient 2.73.0 for the tensor: a string input that is given as an object array of bytes.
#
# Guess: b"cat" is the string "cat", or it is refused; and None is refused.
# Seen: it is "b'cat'", six characters, as Python's str() has it. None is "None". Nothing is raised or warned.
# Why it matters: strings of any length that come over the wire are such arrays, as tritonclient reads BYTES tensors of the Open
# Inference Protocol. Passed on as they are, no label, token or category is ever found in the model's vocabulary:
# every word is the unknown one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 \
    'tritonclient[http]==2.73.0' || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

x = helper.make_tensor_value_info("x", TensorProto.STRING, [None])
types = {"text": TensorProto.STRING, "number": TensorProto.INT64}
outputs = [helper.make_tensor_value_info(name, kind, [None]) for name, kind in types.items()]
same = helper.make_node("Identity", ["x"], ["text"])
look_up = helper.make_node(
    "LabelEncoder", ["x"], ["number"], domain="ai.onnx.ml", keys_strings=["cat", "dog"], values_int64s=[7, 8], default_int64=-1
)
versions = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
model = helper.make_model(helper.make_graph([same, look_up], "words", [x], outputs), opset_imports=versions, ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

words = np.array(["cat", "dog"], object)
arrays = {
    "str": words,
    "bytes": np.array([b"cat", b"dog"], object),
    "as tritonclient reads BYTES": deserialize_bytes_tensor(serialize_byte_tensor(words).item()),
    "None and str": np.array([None, "dog"], object),
}
seen = {}
for name, array in arrays.items():
    text, number = session.run(None, {"x": array})
    seen[name] = (text.tolist(), number.tolist())
    print(f"{name:27} text {text.tolist()}, number {number.tolist()}")
right, spoilt = (["cat", "dog"], [7, 8]), (["b'cat'", "b'dog'"], [-1, -1])
sys.exit(0 if list(seen.values()) == [right, spoilt, spoilt, (["None", "dog"], [-1, 8])] else 1)
PYTHON
