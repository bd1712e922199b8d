#!/usr/bin/env bash
# prometheus_client 0.26.0, `choose_encoder`, which its WSGI and ASGI apps and its own server use: what `Accept` makes of /metrics.
#
# Guess: weights count (RFC 9110): `application/openmetrics-text;q=0` is never answered with OpenMetrics, and `text/plain,
# application/openmetrics-text;q=0.1` with text. Media types are the same in capitals. Of a version that it does not write, it says so
# or answers another.
# Seen: OpenMetrics in both cases, by whatever stands there, and text where the type is in capitals. Asked for version 9.9.9 it answers
# `application/openmetrics-text; version=9.9.9`, with the text of 1.0.0, to the byte.
# Why it matters: a collector that refuses OpenMetrics by q=0 gets it, and one that goes by Content-Type reads a format by the rules
# of another version, or rejects the scrape.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check prometheus-client==0.26.0 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder

registry = CollectorRegistry()
Counter("requests", "Requests.", registry=registry).inc()
seen = {}
for accept in (
    "application/openmetrics-text;q=0, text/plain",
    "text/plain, application/openmetrics-text;q=0.1",
    "Application/OpenMetrics-Text; version=1.0.0",
    "application/openmetrics-text; version=1.0.0",
    "application/openmetrics-text; version=9.9.9",
):
    encode, content_type = choose_encoder(accept)
    seen[accept] = content_type.partition("; charset")[0], encode(registry)
    print(f"{accept:50} -> {seen[accept][0]}")
types = [content_type for content_type, _ in seen.values()]
*_, first, ninth = (text for _, text in seen.values())
print("the same text for 1.0.0 and 9.9.9:", first == ninth)
openmetrics = "application/openmetrics-text; version="
expected = [openmetrics + "1.0.0"] * 2 + ["text/plain; version=0.0.4", openmetrics + "1.0.0", openmetrics + "9.9.9"]
sys.exit(0 if types == expected and first == ninth else 1)
PYTHON
