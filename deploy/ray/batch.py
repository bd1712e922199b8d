"""`python -m deploy.ray.batch digit pictures/ --out answers.jsonl`: many pictures, read by actors of Ray.

Each is prepared and answered as the service does it, by one version, with no service in between. What the
output has already is skipped, so a command that was stopped goes on when it is given again.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import ray.data
import torch
import typer
from numpy.typing import NDArray

from abacus_cli.inputs import FILE, pictures
from abacus_cli.outputs import ERROR, OutputUnusable, output_to
from service.artifacts.interface import PictureInput
from service.artifacts.manifest import ArtifactError
from service.artifacts.remote.objects import StoreUnreachable
from service.artifacts.remote.store import opened
from service.artifacts.shipped import absolute_root_of
from service.artifacts.signatures import TrustedKeys
from service.artifacts.store import ArtifactStore, read_manifest
from service.decoding.pool import fit_of
from service.endpoints.kinds import endpoint_of
from service.endpoints.picture import PictureEndpoint
from service.engine.devices import resolve_device
from service.engine.predictor import MAX_BATCH_ROWS, load
from service.errors import ServiceError
from service.pictures.images import Finding, Upload, find, open_pictures, rows_of
from service.serving.job import Answer
from service.settings import Settings, SettingsUnusable, read_settings

ANSWER = "answer"  # JSON, one a picture: rows of a dataset are to be alike

# Pictures that an actor gets at once: each time costs it and Ray ten milliseconds. What is under way when
# the command is stopped is read again, so they are not many.
BLOCK_ROWS = 8 * MAX_BATCH_ROWS
BLOCKS_EACH = 4  # of each actor at least, where there are fewer pictures

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class NoCluster(Exception):
    """There is no cluster where RAY_ADDRESS says."""


class Reader:
    """An actor: one version of a model, loaded and verified once, and batches of pictures."""

    def __init__(self, settings: Settings, name: str, version: int) -> None:
        """Raises ArtifactError, KeyUnusable or DeviceUnavailable."""
        folder = _store(settings).folder(name, version)
        trusted = TrustedKeys(settings.trusted_keys) if settings.trusted_keys else None
        device = resolve_device(settings.device)
        self._predictor = load(folder, device, settings.precision, trusted)
        endpoint = endpoint_of(self._predictor.manifest)
        assert isinstance(endpoint, PictureEndpoint)
        self._endpoint = endpoint
        self._max_pixels = settings.max_image_pixels

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """`batch`: paths under `file`. What cannot be read has its error in the place of an answer."""
        answers = list(self._answered([str(path) for path in batch[FILE]]))
        return {ANSWER: np.array([json.dumps(answer) for answer in answers], dtype=object)}

    def _answered(self, paths: Sequence[str]) -> Iterator[dict[str, Any]]:
        read = [self._read(path) for path in paths]
        findings = [one for one in read if isinstance(one, Finding)]
        results = iter(self._results(findings) if findings else ())
        manifest = self._predictor.manifest
        for path, one in zip(paths, read, strict=True):
            if isinstance(one, str):
                yield {FILE: path, ERROR: one}
            else:
                yield {FILE: path, **next(results), "model": manifest.name, "version": manifest.version}

    def _read(self, path: str) -> Finding | str:
        """What the model reads of a picture, or why there is nothing."""
        try:
            data = Path(path).read_bytes()
            (picture,) = open_pictures([Upload(FILE, data)], self._max_pixels)
            return find(picture, fit_of(self._endpoint.input))
        except (OSError, ServiceError) as error:
            return str(error)

    def _results(self, findings: Sequence[Finding]) -> list[dict[str, Any]]:
        rows = rows_of([finding.pixels for finding in findings], self._endpoint.input.row_shape)
        outputs = self._predictor.answer(torch.from_numpy(rows))
        return self._endpoint.results(Answer(outputs, self._predictor.manifest, 0, 0), findings)


@cli.command()
def read(
    model: Annotated[str, typer.Argument(help="Model, such as digit.")],
    paths: Annotated[list[str], typer.Argument(help="Files and folders, which every node sees.")],
    out: Annotated[Path, typer.Option(help="answers.csv, .jsonl or .parquet.")],
    artifacts: Annotated[str | None, typer.Option(help="Folder of published models.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="By default the live one.")] = None,
    actors: Annotated[int, typer.Option(min=1, help="How many read at a time.")] = 1,
    cpus: Annotated[float, typer.Option(min=0, help="Processors of each.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs of each; 0.5 puts two on one.")] = 0,
) -> None:
    """Read pictures on a Ray cluster, or on one that is started here.

    Exit code 0: all is answered; 1: something failed, its reason is in the output; 2: the command is wrong.
    """
    try:
        settings = read_settings(**({"artifacts": artifacts} if artifacts else {}))
        settings = settings.model_copy(update={"artifacts": absolute_root_of(settings)})
        wanted = _version(settings, model, version)
        output = output_to(out, FILE)
        asked = [one.key for one in pictures(paths).asked if one.key not in output.done]
        failed = 0
        for answer in _answers(asked, (settings, model, wanted), actors, cpus, gpus):
            failed += ERROR in answer
            output.write(answer)
        output.finish()
    except (SettingsUnusable, ArtifactError, OutputUnusable, StoreUnreachable, NoCluster) as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"{len(asked) - failed:,} answered in {out}, {failed:,} failed", err=True)
    raise typer.Exit(1 if failed else 0)


def _store(settings: Settings) -> ArtifactStore:
    return opened(settings.artifacts, settings.artifacts_cache, settings.artifacts_cache_bytes)


def _version(settings: Settings, model: str, version: int | None) -> int:
    """The same for all actors, whatever is published meanwhile. Raises ArtifactError."""
    store = _store(settings)
    wanted = store.current(model) if version is None else version
    manifest = read_manifest(store.folder(model, wanted))
    if not isinstance(manifest.input, PictureInput):
        raise typer.BadParameter(f"{model} takes no pictures")
    return wanted


def _answers(
    asked: Sequence[str], reader: tuple[Settings, str, int], actors: int, cpus: float, gpus: float
) -> Iterator[dict[str, Any]]:
    """As they come. Raises NoCluster."""
    if not asked:
        return
    _connect()
    blocks = max(-(-len(asked) // BLOCK_ROWS), min(len(asked), BLOCKS_EACH * actors))
    items = [{FILE: str(Path(path).absolute())} for path in asked]
    dataset = ray.data.from_items(items, override_num_blocks=blocks)
    answered = dataset.map_batches(
        Reader,
        fn_constructor_args=reader,
        batch_size=MAX_BATCH_ROWS,
        batch_format="numpy",
        concurrency=actors,
        num_cpus=cpus,
        num_gpus=gpus,
    )
    named = {str(Path(path).absolute()): path for path in asked}
    for block in answered.iter_batches(batch_size=None, batch_format="numpy"):
        for text in block[ANSWER]:
            answer = json.loads(text)
            yield {**answer, FILE: named[answer[FILE]]}


def _connect() -> None:
    """To the cluster that RAY_ADDRESS or this machine names, or else to one that is started."""
    try:
        ray.init(ignore_reinit_error=True)
    except ConnectionError as error:
        asked = "; where it asks for a token, RAY_AUTH_MODE is to be token" if _tokenless() else ""
        raise NoCluster(f"{error}{asked}") from error


def _tokenless() -> bool:
    return os.environ.get("RAY_AUTH_MODE", "disabled") == "disabled"


if __name__ == "__main__":
    cli()
