"""A warm package cache: the wheels that a fresh environment needs, fetched before a clock runs.

PyTorch, which is several gigabytes and the same for all, is there already: links to this environment's own.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.environments import HERE, REQUIREMENTS, ROOT, NotBuilt
from service import DISTRIBUTION

PROJECT = HERE.parent
KEPT = ROOT / "wheels"
PYTORCH = ("torch", "torchvision")


def link_pytorch(folder: Path) -> None:
    """Fills `folder` with links to PyTorch and all that it needs, which pip finds installed there."""
    folder.mkdir(parents=True)
    for package in _with_requirements(PYTORCH):
        for top in {file.parts[0] for file in package.files or () if file.parts[0] != ".."}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(package.locate_file(top))))


def shown_to(environment: Path, pytorch: Path) -> None:
    """Makes the links visible in a virtual environment, behind its own packages."""
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "zz_pytorch.pth").write_text(f"{pytorch}\n")


def collect(package: str, pytorch: Path) -> Path:
    """The folder of wheels that installing it in a fresh environment needs. Raises NotBuilt.

    A peer's are kept; this project's are of its sources as they are.
    """
    ours = package == DISTRIBUTION
    wheels = KEPT / package
    done = wheels / "requirements"
    requirements = PROJECT / "constraints.txt" if ours else REQUIREMENTS / f"{package}.txt"
    if done.exists() and done.read_text() == requirements.read_text():
        if ours:
            _build(wheels)
        return wheels
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(parents=True)
    if ours:
        wanted = [f"{_build(wheels)}[train]", "--constraint", str(requirements)]
    else:
        wanted = ["--requirement", str(requirements)]
    _fetch(wanted, pytorch, wheels)
    shutil.copy(requirements, done)
    return wheels


def _build(wheels: Path) -> Path:
    """The wheel of our own sources, by way of a source distribution."""
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(wheels), str(PROJECT))
    (wheel,) = wheels.glob(f"{DISTRIBUTION.replace('-', '_')}-*.whl")
    return wheel


def _fetch(wanted: list[str], pytorch: Path, wheels: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)  # whose own packages count, too
        shown_to(Path(folder), pytorch)
        report = Path(folder, "report.json")
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        fresh = ("--python", str(Path(folder, "bin", "python")))
        _run(*pip, *fresh, "install", "--dry-run", "--report", str(report), *wanted)
        found = [one["metadata"] for one in json.loads(report.read_text())["install"]]
        others = [f"{one['name']}=={one['version']}" for one in found if one["name"] != DISTRIBUTION]
        _run(*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), *others)


def _with_requirements(names: tuple[str, ...]) -> list[Distribution]:
    """Those packages and all that they need here, those of their extras that are asked for, too."""
    found: dict[str, Distribution] = {}
    wanted, seen = [Requirement(name) for name in names], set[str]()
    while wanted:
        requirement = wanted.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        package = distribution(requirement.name)
        found[canonicalize_name(requirement.name)] = package
        for needed in map(Requirement, package.requires or ()):
            extras = ("", *requirement.extras)
            if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(needed)
    return list(found.values())


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise NotBuilt(f"{' '.join(command)}\n{(result.stdout + result.stderr).strip()[-1500:]}")
