"""A version folder → a predictor: verified, checked against what training saw, timed, warmed up."""

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from service.artifacts.fitness import contradictions, improbable
from service.artifacts.manifest import MANIFEST_FILE, ArtifactError, Manifest
from service.artifacts.signatures import TrustedKeys
from service.artifacts.version_folder import MAX_MODEL_BYTES, read_manifest, read_model, title
from service.engine.devices import AsItIs, runner
from service.engine.explained import explained
from service.engine.onnx_session import OnnxSession
from service.engine.predictor import BATCH_SIZES, Choice, Predictor, example_row
from service.engine.quickest import by_size, quickest, timed
from service.engine.tensors import decode_tensor, reason
from service.engine.torchscript import MODEL_FAULTS
from service.engine.ways import Way, Ways, exact_ways, log_missing, other_forms, torchscript_accepted
from service.errors import InferenceFailed
from service.option_types import Precision

# How far probabilities may be from training's when they are computed in half precision: twice what was seen
# on MNIST's 10,000 test images (0.026 and 0.028 in bfloat16, for two versions of the default model).
HALF_TOLERANCE = 0.05

CPU = torch.device("cpu")


class Artifact(NamedTuple):
    """A version as it was read: what is known of it, and the archive itself."""

    title: str
    manifest: Manifest
    model: bytes | None  # None: it need not be loaded


def load(
    folder: Path,
    device: torch.device,
    precision: Precision = "float32",
    trusted: TrustedKeys | None = None,
    max_bytes: int = MAX_MODEL_BYTES,
) -> Predictor:
    """`read` a version folder and `prepare` it. Raises ArtifactError when it must not be served."""
    return prepare(read(folder, trusted, max_bytes), device, precision)


def read(
    folder: Path,
    trusted: TrustedKeys | None = None,
    max_bytes: int = MAX_MODEL_BYTES,
    loaded: Callable[[str, Manifest], bool] = lambda _, __: False,
) -> Artifact:
    """Read a version folder: verify signature, size and SHA-256, and that its manifest is sound.

    Without `trusted` keys no signature is asked for; an archive of more than `max_bytes` is not read, nor
    one that is `loaded` already, by its title and manifest. Raises ArtifactError.
    """
    manifest = read_manifest(folder, trusted.verify if trusted else None)
    if wrong := contradictions(manifest):
        raise ArtifactError(f"{title(folder)}/{MANIFEST_FILE}: {'; '.join(wrong)}")
    where = title(folder)
    return Artifact(
        where, manifest, None if loaded(where, manifest) else read_model(folder, manifest, max_bytes)
    )


def prepare(artifact: Artifact, device: torch.device, precision: Precision = "float32") -> Predictor:
    """Make an artifact ready to answer: optimise it, replay its check, warm up.

    In half precision its answers may differ from training's by HALF_TOLERANCE; with `auto` it may take any
    form that the archive holds and whose answers differ by no more than the manifest says.
    Raises ArtifactError when it must not be served. Whoever wrote it decides how long this takes.
    """
    return prepared(artifact, device, precision)(None)


def prepared(
    artifact: Artifact, device: torch.device, precision: Precision = "float32"
) -> Callable[[Choice | None], Predictor]:
    """The first part of `prepare`: all that does not depend on how many threads compute.

    The rest is done by the process that serves; it may go by what another has chosen with as many threads.
    Raises ArtifactError, as the rest does.
    """
    where, manifest, model = artifact
    assert model is not None
    if manifest.format == "onnx":  # which onnxruntime computes as it is, on the CPU alone
        way = Way("onnxruntime", OnnxSession(where, model))
        return partial(_ready, where, manifest, CPU, torch.float32, (way,), {})
    dtype: torch.dtype = torch.float32 if precision == "auto" else getattr(torch, precision)
    half = dtype != torch.float32
    row = example_row(manifest)
    on_cpu = device.type == "cpu"
    try:
        with torchscript_accepted():
            exact = exact_ways(model, device, row, several=on_cpu and not half)
    except (*MODEL_FAULTS, ValueError) as error:
        raise ArtifactError(f"{where}: not a TorchScript archive: {reason(error)}") from error
    tolerance = _tolerance(manifest, dtype, [])
    with _checked(where):
        if len(exact) > 1:  # each of them answers some of the batches
            for way in exact:
                _replay(Predictor(way.run, manifest, device).predict, manifest, tolerance)
    ways, missing = tuple(exact), dict[str, str]()
    if precision == "auto" and on_cpu:
        forms, missing = _sound(other_forms(model, manifest), manifest)
        ways += forms
        log_missing(where, missing)
    elif manifest.forms:
        why = f"--precision {precision}" if on_cpu else f"device {device}"
        missing = {form.name: why for form in manifest.forms}
    return lambda chosen: _ready(where, manifest, device, dtype, ways, missing, chosen)


def give_back() -> None:
    """Hand the system what the C library keeps of free memory, of which a model that gets ready takes much.

    Without effect where the C library is not glibc. Takes milliseconds, in which other threads go on.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _ready(
    where: str,
    manifest: Manifest,
    device: torch.device,
    dtype: torch.dtype,
    ways: tuple[Way, ...],
    missing: Mapping[str, str],
    chosen: Choice | None,
) -> Predictor:
    """The predictor that takes for each batch size the quickest of its ways, or what was `chosen`."""
    row = example_row(manifest)
    by_rows, timings = (chosen.ways, chosen.timings) if chosen else ((), ())
    with _checked(where), torchscript_accepted():
        runs = [
            way.run if chosen and n not in by_rows else way.made_ready(row) for n, way in enumerate(ways)
        ]
        with AsItIs():
            if len(runs) > 1 and not chosen:
                timings = timed(runs, row, BATCH_SIZES)
                by_rows = quickest(timings, [way.form is not None for way in ways])
            run = runner(by_size(runs, by_rows) if by_rows else runs[0], row, device, dtype, BATCH_SIZES)
        predictor = Predictor(run, manifest, device)
        _replay(predictor.predict, manifest, _tolerance(manifest, dtype, [ways[n] for n in by_rows]))
        if chosen:
            predictor.quick, predictor.slow_rows = chosen.quick, chosen.slow_rows
        else:
            predictor.warm_up()
    predictor.choice = Choice(by_rows, predictor.quick, predictor.slow_rows, timings)
    predictor.explained = explained(ways, by_rows, timings, missing)
    return predictor


def _tolerance(manifest: Manifest, dtype: torch.dtype, taken: list[Way]) -> float:
    allowed = HALF_TOLERANCE if dtype != torch.float32 else manifest.check.tolerance
    return max([allowed, *(way.form.tolerance for way in taken if way.form)])


def _sound(forms: Ways, manifest: Manifest) -> tuple[tuple[Way, ...], dict[str, str]]:
    """The forms that pass the check here, in a batch and row by row; and why others are missing."""
    sound, missing = list[Way](), dict(forms.missing)
    for way in forms.ways:
        assert way.form
        predictor = Predictor(way.run, manifest, CPU)
        try:
            for alone in (False, True):
                _replay(predictor.predict, manifest, way.form.tolerance, alone)
        except ArtifactError as error:
            missing[way.name] = str(error)
        except (InferenceFailed, *MODEL_FAULTS, AttributeError, TypeError) as error:
            missing[way.name] = f"it fails on the check: {reason(error.__cause__ or error)}"
        else:
            sound.append(way)
    return tuple(sound), missing


def _replay(
    predict: Callable[[Tensor], Tensor], manifest: Manifest, tolerance: float, alone: bool = False
) -> None:
    """Ask the rows of the manifest's check once more, in one batch or each `alone`.

    Raises ArtifactError when answers differ by more than `tolerance`, and whatever `predict` raises.
    """
    expected = decode_tensor(manifest.check.outputs)
    rows = decode_tensor(manifest.check.inputs)
    answers = torch.cat([predict(part) for part in (rows.split(1) if alone else [rows])])
    if answers.shape != expected.shape:
        raise ArtifactError(f"check: answers are {list(answers.shape)}, not {list(expected.shape)}")
    difference = (answers - expected).abs().max().item()
    # Negated so that NaN, which compares false with everything, fails.
    if not difference <= tolerance:
        raise ArtifactError(
            f"check: answers differ from training's by {difference:.3g}, more than {tolerance:g}"
        )
    # Each of the probabilities that are summed may be off by as much.
    slack = (tolerance - manifest.check.tolerance) * len(manifest.output.labels)
    if why := improbable(answers.tolist(), manifest, slack):
        raise ArtifactError(f"check: {why}")


@contextmanager
def _checked(where: str) -> Iterator[None]:
    """Raises ArtifactError where a model does."""
    try:
        yield
    except (InferenceFailed, *MODEL_FAULTS, AttributeError, TypeError) as error:
        cause = reason(error.__cause__ or error)
        raise ArtifactError(f"{where}: the model fails on its own check: {cause}") from error
