#!/usr/bin/env bash
# prometheus_client 0.26.0, several processes (PROMETHEUS_MULTIPROC_DIR): a gauge of mode "min" or "max".
#
# Guess: the least, or the greatest, of the values that processes have set.
# Seen: declaring the gauge writes 0 in every process, so the least is 0 as long as one has not set it, and the greatest of
# negative values is 0 as well. A process that imports the module only to answer /metrics never sets it.
# Why it matters: "least free memory", "oldest model version", "lowest confidence" read 0 for ever, or each time that a worker
# begins, and an alert on them fires; "greatest log-likelihood" never falls below 0. No value tells it from a real 0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check prometheus-client==0.26.0 || exit 2
mkdir "$folder/metrics" "$folder/code"
cat > "$folder/code/gauges.py" <<'PYTHON'
from prometheus_client import Gauge

FREE = Gauge("free_bytes", "Free memory", multiprocess_mode="min")
SCORE = Gauge("log_likelihood", "Log-likelihood", multiprocess_mode="max")
PYTHON
PYTHONPATH="$folder/code" PROMETHEUS_MULTIPROC_DIR="$folder/metrics" "$folder/venv/bin/python" - <<'PYTHON'
import subprocess
import sys

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

registry = CollectorRegistry()
MultiProcessCollector(registry)
workers = {
    "two workers have set both": ["FREE.set(500); SCORE.set(-3)", "FREE.set(700); SCORE.set(-5)"],
    "a third has only imported them": ["pass"],
}
seen = []
for when, codes in workers.items():
    for code in codes:
        subprocess.run([sys.executable, "-c", f"from gauges import FREE, SCORE; {code}"], check=True)
    seen.append((registry.get_sample_value("free_bytes"), registry.get_sample_value("log_likelihood")))
    print(f"{when}: least of free_bytes {seen[-1][0]}, greatest of log_likelihood {seen[-1][1]}")
sys.exit(0 if seen == [(500, -3), (0, 0)] else 1)
PYTHON
