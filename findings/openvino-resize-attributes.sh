#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU: ONNX's Resize (opset 18) with antialias, keep_aspect_ratio_policy or exclude_outside.
#
# Guess: they are carried out as onnxruntime does it; or the model is refused, as one with "half_pixel_symmetric" is.
# Seen: all three are passed over in silence. antialias=1 gives what antialias=0 gives, and "not_larger" and "not_smaller" give the
# sizes that are asked for, with the picture stretched: 6x6 where 12x8 has to become 6x4, or 9x6.
# Why it matters: a model that scales pictures by itself carries its preparation with it, so that no client can do it otherwise, and
# antialias is there to agree with Pillow. Here a fine grating, grey to Pillow and onnxruntime but for its borders, is black.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 \
    pillow==13.0.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper
from PIL import Image

core = openvino.Core()


def resize(picture, rows, columns, **attributes):
    """The picture as onnxruntime and as OpenVINO scale it."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, *picture.shape])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "rows", "columns"])
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], axes=[2, 3], **attributes)
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [2], [rows, columns])
    graph = helper.make_graph([node], "resize", [x], [y], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    feed = {"x": picture[None, None]}
    return session.run(["y"], feed)[0][0, 0], np.array(compiled(feed)["y"])[0, 0]


grating = np.zeros((12, 12), "float32")
grating[:, ::3] = 255
noise = np.random.default_rng(0).uniform(0, 255, (12, 8)).astype("float32")
seen = {}
for antialias in (0, 1):
    right, seen[antialias] = resize(grating, 12, 4, mode="linear", antialias=antialias)
    rows = [array[0].round().astype(int).tolist() for array in (right, seen[antialias])]
    print(f"grating, antialias={antialias}: onnxruntime {rows[0]}, OpenVINO {rows[1]}")
with_pillow = np.asarray(Image.fromarray(grating).resize((4, 12), Image.Resampling.BILINEAR))
print(f"Pillow: {with_pillow[0].round().astype(int).tolist()}")
as_stated = np.allclose(right[:, 1:-1], with_pillow[:, 1:-1], atol=0.1) and np.array_equal(*seen.values()) and seen[1].max() == 0

for policy, stated in (("stretch", [(6, 6), (6, 6)]), ("not_larger", [(6, 4), (6, 6)]), ("not_smaller", [(9, 6), (6, 6)])):
    shapes = [array.shape for array in resize(noise, 6, 6, mode="linear", keep_aspect_ratio_policy=policy)]
    print(f"12x8 to 6x6, {policy}: onnxruntime {shapes[0]}, OpenVINO {shapes[1]}")
    as_stated &= shapes == stated

for outside, agree in ((0, True), (1, False)):
    right, other = resize(noise, 24, 16, mode="cubic", exclude_outside=outside)
    print(f"cubic, exclude_outside={outside}: they differ by up to {abs(right - other).max():.1f} of 255")
    as_stated &= np.allclose(right, other, atol=0.01) is agree
sys.exit(0 if as_stated else 1)
PYTHON
