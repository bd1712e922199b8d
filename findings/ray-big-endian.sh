#!/usr/bin/env bash
# Ray 2.60.0, Ray Data: a dataset made of a NumPy array whose numbers are big-endian.
#
# Guess: the numbers that the array holds, or an error, as from PyArrow, which Ray Data keeps its blocks in.
# Seen: the bytes are read as if they were little-endian: 1 becomes 16777216 in int32, 1.0 becomes 4.6e-41 in float32. Shape and
# type are right and nothing is raised.
# Why it matters: IDX (the format of MNIST), FITS and netCDF are big-endian, and what reads them hands out such arrays; NumPy
# computes with them as with any other. The model is trained on other numbers.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check 'ray[data]==2.60.0' pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6 || exit 2
RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/python" - <<'PYTHON'
import logging
import sys

import numpy as np
import pyarrow
import ray

ray.init(num_cpus=1, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
logging.disable(logging.INFO)
ray.data.DataContext.get_current().enable_progress_bars = False
seen = {}
for kind in ("<i4", ">i4", "<f4", ">f4"):
    array = np.array([[1, 2], [3, 4]], kind)
    seen[kind] = ray.data.from_numpy(array).take_batch(2)["data"]
    print(f"{kind}: the array holds {array.tolist()}, the dataset {seen[kind].tolist()} ({seen[kind].dtype})")
ray.shutdown()
try:
    pyarrow.array(np.array([1, 2], ">i4"))
    refused = False
except pyarrow.ArrowNotImplementedError as error:
    refused = True
    print("PyArrow:", error)
right = np.array([[1, 2], [3, 4]])
swapped = all(np.array_equal(seen[">" + kind], right.astype("<" + kind).byteswap()) for kind in ("i4", "f4"))
kept = all(np.array_equal(seen["<" + kind], right) for kind in ("i4", "f4"))
sys.exit(0 if refused and kept and swapped else 1)
PYTHON
