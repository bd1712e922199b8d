"""A machine on which the import of one module, or a process's end, takes long: a `sitecustomize.py`."""

from collections.abc import Callable
from pathlib import Path

# Not one long sleep: of a signal that comes just before a call that blocks Python hears when it is over.
NAPS = """
import time

def naps(seconds):
    for _ in range(round(10 * seconds)):
        time.sleep(0.1)
"""

_CODE = """
import pathlib, sys

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            pathlib.Path({reached!r}).touch()
            try:
                naps({seconds!r})
            except BaseException:
                if not {drops!r}:
                    raise

sys.meta_path.insert(0, Slow())
"""


def slow_import(
    folder: Path, module: str, seconds: float, drops: bool = False
) -> tuple[dict[str, str], Path]:
    """The environment of a process for which this holds, and the file that is there once it imports it.

    `drops`: what is raised meanwhile, as C code does.
    """
    reached = folder / "reached"
    code = NAPS + _CODE.format(module=module, reached=str(reached), seconds=seconds, drops=drops)
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}, reached


# Registered first, it is done last.
_END = """
import atexit, os, pathlib, time

def slow():
    pathlib.Path(f"{folder}/ends-{{os.getpid()}}").touch()
    time.sleep({seconds!r})

atexit.register(slow)
"""


def slow_end(folder: Path, seconds: float) -> tuple[dict[str, str], Callable[[int], Path]]:
    """The environment of a process for which this holds, and what is there once one of that number ends."""
    (folder / "sitecustomize.py").write_text(_END.format(folder=folder, seconds=seconds))
    return {"PYTHONPATH": str(folder)}, lambda pid: folder / f"ends-{pid}"
