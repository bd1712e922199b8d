#!/usr/bin/env bash
# prometheus_client 0.26.0: the figures of several processes, one of which has only just made its file.
#
# Guess: a file without a byte has no samples, and the figures of the others are shown.
# Seen: struct.error, and nothing is shown of any process, for as long as that file is there.
# Why it matters: the library itself opens a file before it gives it a length. A process that ends in between, or finds the disk full,
# leaves one without a byte, and `/metrics` of all workers fails until somebody deletes it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check prometheus_client==0.26.0 || exit 2
mkdir "$folder/figures"
PROMETHEUS_MULTIPROC_DIR="$folder/figures" "$folder/venv/bin/python" - <<'PYTHON'
import os
import struct
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
Counter("answers", "Of this process.").inc()


def shown():
    """The samples of all processes, or what is raised."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    try:
        text = generate_latest(registry).decode()
    except struct.error as error:
        return type(error).__module__ + "." + type(error).__name__
    return [line for line in text.splitlines() if line[0] != "#"]


seen = {"one process": shown()}
(FOLDER / "counter_1.db").touch()
seen["beside it a file without a byte"] = shown()
(FOLDER / "counter_1.db").unlink()
seen["without it"] = shown()
for state, what in seen.items():
    print(f"{state}: {what}")
expected = [["answers_total 1.0"], "struct.error", ["answers_total 1.0"]]
sys.exit(0 if list(seen.values()) == expected else 1)
PYTHON
