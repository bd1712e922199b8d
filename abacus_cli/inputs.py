"""What a model is asked about: the files that paths name, or the rows of a CSV file."""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from abacus_client import Manifest

STDIN = "-"
FILE, ROW = "file", "row"  # the column that says what an answer is about
TOO_MANY = "more fields than the header has"


class InputUnusable(Exception):
    """What was given cannot be asked about."""


class Asked(NamedTuple):
    """`shown`: what stands before its answer, first of all what it is known by. `given`: to the client."""

    shown: Mapping[str, Any]
    given: Any

    @property
    def key(self) -> str:
        return str(next(iter(self.shown.values())))


class Inputs(NamedTuple):
    """`total`: how many there are, where that is known before they are read. `key`: the column."""

    key: str
    asked: Iterable[Asked]
    total: int | None


def inputs_of(manifest: Manifest, words: Sequence[str]) -> Inputs:
    """Of the words of the command line. Raises InputUnusable."""
    if not manifest.takes_rows:
        return pictures(words)
    if len(words) != 1:
        raise InputUnusable(f"{manifest.name} takes the rows of one CSV file, or of standard input (-)")
    return Inputs(ROW, _rows(manifest, words[0]), None if words[0] == STDIN else _count(words[0]))


def pictures(words: Sequence[str]) -> Inputs:
    """Files, and of folders what is in them; or paths from standard input."""
    if STDIN in words:
        paths: Iterable[str] = (path for word in words for path in _named(word))
        return Inputs(FILE, (Asked({FILE: path}, Path(path)) for path in paths), None)
    found = [Asked({FILE: path}, Path(path)) for word in words for path in _named(word)]
    return Inputs(FILE, found, len(found))


def _named(word: str) -> Iterator[str]:
    """A file as it is, whether it is there or not; of a folder what is in it, hidden files apart."""
    if word == STDIN:
        yield from (line for text in sys.stdin if (line := text.rstrip("\r\n")))
    elif Path(word).is_dir():
        for path in sorted(Path(word).rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(word).parts)
            if not hidden and path.is_file():
                yield str(path)
    else:
        yield word


def _rows(manifest: Manifest, word: str) -> Iterator[Asked]:
    """Each with its number. What is no column of the model stays beside the answer."""
    numbers = {column.name for column in manifest.input.columns if column.dtype != "category"}
    with _opened(word) as file:
        reader = csv.DictReader(file, restkey=TOO_MANY)
        missing = [name for name in manifest.columns if name not in (reader.fieldnames or ())]
        if missing:
            raise InputUnusable(f"{word} has no column {', '.join(missing)}, which {manifest.name} takes")
        for number, record in enumerate(reader, 1):
            sent = [*manifest.columns, *([TOO_MANY] if TOO_MANY in record else [])]
            given = {name: _value(record[name], name in numbers) for name in sent}
            yield Asked({ROW: number, **record}, given)


def _value(text: Any, is_number: bool) -> Any:
    """A number where it is one; what is none the service refuses, and says why. Nothing is missing."""
    if not isinstance(text, str):
        return None if text is None else str(text)
    if not is_number:
        return text or None
    try:
        return float(text) if text.strip() else None
    except ValueError:
        return text


def _count(word: str) -> int:
    with _opened(word) as file:
        return max(0, sum(1 for row in csv.reader(file) if row) - 1)


@contextmanager
def _opened(word: str) -> Iterator[TextIO]:
    """Raises InputUnusable."""
    try:
        if word == STDIN:
            yield sys.stdin
        else:
            with Path(word).open(encoding="utf-8-sig", newline="") as file:
                yield file
    except OSError as error:
        raise InputUnusable(f"{word} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputUnusable(f"{word} is no CSV file in UTF-8: {error}") from error
