"""What options name, found out before a training: the model, the store, the checkpoint, the device."""

from collections.abc import Collection
from errno import EDQUOT, ENOSPC
from functools import partial
from pathlib import Path

import torch
import typer

from service import installing
from service.artifacts.files import reason_of
from service.artifacts.pointers import RESERVED, is_name
from service.artifacts.remote.store import configured
from service.artifacts.signatures import SigningKey
from service.artifacts.store import ArtifactStore
from service.engine.devices import resolve_device
from service.option_types import missing_extra, place_of
from service.terminal import fail
from training.fitting.checkpoint import Checkpoint
from training.fitting.ranks import ALONE, Ranks
from training.options import CHECKPOINTS
from training.publishing.activation import Activation, Publication
from training.publishing.publish import check_publishable


def check_name(name: str, kind: str = "", taken: Collection[str] = (), option: str = "--name ") -> None:
    """Refuse what cannot be a model's name, or is `taken` by a model of another kind."""
    if name in RESERVED:
        fail(f"{option}{name!r} is none for a model: /v2/models/{name} is something else", code=2)
    if not is_name(name) or name in taken:
        fail(f"{option}{name!r:.80} is none for a model{kind}: a-z, 0-9 and -, a letter first", code=2)


def checkpoint_in(folder: Path | None, resume: bool, if_any: bool = False) -> Checkpoint:
    tell = partial(typer.echo, err=True)
    return Checkpoint(folder or CHECKPOINTS, resume=resume or if_any, if_any=if_any, tell=tell)


def store_at(out: str) -> ArtifactStore:
    """The store in a folder, or at a URL; the rest of it is as the service's own settings say."""
    try:
        place = place_of(out)
    except ValueError as error:
        fail(f"--out {out} {error}", code=2)
    if isinstance(place, str) and (extra := missing_extra(place)):
        fail(f"--out {out} needs the extra: {installing(extra)}", code=2)
    try:
        return configured(place)
    except ValueError as error:
        fail(str(error), code=2)


def store_in(out: str, name: str, bytes_needed: int) -> ArtifactStore:
    """The store to publish into; one that cannot be written is refused before training, not after."""
    store = store_at(out)
    try:
        check_publishable(name, store, bytes_needed)
    except OSError as error:
        code = 1 if error.errno in (ENOSPC, EDQUOT) else 2
        fail(f"--out {out} cannot be written: {reason_of(error)}", code)
    return store


def publication(
    out: str,
    name: str,
    bytes_needed: int,
    sign: Path | None,
    activate: bool | None,
    ranks: Ranks = ALONE,
) -> tuple[Publication, list[str]]:
    """Of what the first of `ranks` makes; and the lines that will say what came of it."""
    if not ranks.first:
        return Publication(store_at(out)), []
    key = SigningKey(sign) if sign else None
    told: list[str] = []
    return Publication(store_in(out, name, bytes_needed), key, Activation(activate, told.append)), told


def device_of(choice: str, ranks: Ranks = ALONE) -> torch.device:
    try:
        device = resolve_device(ranks.device(choice))
    except RuntimeError:  # torch's own, which lists every kind of device that there is anywhere
        fail(f"--device {choice!r} is none of auto, cpu, cuda and cuda:N", code=2)
    if ranks.size > 1 and device.type == "cuda":
        torch.cuda.set_device(device)
    return device
