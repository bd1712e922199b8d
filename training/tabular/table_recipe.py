"""The recipe for tables: how rows are split, what is measured, and the model card."""

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from service.artifacts.fitness import clashes
from service.artifacts.interface import Column, Output, TableInput
from service.artifacts.manifest import Manifest, Metric, TrainingRecord
from training.data import SPLIT_SEED, DataUnavailable, Rows
from training.evaluation.calibration import calibration_error
from training.publishing.activation import Publication
from training.publishing.publish import Candidate, publish
from training.record import training_record
from training.tabular.table_file import Table
from training.tabular.table_fit import (
    PENALTIES,
    choose_penalty,
    class_loss,
    fit_classes,
    fit_number,
    number_loss,
)
from training.tabular.table_net import Features, TableNet
from training.tabular.table_target import DECISION_THRESHOLD, Target, Task, target_of

RECIPE = "linear-table"
TEST_SHARE = 0.2
LEAST_ROWS = 10
CHECK_ROWS, PROOF_ROWS = 5, 1_000


class Split(NamedTuple):
    train: Tensor
    test: Tensor


def train_table(
    name: str,
    to: Publication,
    table: Table,
    target_name: str,
    console: Console,
    *,
    task: Task = "auto",
    positive: str | None = None,
    threshold: float = DECISION_THRESHOLD,
    units: str = "",
    seed: int = 0,
) -> Manifest:
    """Fit and publish. Raises DataUnavailable, PublishFailed or ArtifactError."""
    started = time.monotonic()
    target = target_of(table, target_name, task, positive, threshold, units)
    if len(table.values) < LEAST_ROWS:
        raise DataUnavailable(f"there are {len(table.values)} rows; at least {LEAST_ROWS} are needed")
    if twice := clashes(table.columns, target.output):
        raise DataUnavailable(twice[0])
    generator = torch.Generator().manual_seed(seed)
    split = split_rows(target)
    table = table._replace(columns=with_ranges(table, split.train))
    with Progress(console=console, transient=True) as progress:
        penalties = progress.add_task("penalties", total=len(PENALTIES) + 1)
        net, penalty = fitted(table, target, split.train, generator, lambda: progress.advance(penalties))
    rows = torch.from_numpy(table.values)
    metrics = (
        *_metrics("train", net, rows, target, split),
        *_metrics("test", net, rows, target, split),
    )
    record = training_record(
        recipe=RECIPE,
        hyperparameters={"penalty": penalty, "features": net.features.count, "target": target_name},
        seed=seed,
        device=torch.device("cpu"),
        data_sha256=sha256_of(table, target),
        started=started,
    )
    check_rows = rows[split.test[:CHECK_ROWS]]
    candidate = Candidate(
        name=name,
        kind="table",
        net=net,
        input=TableInput(columns=table.columns),
        output=target.output,
        metrics=metrics,
        training=record,
        check_rows=check_rows,
        proof_rows=rows[:PROOF_ROWS],
        files={"report/report.md": _card(name, table, target_name, record, metrics).encode()},
    )
    return publish(candidate, *to)


def sha256_of(table: Table, target: Target) -> str:
    """The digest of all values, and of what they stand for."""
    names = [[column.name, *column.categories] for column in table.columns]
    digest = hashlib.sha256(json.dumps([names, target.output.labels]).encode())
    digest.update(Rows(torch.from_numpy(table.values), target.values).sha256().encode())
    return digest.hexdigest()


def split_rows(target: Target) -> Split:
    """A share of the rows, and of every class of several rows, is kept to test on.

    It is the same whatever the seed of the training, so that versions are compared on the same rows.
    """
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    order = torch.randperm(len(target.values), generator=generator)
    if target.output.kind == "numbers":
        count = max(1, round(TEST_SHARE * len(order)))
        return Split(order[count:], order[:count])
    test = torch.zeros(len(order), dtype=torch.bool)
    for value in target.values.unique():
        rows = order[target.values[order] == value]
        count = max(1, round(TEST_SHARE * len(rows))) if len(rows) > 1 else 0
        test[rows[:count]] = True
    return Split(order[~test[order]], order[test[order]])


def with_ranges(table: Table, train: Tensor) -> tuple[Column, ...]:
    """The columns, those of numbers with the least and the largest that is fitted to."""
    low, high = (
        function.reduce(table.values[train.numpy()], axis=0, initial=np.nan)
        for function in (np.fmin, np.fmax)
    )
    return tuple(
        column
        if column.categories or np.isnan(low[at])
        else column.model_copy(
            update={"training_minimum": float(low[at]), "training_maximum": float(high[at])}
        )
        for at, column in enumerate(table.columns)
    )


def fitted(
    table: Table, target: Target, train: Tensor, generator: torch.Generator, done: Any = lambda: None
) -> tuple[TableNet, float]:
    """The net fitted to rows, and the penalty that was chosen for it."""
    rows = table.values[train.numpy()]
    features = Features(table.columns, rows)
    values = target.values[train]
    kind, outputs = target.output.kind, max(2, len(target.output.labels))
    inputs = features(torch.from_numpy(rows)).double()
    if kind == "numbers":
        penalty = choose_penalty(inputs, values, fit_number, number_loss, generator, done)
        weight, bias = fit_number(inputs, values, penalty)
    else:

        def fit(inputs: Tensor, values: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
            return fit_classes(inputs, values, penalty, outputs)

        penalty = choose_penalty(inputs, values, fit, class_loss, generator, done)
        weight, bias = fit(inputs, values, penalty)
    if kind == "binary":  # the softmax of two is the logistic function of their difference
        weight, bias = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
    done()
    return TableNet(features, weight, bias, kind), penalty


def _metrics(
    name: Literal["train", "test"], net: TableNet, rows: Tensor, target: Target, split: Split
) -> list[Metric]:
    which = split.train if name == "train" else split.test
    with torch.inference_mode():
        answers = net(rows[which]).double()
    values = target.values[which]
    most_frequent = target.values[split.train].mode().values
    figures = (
        _of_numbers(answers, values)
        if target.output.kind == "numbers"
        else _of_classes(answers, values, target.output, most_frequent)
    )
    return [Metric(name=of, value=value, split=name, n=len(values)) for of, value in figures.items()]


def _of_numbers(answers: Tensor, values: Tensor) -> dict[str, float]:
    error = answers - values
    spread = (values - values.mean()).square().sum().item()
    return {
        "r-squared": 1 - error.square().sum().item() / spread if spread else 0.0,
        "root-mean-squared-error": error.square().mean().sqrt().item(),
        "mean-absolute-error": error.abs().mean().item(),
    }


def _of_classes(answers: Tensor, values: Tensor, output: Output, most_frequent: Tensor) -> dict[str, float]:
    """Beside the accuracy that of always answering the class that is `most_frequent` in training."""
    if output.kind == "binary":
        assert output.threshold is not None
        right = (answers[:, 0] >= output.threshold) == (values == 1)
        answers = torch.cat([1 - answers, answers], dim=1)
    else:
        right = answers.argmax(1) == values
    of_true = answers[torch.arange(len(values)), values]
    return {
        "accuracy": right.double().mean().item(),
        "majority-class-accuracy": (values == most_frequent).double().mean().item(),
        "negative-log-likelihood": -of_true.clamp_min(1e-12).log().mean().item(),
        "expected-calibration-error": calibration_error(answers, values),
    }


def _card(name: str, table: Table, target: str, record: TrainingRecord, metrics: Sequence[Metric]) -> str:
    figures = "\n".join(f"| {m.name} | {m.value:.4f} | {m.split}, {m.n:,} rows |" for m in metrics)
    columns = "\n".join(
        f"| {c.name} | {_said(c.categories, c.training_minimum, c.training_maximum)} |"
        f" {'may be missing' if c.optional else ''} |"
        for c in table.columns
    )
    return f"""# {name}: {target} from {len(table.columns)} columns

A linear model of standardised numbers and one-hot categories, fitted by least loss with a penalty of
{record.hyperparameters["penalty"]:g} on the squares of its weights, chosen by cross-validation. A number
that is missing is taken for the mean of the training rows, and a category for none.

| figure | value | on |
| --- | --- | --- |
{figures}

| column | training | |
| --- | --- | --- |
{columns}

Trained by `{record.recipe}` with seed {record.seed} in {record.seconds:g} s; digest of the data
`{record.data_sha256}`. Rows to test on are the same whatever the seed, and were never fitted to.
Outside the ranges above it extrapolates.
"""


def _said(categories: Sequence[str], low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ", ".join(categories[:10])
    return f"{low:g} to {high:g}"
