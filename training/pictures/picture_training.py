"""The picture recipe carried out: fit, then what is fitted after the weights, then publish."""

import time

import torch
from rich.console import Console

from service.artifacts.interface import Output, PictureInput
from service.artifacts.manifest import Manifest, TrainingRecord
from training.evaluation.calibration import fit_temperature
from training.evaluation.evaluate import evaluate
from training.evaluation.figures import classifier_figures, curves_figure, png, samples
from training.fitting.checkpoint import Checkpoint, Settings, settings_of
from training.fitting.fit import History, Hyperparameters, fit
from training.fitting.ranks import ALONE, Ranks
from training.pictures.picture_archive import StoredPictureNet
from training.pictures.picture_card import picture_card
from training.pictures.picture_data import PictureData
from training.pictures.picture_net import WIDTHS, PictureNet
from training.pictures.picture_recipe import (
    OBJECTIVE,
    RECIPE,
    SIZE,
    data_steps,
    hyperparameters,
    phases,
    start,
)
from training.publishing.activation import Publication
from training.publishing.publish import Candidate, publish
from training.record import parameter_count, training_record

INPUT = PictureInput(height=SIZE, width=SIZE, channels=3, resize="crop")
PROOF_ROWS, MOST_CHECK_ROWS = 1_000, 20


def train_picture(
    name: str,
    to: Publication,
    data: PictureData,
    console: Console,
    *,
    device: torch.device,
    epochs: int | None = None,
    mirror: bool = True,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    ranks: Ranks = ALONE,
) -> Manifest:
    """Fit and publish. `mirror`: what is turned left to right is of the same class.

    Of several `ranks` all fit, and the first publishes, for which the rest wait.
    Raises LaunchUnusable, CheckpointUnusable, Diverged, PublishFailed or ArtifactError.
    """
    started = time.monotonic()
    ranks.check_same(data.sha256, "the pictures")
    hp = hyperparameters(len(data.train.inputs), epochs)
    net, history = fitted(
        name, data, hp, console, mirror=mirror, seed=seed, device=device, checkpoint=checkpoint, ranks=ranks
    )

    def published() -> Manifest:
        stored = StoredPictureNet(net.cpu(), mirror).eval()
        further: Settings = {
            "mean_of_mirrored": mirror,
            "widths": ", ".join(map(str, WIDTHS)),
            "parameters": parameter_count(net),
            "selected_epoch": history.selected_epoch,
            "temperature": fit_temperature(stored, data.validation),
        }
        made = hp.on(device).as_dict()
        record = training_record(
            recipe=RECIPE,
            hyperparameters={**made, **data_steps(mirror), **ranks.settings(), **further},
            seed=seed,
            device=device,
            data_sha256=data.sha256(),
            started=checkpoint.began if checkpoint else started,
        )
        candidate = _candidate(
            name, stored, record, data, png(curves_figure(history, f"{name} by {RECIPE}"))
        )
        manifest = publish(candidate, *to)
        if checkpoint:
            checkpoint.discard()
        return manifest

    return ranks.by_first(published, last=True)


def fitted(
    name: str,
    data: PictureData,
    hp: Hyperparameters,
    console: Console,
    *,
    mirror: bool,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint | None,
    ranks: Ranks = ALONE,
) -> tuple[PictureNet, History]:
    """The net of the best epoch. Raises CheckpointUnusable or Diverged."""
    if checkpoint:
        further = {"size": SIZE} | hp.as_dict() | data_steps(mirror)
        checkpoint.open(name, settings_of(RECIPE, seed, device, data.sha256(), **further))
    net = start(data.train.inputs, len(data.labels), seed).to(device)
    train, validation = data.train.to(device), data.validation.to(device)
    best, history = fit(net, OBJECTIVE, train, phases(hp, mirror), console, validation, checkpoint, ranks)
    assert isinstance(best, PictureNet)
    return best, history


def _candidate(
    name: str, net: StoredPictureNet, record: TrainingRecord, data: PictureData, curves: bytes
) -> Candidate:
    """The test pictures are read here, and nowhere else."""
    test = evaluate(net, data.test, data.labels)
    validation = evaluate(net, data.validation, data.labels)
    metrics = validation.metrics("validation") + test.metrics("test")
    check_rows = data.validation.one_of_each(min(len(data.labels), MOST_CHECK_ROWS))
    card = picture_card(name, record, metrics, data, test)
    return Candidate(
        name=name,
        kind="picture",
        net=net,
        input=INPUT,
        output=Output(kind="classes", labels=data.labels),
        metrics=metrics,
        training=record,
        check_rows=check_rows,
        proof_rows=data.validation.inputs[:PROOF_ROWS],
        files={"report/report.md": card.encode(), "report/curves.png": curves}
        | classifier_figures(test, data.test.inputs, f"{name} by {record.recipe}")
        | samples(check_rows),
    )
