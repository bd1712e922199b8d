"""A recipe carried out: fit, then publish."""

import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from service.artifacts.manifest import Manifest
from training.digits import digit_nets as nets
from training.digits.digit_publication import Split, calibrate_and_publish, title
from training.digits.digit_recipe import CROSS_ENTROPY, Recipe, start
from training.evaluation.figures import curves_figure, png
from training.fitting.checkpoint import Checkpoint, settings_of
from training.fitting.fit import fit
from training.fitting.ranks import ALONE, Ranks
from training.publishing.activation import Publication
from training.record import parameter_count, training_record


def train_digit(
    recipe: Recipe,
    to: Publication,
    data: Path,
    console: Console,
    *,
    device: torch.device,
    epochs: int | None = None,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    ranks: Ranks = ALONE,
) -> Manifest:
    """Fit and publish. Of several `ranks` all fit, and the first publishes, for which the rest wait.

    Raises DataUnavailable, LaunchUnusable, CheckpointUnusable, Diverged, PublishFailed or ArtifactError.
    """
    started = time.monotonic()
    with ranks.first_of_machine():
        split = Split.load(data, recipe, console)
    ranks.check_same(lambda: split.sha256, "the images")
    train, validation = split.train.to(device), split.validation.to(device)
    hp = replace(recipe.hyperparameters, epochs=epochs or recipe.hyperparameters.epochs)
    if checkpoint:
        further = hp.as_dict() | recipe.data()
        checkpoint.open("digit", settings_of(recipe.name, seed, device, split.sha256, **further))
        started = checkpoint.began
    net = start(recipe, seed).to(device)
    fitted, history = fit(
        net, CROSS_ENTROPY, train, recipe.phases(hp), console, validation, checkpoint, ranks
    )
    record = training_record(
        recipe=recipe.name,
        hyperparameters=hp.on(device).as_dict()
        | recipe.data()
        | ranks.settings()
        | {"parameters": parameter_count(fitted), "selected_epoch": history.selected_epoch},
        seed=seed,
        device=device,
        data_sha256=split.sha256,
        started=started,
    )
    assert isinstance(fitted, nets.DigitNet)

    def published() -> Manifest:
        curves = png(curves_figure(history, title(record)))
        manifest = calibrate_and_publish(fitted.cpu(), recipe, record, split, curves, to, console)
        if checkpoint:
            checkpoint.discard()
        return manifest

    return ranks.by_first(published, last=True)
