"""`python -m deploy.ray.batch digit scans/ --out answers.jsonl`: many pictures or rows, by actors of Ray.

Each is prepared and answered as the service does it, by one version, with no service in between. What the
output has already is skipped, so a command that was stopped goes on when it is given again.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import ray.data
import typer

from abacus_cli.appended import OutputUnusable
from abacus_cli.columns import ERROR
from abacus_cli.inputs import Remaining, inputs_of
from abacus_cli.outputs import files_of, output_to
from abacus_cli.table_files import STDIN, InputUnusable
from abacus_client import Manifest
from deploy.ray.readers import ANSWER, GIVEN, SHOWN, Reader
from service.artifacts.manifest import ArtifactError
from service.artifacts.remote.objects import StoreUnreachable
from service.artifacts.remote.store import store_of
from service.artifacts.shipped import located
from service.artifacts.version_folder import read_manifest
from service.engine.predictor import MAX_BATCH_ROWS
from service.settings import Settings, SettingsUnusable, read_settings

# Pictures that an actor gets at once: each time costs it and Ray ten milliseconds. What is under way when
# the command is stopped is read again, so they are not many.
BLOCK_PICTURES = 8 * MAX_BATCH_ROWS
BATCH_ROWS, BLOCK_ROWS = 1024, 8 * 1024  # of a table, which take microseconds
BLOCKS_EACH = 4  # of each actor at least, where there are fewer

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class NoCluster(Exception):
    """There is no cluster where RAY_ADDRESS says."""


@cli.command()
def read(
    model: Annotated[str, typer.Argument(help="Model, such as digit.")],
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Pictures, folders, and tables (CSV, Parquet) that name them; or a table of rows."
        ),
    ],
    out: Annotated[Path, typer.Option(help="answers.csv, .jsonl or .parquet.")],
    artifacts: Annotated[str | None, typer.Option(help="Folder of published models.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="By default the live one.")] = None,
    actors: Annotated[int, typer.Option(min=1, help="How many read at a time.")] = 1,
    cpus: Annotated[float, typer.Option(min=0, help="Processors of each.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs of each; 0.5 puts two on one.")] = 0,
) -> None:
    """Read pictures, which every node sees, or rows on a Ray cluster, or on one that is started here.

    Exit code 0: all is answered; 1: something failed, its reason is in the output; 2: the command is wrong.
    """
    try:
        settings = read_settings(**({"artifacts": artifacts} if artifacts else {}))
        settings = located(settings, absolute=True)
        manifest = _manifest(settings, model, version)
        if STDIN in paths:
            raise InputUnusable("standard input is not read")
        inputs = inputs_of(manifest, paths, files_of(out))
        output = output_to(out, inputs.key, paths)
        remaining = Remaining(inputs.asked, output.done)
        items = [{SHOWN: json.dumps(one.shown), GIVEN: _given(one.given)} for one in remaining]
        failed = 0
        for answer in _answers(items, settings, manifest, actors, cpus, gpus):
            failed += ERROR in answer
            output.write(answer)
        output.finish()
    except (
        SettingsUnusable,
        ArtifactError,
        InputUnusable,
        OutputUnusable,
        StoreUnreachable,
        NoCluster,
    ) as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"{len(items) - failed:,} answered in {out}, {failed:,} failed", err=True)
    raise typer.Exit(1 if failed or remaining.failed_before else 0)


def _given(given: Any) -> str:
    return str(given.absolute()) if isinstance(given, Path) else json.dumps(given)


def _manifest(settings: Settings, model: str, version: int | None) -> Manifest:
    """The manifest of the one version that all actors use. Raises ArtifactError."""
    store = store_of(settings)
    wanted = store.current(model) if version is None else version
    return Manifest.model_validate(read_manifest(store.folder(model, wanted)).model_dump(mode="json"))


def _answers(
    items: Sequence[dict[str, str]],
    settings: Settings,
    manifest: Manifest,
    actors: int,
    cpus: float,
    gpus: float,
) -> Iterator[dict[str, Any]]:
    """The answers as they come. Raises NoCluster."""
    if not items:
        return
    _connect()
    rows = manifest.takes_rows
    blocks = max(
        -(-len(items) // (BLOCK_ROWS if rows else BLOCK_PICTURES)), min(len(items), BLOCKS_EACH * actors)
    )
    dataset = ray.data.from_items(list(items), override_num_blocks=blocks)
    answered = dataset.map_batches(
        Reader,
        fn_constructor_args=(settings, manifest.name, manifest.version),
        batch_size=BATCH_ROWS if rows else MAX_BATCH_ROWS,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=cpus,
        num_gpus=gpus,
    )
    for block in answered.iter_batches(batch_size=None, batch_format="numpy"):
        yield from map(json.loads, block[ANSWER])


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
