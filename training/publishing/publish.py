"""Publishing: script → save → manifest → replay in a fresh process → rename into place → `current`.

A version is written aside and appears whole, by one rename; a publisher that is killed leaves nothing
that a reader can see, and one that fails leaves nothing at all. Publishers of one model wait for each
other, so numbers never collide, and none compares with a live version that another just replaced.
"""

import copy
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor, nn

from service.artifacts.files import reason_of, sync_directory, write_durably
from service.artifacts.interface import Output, PictureInput, TableInput
from service.artifacts.manifest import (
    MODEL_FILES,
    Check,
    Form,
    Format,
    Kind,
    Manifest,
    Metric,
    TrainingRecord,
)
from service.artifacts.signatures import SigningKey
from service.artifacts.store import ArtifactStore
from service.artifacts.version_folder import is_signed, read_further_files, write_manifest
from service.engine.tensors import encode_tensor
from training.publishing.activation import IF_AS_GOOD, Activation
from training.publishing.archive import script, with_forms
from training.publishing.forms import Comparing, FormMade, forms_of
from training.publishing.onnx_file import onnx_file
from training.publishing.proof import CHECK_TOLERANCE, FreshProcess, PublishFailed, fresh_process
from training.publishing.quantization import Quantization


@dataclass(frozen=True)
class Candidate:
    """A fitted network and all that its version folder will hold.

    `check_rows` travel in the manifest and are replayed at every load; `proof_rows` are compared with
    the network once, before publishing. `files` are further files by path, such as `report/loss.png`.
    """

    name: str
    kind: Kind
    net: nn.Module
    input: TableInput | PictureInput
    output: Output
    metrics: tuple[Metric, ...]
    training: TrainingRecord | None
    check_rows: Tensor
    proof_rows: Tensor
    files: Mapping[str, bytes]
    quantization: Quantization | None = None  # None: it is published in float32 alone
    format: Format = "torchscript"  # of which alone there are other forms


def check_publishable(name: str, store: ArtifactStore, bytes_needed: int) -> None:
    """Find out before a training what would make it useless.

    Raises OSError where a version's folder cannot be made or the lock not be had, and PublishFailed where
    there is no room for a version.
    """
    with store.publishing(name) as folder:
        _fresh_staging(folder).rmdir()
        free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise PublishFailed(
            f"{folder} has room for {free:,} bytes, and a version takes up to {bytes_needed:,}"
        )


def publish(
    candidate: Candidate,
    store: ArtifactStore,
    key: SigningKey | None = None,
    activation: Activation = IF_AS_GOOD,
) -> Manifest:
    """Publish as the next version, signed by `key`; it becomes live unless the live one is better.

    Where it says how, its int8 form is published beside it, or `activation` is told why not.
    Raises PublishFailed when the reloaded archive differs from the network or cannot be written, and
    ArtifactError when the service would refuse it; in all cases nothing becomes visible.
    """
    net = copy.deepcopy(candidate.net).cpu().eval()
    onnx = candidate.format == "onnx"
    model = onnx_file(net, candidate.check_rows) if onnx else script(net)

    with fresh_process() as process:
        how = None if onnx else candidate.quantization
        forms = list[FormMade]()
        if how:
            comparing = Comparing(net, candidate.proof_rows, candidate.output, process)
            forms = forms_of(comparing, how, activation.tell)
        model = with_forms(model, {made.form.name: made.archive for made in forms})

        def fill(staged: Path, version: int) -> Manifest:
            _write_files(staged, {MODEL_FILES[candidate.format]: model, **candidate.files})
            manifest = _manifest(candidate, net, version, model, [made.form for made in forms])
            write_manifest(staged, manifest, key.sign if key else None)
            process.prove(staged, net, candidate.proof_rows)
            return manifest

        return _publish(candidate.name, store, fill, process, activation)


def publish_again(
    manifest: Manifest,
    store: ArtifactStore,
    metrics: tuple[Metric, ...],
    files: Mapping[str, bytes],
    key: SigningKey | None = None,
    activation: Activation = IF_AS_GOOD,
) -> Manifest:
    """Publish the archive of a version as the next one, with other figures and further or other files."""
    source = store.folder(manifest.name, manifest.version)

    with fresh_process() as process:

        def fill(staged: Path, version: int) -> Manifest:
            _write_files(staged, {**read_further_files(source), **files})
            changes = {"version": version, "created_at": _now(), "metrics": metrics}
            again = manifest.model_copy(update=changes)
            write_manifest(staged, again, key.sign if key else None)
            process.verify(staged)
            return again

        return _publish(manifest.name, store, fill, process, activation)


def _publish(
    name: str,
    store: ArtifactStore,
    fill: Callable[[Path, int], Manifest],
    process: FreshProcess,
    activation: Activation,
) -> Manifest:
    """Have the next version's folder filled aside, then make it visible, and live as `activation` says."""
    with _failures_explained(name, store), store.publishing(name) as folder:
        version = store.next_version(name)
        staged = _fresh_staging(folder)
        try:
            manifest = fill(staged, version)
            for directory in (*filter(Path.is_dir, staged.iterdir()), staged):
                sync_directory(directory)
            signed = is_signed(staged)
            store.place(staged, name, version)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        activation.carry_out(manifest, signed, store, process.verify)
    return manifest


@contextmanager
def _failures_explained(name: str, store: ArtifactStore) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PublishFailed(
            f"nothing can be published to {store.address}/{name}: {reason_of(error)}"
        ) from error


def _write_files(staged: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (staged / path).parent.mkdir(exist_ok=True)
        write_durably(staged / path, content)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _fresh_staging(folder: Path) -> Path:
    # We hold the lock, so any other staging folder was left by a publisher that was killed; what another
    # user left stays.
    for stale in folder.glob(".staging-*"):
        shutil.rmtree(stale, ignore_errors=True)
    staged = folder / f".staging-{os.getpid()}-{secrets.token_hex(4)}"
    staged.mkdir()
    return staged


def _manifest(
    candidate: Candidate, net: nn.Module, version: int, model: bytes, forms: Sequence[Form]
) -> Manifest:
    with torch.inference_mode():
        answers = net(candidate.check_rows.clone())  # it may write to them
    return Manifest(
        name=candidate.name,
        version=version,
        created_at=_now(),
        kind=candidate.kind,
        format=candidate.format,
        sha256=hashlib.sha256(model).hexdigest(),
        size_bytes=len(model),
        input=candidate.input,
        output=candidate.output,
        metrics=candidate.metrics,
        training=candidate.training,
        check=Check(
            inputs=encode_tensor(candidate.check_rows),
            outputs=encode_tensor(answers),
            tolerance=CHECK_TOLERANCE,
        ),
        forms=tuple(forms),
    )
