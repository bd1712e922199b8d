"""A folder of pictures that a user names: which files are in it."""

import os
from pathlib import Path

# What systems leave beside files, and do not show whoever looks there.
_LEFT = frozenset({"__macosx", "desktop.ini", "ehthumbs.db", "icon\r", "thumbs.db"})


def files_in(folder: Path) -> list[Path]:
    """Those in it and in the folders below it, in the order of their paths; none that is hidden.

    Links are followed, unless to a folder that they lie in themselves. One that leads to nothing is given,
    too: whoever reads it is told. Raises OSError where a folder cannot be read.
    """
    found = list[Path]()
    for where, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        folders[:] = [name for name in folders if not (is_hidden(name) or _leads_back(where, name))]
        paths = (Path(where, name) for name in names if not is_hidden(name))
        found += [path for path in paths if path.is_file() or not os.path.exists(path)]
    return sorted(found)


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _LEFT


def _leads_back(where: str, name: str) -> bool:
    path = Path(os.path.abspath(where), name)
    return path.is_symlink() and any(path.samefile(above) for above in path.parents)


def _refuse(error: OSError) -> None:
    raise error
