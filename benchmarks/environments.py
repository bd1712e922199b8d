"""One virtual environment for each peer, built from this project's interpreter.

torch, Pillow and NumPy are not installed again: a .pth file makes the project's own visible behind the
peer's packages, so that every server runs the very same kernels and the peer's own dependencies win.
"""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE / ".environments"
REQUIREMENTS = HERE / "requirements"


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
    venv.create(folder, clear=True, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    result = subprocess.run(
        [*command, "-r", str(REQUIREMENTS / f"{peer}.txt")], capture_output=True, text=True
    )
    if result.returncode:
        raise NotBuilt(f"pip could not install {peer}:\n{result.stderr.strip()[-1500:]}")
    packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (packages / "zz_project.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done.write_text(requirements)
    return python


def version(python: Path, package: str) -> str:
    """The version of an installed package."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    result = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
    return result.stdout.strip()
