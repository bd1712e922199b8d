#!/usr/bin/env bash
# MLflow 3.17.0: a PyTorch model logged as it is after training, by today's default format (pt2) and by the former one (pickle).
#
# Guess: predictions are those of evaluation, as whoever loads a flavour's model as a pyfunc cannot call eval() himself; the
# former format does so before each prediction.
# Seen: the default format keeps the mode that the model was in. Dropout goes on dropping at random, so that the same row
# has another answer each time, and eval() on what is loaded is NotImplementedError. Nothing is said, neither when it is
# saved nor when it is loaded. By pickle the answers are those of evaluation, in whatever mode it was saved.
# Why it matters: most training loops end in training mode, and code that was right as long as pickle was the default now
# registers models that answer at random. Takes 5 GB on disk: PyTorch comes with CUDA.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check mlflow==3.17.0 torch==2.15.0 numpy==2.4.6 || exit 2
cd "$folder"
MLFLOW_ALLOW_PICKLE_DESERIALIZATION=true "$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
import sys

import mlflow
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5), nn.Linear(64, 1))
rows = np.random.default_rng(0).random((8, 4), dtype=np.float32)
with torch.no_grad():
    right = net.eval()(torch.from_numpy(rows)).numpy()


def saved(mode, **options):
    """What the model, saved in this mode and loaded as a pyfunc, answers to the same rows twice; the model."""
    path = f"{mode}-{'-'.join(options.values())}"
    mlflow.pytorch.save_model(net.train(mode == "train"), path, input_example=rows, **options)
    model = mlflow.pyfunc.load_model(path)
    return model.predict(rows), model.predict(rows), mlflow.pytorch.load_model(path)


def as_evaluated(answers):
    return bool(np.allclose(answers, right, atol=1e-5))


first, second, loaded = saved("train")
pickled, _, _ = saved("train", serialization_format="pickle")
in_evaluation, _, _ = saved("eval")
try:
    loaded.eval()
    refused = "nothing"
except NotImplementedError as error:
    refused = f"NotImplementedError: {str(error)[:60]}"

print("the first row, evaluated:                          ", right[0].tolist())
print("saved in training mode, by default, asked twice:   ", first[0].tolist(), second[0].tolist())
print("eval() on it raises:                               ", refused)
print("saved in training mode by pickle, as evaluated:    ", as_evaluated(pickled))
print("saved in evaluation mode by default, as evaluated: ", as_evaluated(in_evaluation))
as_stated = (
    not np.allclose(first, second)
    and not as_evaluated(first)
    and refused != "nothing"
    and as_evaluated(pickled)
    and as_evaluated(in_evaluation)
)
sys.exit(0 if as_stated else 1)
PYTHON
