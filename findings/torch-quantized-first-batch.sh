#!/usr/bin/env bash
# PyTorch 2.15.0, x86-64 with VNNI: a quantized net of convolutions, engine x86, by the number of rows it was first called with.
#
# Guess: the first call may take longer; after it a row takes what it takes.
# Seen: a net that was first called with 64 rows takes 1.6 times as long for one row, for ever; the same weights, first called with
# one row, do not. Each layer keeps one prepared computation, for the shape that it meets first, and every other shape goes the
# long way. Loading the net anew is all that helps.
# Why it matters: servers warm up with the largest batch they admit, and evaluation begins with a full one. Each request that
# comes alone then pays, and a benchmark in another order shows nothing. Takes 5 GB on disk: PyTorch comes with CUDA.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check torch==2.15.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import statistics
import sys
import time

import torch
from torch import nn
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

torch.set_num_threads(1)
torch.backends.quantized.engine = "x86"
one, many = torch.rand(1, 1, 28, 28), torch.rand(64, 1, 28, 28)


def quantized():
    torch.manual_seed(0)
    layers = []
    for inputs, outputs in ((1, 16), (16, 16), (16, 16)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)).eval()
    prepared = prepare_fx(net, get_default_qconfig_mapping("x86"), (many,))
    prepared(many)
    return convert_fx(prepared)


def microseconds(net):
    times = []
    for _ in range(300):
        begin = time.perf_counter()
        net(one)
        times.append(time.perf_counter() - begin)
    return 1e6 * statistics.median(times)


with torch.inference_mode():
    first_one, first_many = quantized(), quantized()
    first_one(one)
    first_many(many)
    for net in (first_one, first_many):
        microseconds(net)
    rounds = [(microseconds(first_one), microseconds(first_many)) for _ in range(7)]
    same = torch.equal(first_one(one), first_many(one))
after_one, after_many = (statistics.median(column) for column in zip(*rounds))
print(f"one row: {after_one:.0f} us if first called with 1 row, {after_many:.0f} us if first called with 64 rows; same answers: {same}")
sys.exit(0 if after_many > 1.3 * after_one else 1)
PYTHON
