"""`python -m benchmarks.workers`: what several workers take over one, and what the death of one costs.

Memory counts every page once (proportional set size, /proc/*/smaps_rollup, of all processes together);
seconds are from the start of the command to the last worker that is ready.
"""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Annotated, NamedTuple

import httpx
import psutil
import typer
from rich.console import Console

from benchmarks.process import Running, free_port
from service.artifacts.store import ArtifactStore
from service.terminal import command_line

ARTIFACTS = Path(__file__).parent.parent / "artifacts"
CLIENTS, PAUSE_S = 8, 2.0
MOST_MEMORY, MOST_SECONDS, BACK_WITHIN_S = 1.35, 1.3, 1.0

cli = command_line()
console = Console()


class Taken(NamedTuple):
    """What a service takes: bytes when it serves, and after every worker has loaded another version."""

    seconds: float
    memory: int
    reloaded: int


class Death(NamedTuple):
    """Of one worker: seconds until its successor serves, and requests that were not answered."""

    back_after_s: float
    lost: int
    answered: int


class Several:
    """One service of so many workers, over a store of its own."""

    def __init__(self, folder: Path, workers: int, options: tuple[str, ...]) -> None:
        self._workers = workers
        self._store = ArtifactStore(folder / "artifacts")
        shutil.rmtree(self._store.root, ignore_errors=True)
        shutil.copytree(ARTIFACTS, self._store.root)
        self._port = free_port()
        self._log = folder / "log"
        count = ("--workers", str(workers), "--port", str(self._port))
        self._command = (sys.executable, "-m", "service", *count, *options)
        live = self._store.folder("digit", self._store.current("digit"))
        self._picture = (live / "samples" / "7.png").read_bytes()
        self.url = f"http://127.0.0.1:{self._port}"

    @contextmanager
    def started(self) -> Iterator[tuple[Running, float]]:
        """And the seconds until all serve."""
        began = time.perf_counter()
        environment = {"SERVICE_ARTIFACTS": str(self._store.root), "SERVICE_DEVICE": "cpu"}
        with Running(self._command, environment, f"{self.url}/health/ready", self._log) as running:
            if self._workers > 1:
                self._await(lambda: self._says("is ready after", self._workers))
            yield running, time.perf_counter() - began

    def taken(self) -> Taken:
        with self.started() as (running, seconds):
            for _ in range(CLIENTS * self._workers):
                self._ask()
            time.sleep(PAUSE_S)
            memory = running.proportional_memory_bytes()
            self._publish()
            time.sleep(PAUSE_S)
            return Taken(seconds, memory, running.proportional_memory_bytes())

    def death(self) -> Death:
        with self.started(), ThreadPoolExecutor(CLIENTS) as pool:
            enough = Event()
            asking = [pool.submit(self._ask_until, enough) for _ in range(CLIENTS)]
            time.sleep(PAUSE_S)
            there = psutil.Process(self._first_worker())
            there.kill()
            killed = time.perf_counter()
            self._await(lambda: self._says("is ready after", self._workers + 1))
            back_after_s = time.perf_counter() - killed
            time.sleep(PAUSE_S)
            enough.set()
            answers = [answer for each in asking for answer in each.result()]
        return Death(back_after_s, answers.count(False), answers.count(True))

    def _first_worker(self) -> int:
        words = self._log.read_text().partition("is ready after")[0].split()
        return int(words[-1])

    def _publish(self) -> None:
        """The live digit version once more, under the next number; returns when all have it."""
        store, version = self._store, self._store.current("digit")
        with store.publishing("digit") as folder:
            staged = folder / ".staging"
            shutil.copytree(store.folder("digit", version), staged)
            manifest = staged / "manifest.json"
            text = manifest.read_text().replace(f'"version": {version},', f'"version": {version + 1},', 1)
            manifest.write_text(text)
            store.place(staged, "digit", version + 1)
            store.activate("digit", version + 1)
        self._await(lambda: self._says(f"model digit version {version + 1} ready", self._workers))

    def _ask(self) -> bool:
        with suppress(httpx.HTTPError):
            files = {"file": self._picture}
            return httpx.post(f"{self.url}/predict/digit", files=files, timeout=60).status_code == 200
        return False

    def _ask_until(self, enough: Event) -> list[bool]:
        answers = []
        while not enough.is_set():
            answers.append(self._ask())
        return answers

    def _says(self, what: str, times: int) -> bool:
        return self._log.read_text().count(what) >= times

    def _await(self, condition: Callable[[], bool]) -> None:
        while not condition():
            time.sleep(0.01)


@cli.command()
def main(
    workers: Annotated[int, typer.Option(min=2, help="So many workers are compared with one.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Each is started so many times, in turn.")] = 3,
    start_method: Annotated[str, typer.Option(help="As the service's option.")] = "auto",
) -> None:
    """Compare several workers with one; medians over rounds (a minute each)."""
    one, several, deaths = [], [], []
    options = ("--start-method", start_method)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            one.append(Several(Path(folder), 1, options).taken())
            several.append(Several(Path(folder), workers, options).taken())
            deaths.append(Several(Path(folder), workers, options).death())
    for what, value, most in (
        ("memory over one worker's", _ratio(several, one, lambda t: t.memory), MOST_MEMORY),
        ("the same after a reload", _ratio(several, one, lambda t: t.reloaded), MOST_MEMORY),
        ("seconds until all serve over one's", _ratio(several, one, lambda t: t.seconds), MOST_SECONDS),
        ("seconds until a killed worker's successor serves", _back(deaths), BACK_WITHIN_S),
    ):
        console.print(f"{what}: {value:.2f} (at most {most})")
    for name, taken in (("one", one), (str(workers), several)):
        mib = [[round(t.memory / 2**20), round(t.reloaded / 2**20)] for t in taken]
        console.print(f"{name}: MiB {mib}, seconds {[round(t.seconds, 2) for t in taken]}")
    console.print(f"deaths: {[d._asdict() for d in deaths]}; at most {CLIENTS} were in flight")


def _ratio(several: list[Taken], one: list[Taken], value: Callable[[Taken], float]) -> float:
    return statistics.median(value(a) / value(b) for a, b in zip(several, one, strict=True))


def _back(deaths: list[Death]) -> float:
    return statistics.median(death.back_after_s for death in deaths)


if __name__ == "__main__":
    cli()
