#!/usr/bin/env bash
# safetensors 0.8.0, safetensors.numpy: saving an array that is transposed or in Fortran order.
#
# Guess: the array that is loaded equals the one that was saved, as with NumPy's own save; or an error.
# Seen: shape and dtype are right and the values are in another order: memory is written as it lies. Nothing is raised;
# the docstring's "need to be contiguous" is not checked.
# Why it matters: `weight.T` is how a layer is taken from one framework to another. The file loads everywhere, every
# shape fits, and the model answers nonsense.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from safetensors.numpy import load, save

weight = np.arange(6, dtype="float32").reshape(2, 3)
arrays = {
    "contiguous": weight,
    "transposed": weight.T,
    "Fortran order": np.asfortranarray(weight),
    "transposed, made contiguous": np.ascontiguousarray(weight.T),
}
right = {}
for name, array in arrays.items():
    loaded = load(save({"weight": array}))["weight"]
    assert (loaded.shape, loaded.dtype) == (array.shape, array.dtype)
    right[name] = np.array_equal(loaded, array)
    print(f"{name:28} {'right' if right[name] else 'WRONG'}: saved {array.tolist()}, loaded {loaded.tolist()}")
sys.exit(0 if list(right.values()) == [True, False, False, True] else 1)
PYTHON
