"""`python -m deploy.ray.batch digit scans/ --out answers.jsonl`: many pictures or rows, by actors of Ray.

Each is prepared and answered as the service does it, by one version, with no service in between. What the
output has already is skipped, so a command that was stopped goes on when it is given again.
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import ray
import typer
from ray.exceptions import RayActorError

from abacus_cli.appended import OutputUnusable
from abacus_cli.bulk import WRONG, Ask, Bulk, Stopped
from abacus_cli.inputs import inputs_of
from abacus_cli.outputs import files_of, output_to
from abacus_cli.table_files import STDIN, InputUnusable
from abacus_client import Manifest
from abacus_client.asking import chunks
from deploy.ray.readers import Reader
from service.artifacts.manifest import ArtifactError
from service.artifacts.remote.objects import StoreUnreachable
from service.artifacts.remote.store import store_of
from service.artifacts.shipped import located
from service.artifacts.signatures import KeyUnusable
from service.artifacts.version_folder import read_manifest
from service.engine.predictor import MAX_BATCH_ROWS
from service.errors import DeviceUnavailable
from service.settings import Settings, SettingsUnusable, read_settings
from service.terminal import fail

# What an actor gets at once: each time costs it and Ray a millisecond. What is under way when the command
# is stopped is read again, so it is not much.
BLOCK_PICTURES, BLOCK_ROWS = 4 * MAX_BATCH_ROWS, 2048
# Blocks of each actor: those that it has, so that it never waits for one, and those that are held, so that
# it does not wait for another actor either, whose answers come first.
ASKED, HELD = 2, 8
RESTARTS = 3  # of an actor that is lost, with its node perhaps: it may also be a picture that ends each

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

    Exit code 0: all is answered; 1: something failed, with its reason in the output and on standard error;
    2: the command is wrong; 3: an actor cannot answer.
    """
    try:
        settings = read_settings(**({"artifacts": artifacts} if artifacts else {}))
        settings = located(settings, absolute=True)
        manifest = _manifest(settings, model, version)
        if STDIN in paths:
            raise InputUnusable("standard input is not read")
        inputs = inputs_of(manifest, paths, files_of(out))
        output = output_to(out, inputs.key, paths)
        actor = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=RESTARTS, max_task_retries=RESTARTS)(
            Reader
        )
        ask = _asking(actor, actors, settings, manifest)
        Bulk(manifest.name, inputs, output, ask).run(out)
    except (
        SettingsUnusable,
        ArtifactError,
        InputUnusable,
        OutputUnusable,
        StoreUnreachable,
        NoCluster,
    ) as error:
        fail(str(error), WRONG)


def _manifest(settings: Settings, model: str, version: int | None) -> Manifest:
    """The manifest of the one version that all actors use. Raises ArtifactError."""
    store = store_of(settings)
    wanted = store.current(model) if version is None else version
    return Manifest.model_validate(read_manifest(store.folder(model, wanted)).model_dump(mode="json"))


def _asking(actor: Any, count: int, settings: Settings, manifest: Manifest) -> Ask:
    """Raises NoCluster."""

    def ask(given: Iterator[Any]) -> Iterator[Mapping[str, Any] | str]:
        blocks = chunks(map(_sent, given), BLOCK_ROWS if manifest.takes_rows else BLOCK_PICTURES)
        first = next(blocks, None)
        if first is None:
            return
        _connect()
        actors = [actor.remote(settings, manifest.name, manifest.version) for _ in range(count)]
        try:
            for answers in _in_order(actors, chain([first], blocks)):
                yield from answers
        except (ArtifactError, KeyUnusable, DeviceUnavailable) as error:
            raise Stopped(str(getattr(error, "cause", error))) from error  # else Ray's, with a traceback
        except RayActorError as error:
            raise Stopped(" ".join(str(error).split())) from error

    return ask


def _sent(given: Any) -> Any:
    """To actors, which are in other folders."""
    return str(given.absolute()) if isinstance(given, Path) else given


def _in_order(actors: list[Any], blocks: Iterator[list[Any]]) -> Iterator[list[Mapping[str, Any] | str]]:
    """The answers to each block; so many blocks are held, however many there are."""
    busy = {actor.load.remote(): actor for _ in range(ASKED) for actor in actors}
    asked = deque[Any]()
    for block in blocks:
        while len(asked) == HELD * len(actors) or (asked and ray.wait([asked[0]], timeout=0)[0]):
            yield ray.get(asked.popleft())
        (ended,), _ = ray.wait(list(busy))
        actor = busy.pop(ended)
        asked.append(actor.answer.remote(block))
        busy[asked[-1]] = actor
    while asked:
        yield ray.get(asked.popleft())


def _connect() -> None:
    """To the cluster that RAY_ADDRESS or this machine names, or else to one that is started."""
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # of all that is under way when one fails
    try:
        ray.init(ignore_reinit_error=True)
    except ConnectionError as error:
        asked = "; where it asks for a token, RAY_AUTH_MODE is to be token" if _tokenless() else ""
        raise NoCluster(f"{error}{asked}") from error


def _tokenless() -> bool:
    return os.environ.get("RAY_AUTH_MODE", "disabled") == "disabled"


if __name__ == "__main__":
    cli()
