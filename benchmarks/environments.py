"""One virtual environment for each peer, built from this project's interpreter.

torch, Pillow and NumPy are not installed again: a .pth file makes the project's own visible behind the
peer's packages, so that every server runs the very same kernels and the peer's own dependencies win.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE / ".environments"
REQUIREMENTS = HERE / "requirements"

# Triton's backend for Python is linked to the system's libpython, and reads the library of the interpreter.
INTERPRETERS = {"triton": "/usr/bin/python3"}


class NotBuilt(Exception):
    """pip could not install a peer; the message has the end of what it said."""


def python_of(peer: str) -> Path:
    """The interpreter of the peer's environment, built when its requirements have changed."""
    requirements = (REQUIREMENTS / f"{peer}.txt").read_text()
    folder = ROOT / peer
    python = folder / "bin" / "python"
    done = folder / ".requirements"
    if done.exists() and done.read_text() == requirements:
        return python
    interpreter = INTERPRETERS.get(peer, sys.executable)
    _run(peer, interpreter, "-m", "venv", "--clear", "--without-pip", str(folder))
    packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    if not packages.exists():
        raise NotBuilt(f"{peer} needs {interpreter} to be of this project's version of Python")
    install = ("-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check")
    _run(peer, sys.executable, *install, "-r", str(REQUIREMENTS / f"{peer}.txt"))
    (packages / "zz_project.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done.write_text(requirements)
    return python


def _run(peer: str, *command: str) -> None:
    """Raises NotBuilt."""
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise NotBuilt(f"{peer}: {command[0]} cannot be run: {error.strerror}") from error
    if result.returncode:
        raise NotBuilt(f"{peer} could not be installed:\n{result.stderr.strip()[-1500:]}")


def version(python: Path, package: str) -> str:
    """The version of an installed package."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    result = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
    return result.stdout.strip()
