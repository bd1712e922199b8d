"""Logistic regression: hours studied → probability of passing, exactly as the lecture trains it.

One linear unit and a sigmoid; binary cross-entropy summed over the batch; SGD, learning rate 0.01, the
whole data as one batch, 1000 epochs. On the lecture's three records a run takes a second; with seed 0 it
ends at w = 1.109, b = -2.683, so 0.852 at four hours (the start, and so the end, depends on the seed).

Records of a user's own can be so many, or their hours so long, that this step no longer converges. Then,
and only then, the hours are standardised inside the network and the step is made smaller.
"""

import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from service.artifacts.interface import Column, Output, TableInput
from service.artifacts.manifest import Manifest, Metric, TrainingRecord
from training.data import Rows, lecture_hours, read_hours
from training.evaluation.figures import loss_figure, pass_figure, png
from training.fitting.checkpoint import Checkpoint, settings_of
from training.fitting.fit import Hyperparameters, Objective, Phase, fit
from training.pass_net import PassNet
from training.publishing.activation import Publication
from training.publishing.publish import Candidate, publish
from training.record import training_record

RECIPE = "logistic-regression"
TITLE = f"pass by {RECIPE}"  # of its figures
LECTURE = Hyperparameters(epochs=1000, batch_size=3, learning_rate=0.01)
SUMMED_LOSS = Objective(
    forward=lambda net, hours: net(hours),
    loss=lambda probability, passed: binary_cross_entropy(probability, passed, reduction="sum"),
)
CHECK_HOURS = (0.0, 1.0, 2.0, 3.0, 4.0, 10.0)
DECISION_THRESHOLD = 0.5
PROBABILITY = Output(kind="binary", labels=("passed",), threshold=DECISION_THRESHOLD)


def train_pass(
    to: Publication,
    console: Console,
    *,
    device: torch.device,
    csv: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
) -> tuple[Manifest, PassNet]:
    """Fit and publish.

    Raises DataUnavailable, CheckpointUnusable, Diverged, PublishFailed or ArtifactError.
    """
    started = time.monotonic()
    rows = read_hours(csv) if csv else lecture_hours()
    hp = replace(LECTURE, epochs=epochs or LECTURE.epochs, batch_size=len(rows.inputs))
    net, hp = start(rows, hp, seed)
    net.to(device)
    if checkpoint:
        checkpoint.open("pass", settings_of(RECIPE, seed, device, rows.sha256(), **hp.as_dict()))
        started = checkpoint.began
    _, history = fit(net, SUMMED_LOSS, rows.to(device), [Phase(hp)], console, checkpoint=checkpoint)
    net.cpu()
    metrics = _metrics(net, rows)
    w, b = net.coefficients()
    record = training_record(
        recipe=RECIPE,
        hyperparameters={**hp.as_dict(), "loss": "binary cross-entropy, summed", "w": w, "b": b},
        seed=seed,
        device=device,
        data_sha256=rows.sha256(),
        started=started,
    )
    check_rows = torch.tensor(CHECK_HOURS).unsqueeze(1)
    candidate = Candidate(
        name="pass",
        kind="table",
        net=net,
        input=_hours(rows),
        output=PROBABILITY,
        metrics=metrics,
        training=record,
        check_rows=check_rows,
        proof_rows=torch.cat([rows.inputs, check_rows, torch.linspace(0, 10, 200).unsqueeze(1)]),
        files={
            "report/curve.png": png(pass_figure(net, rows, TITLE)),
            "report/loss.png": png(loss_figure(history, TITLE)),
            "report/report.md": _report(net, rows, metrics, record).encode(),
            **{f"samples/{i}.json": f'{{"hours": {h}}}\n'.encode() for i, h in enumerate(CHECK_HOURS)},
        },
    )
    manifest = publish(candidate, *to)
    if checkpoint:
        checkpoint.discard()
    return manifest, net


def start(rows: Rows, hp: Hyperparameters, seed: int) -> tuple[PassNet, Hyperparameters]:
    """The untrained network drawn by `seed`, and the step to train it with.

    Gradient descent on the summed loss converges for steps below 2/L, where L = λmax(XᵀX)/4 bounds its
    curvature (X: the hours beside a column of ones). Past half of that bound the hours are
    standardised, which makes L = n/4.
    """
    torch.manual_seed(seed)
    design = torch.cat([rows.inputs, torch.ones_like(rows.inputs)], dim=1).double()
    curvature = torch.linalg.matrix_norm(design.T @ design, ord=2).item() / 4
    if hp.learning_rate * curvature <= 1:
        return PassNet(), hp
    hours = rows.inputs.double()  # in which the squares of all float32 can be added
    net = PassNet(shift=hours.mean().item(), scale=hours.std(correction=0).item() or 1.0)
    return net, replace(hp, learning_rate=min(hp.learning_rate, 4 / len(rows.inputs)))


def probability_at(net: PassNet, hours: float) -> float:
    with torch.inference_mode():
        answer: Tensor = net(torch.tensor([[hours]]))
    return answer.item()


def _hours(rows: Rows) -> TableInput:
    hours = Column(
        name="hours",
        units="hours studied",
        minimum=0,
        maximum=torch.finfo(torch.float32).max,
        training_minimum=rows.inputs.min().item(),
        training_maximum=rows.inputs.max().item(),
    )
    return TableInput(columns=(hours,))


def _metrics(net: PassNet, rows: Rows) -> tuple[Metric, ...]:
    with torch.inference_mode():
        probability = net(rows.inputs)
        loss = binary_cross_entropy(probability, rows.targets).item()
    right = (probability >= DECISION_THRESHOLD) == (rows.targets == 1)
    n = len(rows.inputs)
    return (
        Metric(name="accuracy", value=right.double().mean().item(), split="train", n=n),
        Metric(name="negative-log-likelihood", value=loss, split="train", n=n),
    )


def _report(net: PassNet, rows: Rows, metrics: tuple[Metric, ...], record: TrainingRecord) -> str:
    w, b = net.coefficients()
    figures = "\n".join(f"| {m.name} | {m.value:.4f} | {m.split}, {m.n} records |" for m in metrics)
    return f"""# pass: hours studied → probability of passing

probability = sigmoid({w:.4f} · hours + {b:.4f}); {probability_at(net, 4):.4f} at 4 hours.

| figure | value | on |
| --- | --- | --- |
{figures}

Trained on {len(rows.inputs)} records, from {rows.inputs.min():g} to {rows.inputs.max():g} hours, by
`{record.recipe}` with seed {record.seed}, in {record.seconds:g} s. Outside that range it extrapolates.

![The fitted curve](curve.png)
![Training loss](loss.png)
"""
