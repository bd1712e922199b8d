"""A machine on which the import of one module takes long: what belongs into a `sitecustomize.py`."""

from pathlib import Path

_CODE = """
import pathlib, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            pathlib.Path({reached!r}).touch()
            try:
                time.sleep({seconds!r})
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
    code = _CODE.format(module=module, reached=str(reached), seconds=seconds, drops=drops)
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}, reached
