#!/usr/bin/env bash
# DuckDB 2.0.1 for Python with PyTorch 2.15.0, .torch() of a query in which something is NULL.
#
# Guess: NULL is NaN, as in .df(); or it is refused where a tensor cannot hold it.
# Seen: it is 0, 0.0 or False. What .fetchnumpy() masks is handed to PyTorch without its mask. Nothing is raised or warned.
# Why it matters: NULL is what a left join leaves where nothing was found, and what a mean of nothing is. A label that nobody has given
# becomes class 0, a measurement that was not taken 0.0, and a loss is computed with them as with any other.
# It needs 5 GB on disk.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check duckdb==2.0.1 torch==2.15.0 numpy==2.4.6 pandas==3.1.1 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import duckdb

query = """
    SELECT scan, grade, size, checked
    FROM range(3) scans(scan)
    LEFT JOIN (VALUES (1, 4, 0.9::FLOAT, true)) graded(scan, grade, size, checked) USING (scan)
    ORDER BY scan
"""
frame = duckdb.sql(query).df()
tensors = {name: tensor.tolist() for name, tensor in duckdb.sql(query).torch().items()}
masked = duckdb.sql(query).fetchnumpy()
print(frame)
print("masked by fetchnumpy:", masked["grade"], masked["size"], masked["checked"])
print("torch:", tensors)
size = duckdb.sql("SELECT avg(size) AS size FROM (VALUES (NULL::FLOAT)) t(size)").torch()["size"].tolist()
print("the mean of nothing:", size)
as_stated = (
    frame["size"].isna().tolist() == [True, False, True]
    and masked["grade"].mask.tolist() == [True, False, True]
    and tensors["grade"] == [0, 4, 0]
    and [round(number, 3) for number in tensors["size"]] == [0.0, 0.9, 0.0]
    and tensors["checked"] == [False, True, False]
    and size == [0.0]
)
sys.exit(0 if as_stated else 1)
PYTHON
