"""One contestant's way to every aim: its commands are run as they are typed, and timed."""

import csv
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.first_minute.contestants import (
    FIRST,
    INSTALLED,
    OWN,
    PYTHON,
    SCANS,
    TYPESCRIPT,
    Contestant,
    Step,
)
from benchmarks.process import Running, free_port

ACTIVE = ". environment/bin/activate"
LONGEST_S = 400


class WentWrong(Exception):
    """A command failed, or did not do what it should; the message has what it said."""


class Course:
    """`folder` has what a newcomer has; `active` is the command that makes an environment active."""

    def __init__(
        self, contestant: Contestant, folder: Path, active: str = ACTIVE, **environment: str
    ) -> None:
        self._contestant = contestant
        self._folder = folder
        self._active = active
        self._port = str(free_port())
        self._environment = {
            "HOME": str(folder),
            "SERVICE_PORT": self._port,
            "ABACUS_URL": f"http://127.0.0.1:{self._port}",
            "BENTOML_PORT": self._port,
            "BENTOML_DO_NOT_TRACK": "1",
            "PYTHONWARNINGS": "ignore",
            **environment,
        }
        for file in contestant.files.iterdir():
            if file.is_file():
                (folder / file.name).write_text(self._ours(file.read_text(encoding="utf-8")))

    def install(self, between: Callable[[], None]) -> float:
        """Seconds; `between` is called, off the clock, when the environment is made and has nothing."""
        make, *rest = self._contestant.steps[INSTALLED].commands
        seconds, _ = self._timed(make)
        between()
        return seconds + self._timed("\n".join(rest))[0]

    def run(self, aims: tuple[str, ...]) -> Iterator[tuple[str, float]]:
        """A first answer and each of the aims, and its seconds. Raises WentWrong, NotStarted."""
        steps = self._contestant.steps
        shutil.rmtree(self._folder / "models", ignore_errors=True)
        with self._served(steps[FIRST], '"digit":7') as seconds:
            yield FIRST, seconds
            for aim in aims:
                if aim in (SCANS, PYTHON, TYPESCRIPT):
                    seconds, said = self._timed(self._active, *steps[aim].commands)
                    self._check(aim, said)
                    yield aim, seconds
        if OWN in aims:
            with self._served(steps[OWN], '"label":') as seconds:
                yield OWN, seconds

    @contextmanager
    def _served(self, step: Step, wanted: str) -> Iterator[float]:
        """A step's server, once it has answered as is `wanted`; and the seconds until then."""
        before, _ = self._timed(self._active, *step.before) if step.before else (0.0, "")
        command = ["bash", "-c", f"cd {self._folder} && {self._active} && exec {step.serve}"]
        ready = f"http://127.0.0.1:{self._port}{self._contestant.ready}"
        log = self._folder / "server.log"
        with Running(command, self._environment, ready, log, LONGEST_S) as server:
            after, said = self._timed(*step.commands)
            if wanted not in said.replace(" ", ""):
                raise WentWrong(f"{step.commands}\n{said}")
            yield before + server.seconds_to_ready + after

    def _check(self, aim: str, said: str) -> None:
        """That what was to be reached is reached."""
        if aim != SCANS:
            if said.split() != ["7"]:
                raise WentWrong(said)
            return
        with (self._folder / "answers.csv").open(newline="") as file:
            names = {row[0] for row in csv.reader(file)}
        missing = {path.name for path in self._folder.glob("scans/*")} - {Path(name).name for name in names}
        if missing:
            raise WentWrong(f"{len(missing)} scans are not in answers.csv\n{said}")
        (self._folder / "answers.csv").unlink()

    def _timed(self, *commands: str) -> tuple[float, str]:
        """The seconds that the commands took, and what they printed."""
        script = self._ours("\n".join(commands))
        started = time.perf_counter()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self._folder,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            raise WentWrong(f"{script}\n{(done.stdout + done.stderr)[-1500:]}")
        return seconds, done.stdout

    def _ours(self, text: str) -> str:
        """With a port that is free here for the one that the server takes."""
        return text.replace(str(self._contestant.port), self._port)
