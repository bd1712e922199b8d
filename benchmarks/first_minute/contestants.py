"""What one types and writes with each server, from nothing to each aim, as its own pages show it.

The commands are typed into a shell; a server is started in its own way, on its own port. The files
lie in the folder that is called as the server is.
"""

from dataclasses import dataclass
from pathlib import Path

from service import DISTRIBUTION

FILES = Path(__file__).parent
INSTALLED, FIRST, SCANS, OWN, PYTHON, TYPESCRIPT = (
    "installed, PyTorch and Node.js being there",
    "a first answer",
    "1,000 scans read into a CSV",
    "a model of one's own served and asked",
    "an answer read by a program in Python",
    "an answer read by a program in TypeScript",
)
ENVIRONMENT = ("python3 -m venv environment", ". environment/bin/activate")


@dataclass(frozen=True)
class Step:
    """Commands in their order; `serve`, where there is one, is started after `before` and stays."""

    commands: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    serve: str | None = None

    def lines(self, folder: Path) -> int:
        """Those of the commands and of the files, without empty ones and comments."""
        served = 1 if self.serve else 0
        return len(self.before) + served + len(self.commands) + sum(map(written, self.files_in(folder)))

    def files_in(self, folder: Path) -> list[Path]:
        return [folder / file for file in self.files]


@dataclass(frozen=True)
class Contestant:
    """`ready` answers 200 once its server takes requests."""

    name: str
    folder: str
    package: str
    port: int
    ready: str
    steps: dict[str, Step]

    @property
    def files(self) -> Path:
        return FILES / self.folder

    def lines(self) -> dict[str, int]:
        return {aim: step.lines(self.files) for aim, step in self.steps.items()}


def written(file: Path) -> int:
    """The lines of a file that say something."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith(("#", "//")) for line in lines)


def _asked(port: int, path: str, picture: str) -> tuple[str, ...]:
    return (f"curl http://127.0.0.1:{port}{path} -F file=@{picture}",)


def _peer(
    name: str, package: str, port: int, ready: str, serve: str, own: str, beside: tuple[str, ...] = ()
) -> Contestant:
    """`beside`: what else its programs need."""
    return Contestant(
        name,
        package,
        package,
        port,
        ready,
        {
            INSTALLED: Step((*ENVIRONMENT, " ".join(("pip install", package, *beside)))),
            FIRST: Step(_asked(port, "/predict", "7.png"), ("server.py",), serve=serve),
            SCANS: Step(("python scans.py",), ("scans.py",)),
            PYTHON: Step(("python ask.py",), ("ask.py",)),
            TYPESCRIPT: Step(("npx tsx ask.mts",), ("ask.mts",)),
            OWN: Step(_asked(port, "/predict", "photo.png"), ("own.py",), serve=own),
        },
    )


CONTESTANTS = (
    Contestant(
        "Abacus",
        "abacus",
        DISTRIBUTION,
        8000,
        "/health/ready",
        {
            INSTALLED: Step((*ENVIRONMENT, 'pip install "$(echo abacus_serving-*.whl)[train]"')),
            FIRST: Step(_asked(8000, "/predict/digit", "7.png"), serve="abacus serve"),
            SCANS: Step(("abacus predict digit scans/ --out answers.csv",)),
            PYTHON: Step(("python ask.py",), ("ask.py",)),
            TYPESCRIPT: Step(("npx tsx ask.mts",), ("ask.mts",)),
            OWN: Step(
                _asked(8000, "/predict/net", "photo.png"),
                before=("abacus train publish net.pt --kind picture --size 224 --name net --out models",),
                serve="abacus serve --artifacts models",
            ),
        },
    ),
    _peer(
        "LitServe",
        "litserve",
        8000,
        "/health",
        serve="python server.py",
        own="python own.py",
        beside=("python-multipart", "httpx"),
    ),
    _peer(
        "BentoML",
        "bentoml",
        3000,
        "/readyz",
        serve="bentoml serve server:Digit",
        own="bentoml serve own:Net",
    ),
)
