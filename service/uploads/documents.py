"""Pictures in a JSON document: files in Base64, or pixels as nested lists of numbers.

Such documents are large and have next to no structure: one of three fields. It is found by looking at the
few characters that are no content, and what is content is decoded piece by piece.
"""

import binascii
import re
from typing import Any, NamedTuple

from pydantic_core import from_json

from service.errors import FieldError, InvalidInput
from service.pictures.images import Upload
from service.problems import invalid_payload
from service.serving.steps import Steps
from service.uploads.multipart import MAX_FILES

IMAGE, IMAGES, PIXELS = "image", "images", "pixels"
FIELDS = (IMAGE, IMAGES, PIXELS)
_INSTEAD = f"send one of {', '.join(FIELDS[:-1])} or {FIELDS[-1]}"

PIECE = 32 * 1024  # characters that are decoded at a time; a multiple of four
SMALL_BYTES = 2 * 1024  # of a document whose mistakes are told as JSON's
MOST_PREFIX = 200  # characters of a data URL before its content

_BLANKS = rb"[ \t\r\n]{0,256}"
_HEAD = re.compile(rb'%b\{%b"([^"\\]{0,200})"%b:%b' % ((_BLANKS,) * 4))
_NEXT = re.compile(rb'%b,%b"([^"\\]{0,200})"%b:' % ((_BLANKS,) * 3))
_END = re.compile(rb"[ \t\r\n]{0,64}\}[ \t\r\n]{0,256}")
_LIST_OF_TEXTS = re.compile(rb"\[%b(?=[\"\]])" % _BLANKS)
_BETWEEN, _CLOSED = re.compile(rb"%b,%b" % (_BLANKS, _BLANKS)), re.compile(rb"%b\]" % _BLANKS)

_DATA_URL = re.compile(rb"\s*data:([^,]*),", re.IGNORECASE)
# How JSON's writers spell what stands in Base64, besides as it is: PHP a slash, .NET a plus sign, and
# lines of 76 characters, which MIME has, everyone.
_ESCAPES = (
    (rb"\/", b"/"),
    (rb"\n", b""),
    (rb"\r", b""),
    (rb"\t", b""),
    (rb"\u002B", b"+"),
    (rb"\u002b", b"+"),
    (rb"\u002F", b"/"),
    (rb"\u002f", b"/"),
    (rb"\u003D", b"="),
    (rb"\u003d", b"="),
)
_LONGEST_ESCAPE = 6
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class Said(NamedTuple):
    """What a document says, not yet decoded: Base64 of files; or a list of numbers in JSON (`pixels`)."""

    field: str
    texts: list[bytes]
    pixels: bytes = b""

    @property
    def is_list(self) -> bool | None:
        """Whether pictures come as a list; None where only the numbers say it."""
        return None if self.field == PIXELS else self.field == IMAGES

    def name_of(self, number: int) -> str:
        return f"{self.field}.{number}" if self.is_list else self.field


def said_in(document: bytes) -> Said:
    """Raises InvalidInput."""
    head = _HEAD.match(document)
    if not head:
        raise _no_document(document)
    field = head[1].decode("utf-8", "replace")
    if field not in FIELDS:
        raise _wrong(field, f"unknown field; {_INSTEAD}")
    said, end = _value(field, document, head.end())
    if not _END.fullmatch(document, end):
        raise _wrong_end(document, end)
    return said


def _value(field: str, document: bytes, at: int) -> tuple[Said, int]:
    """The value of a field, and where it ends. Raises InvalidInput."""
    if field == IMAGE and document.startswith(b'"', at):
        text, end = _text(field, document, at)
        return Said(field, [text]), end
    texts = _LIST_OF_TEXTS.match(document, at)
    if field == IMAGES and texts:
        return _texts(document, texts.end())
    if document.startswith(b"[", at) and not texts:
        end = document.rfind(b"]") + 1
        return Said(field, [], document[at:end]), end
    expected = {
        IMAGE: "a picture in Base64, or its pixels as nested lists",
        IMAGES: f"a list of 1 to {MAX_FILES} pictures in Base64, or of their pixels as nested lists",
        PIXELS: "nested lists of numbers",
    }
    raise _wrong(field, f"must be {expected[field]}")


def _texts(document: bytes, at: int) -> tuple[Said, int]:
    texts: list[bytes] = []
    if closed := _CLOSED.match(document, at):
        raise _wrong(IMAGES, "at least one picture is required")
    while not closed:
        if len(texts) == MAX_FILES:
            raise InvalidInput(f"The document has more than {MAX_FILES} pictures.")
        name = f"{IMAGES}.{len(texts)}"
        if not document.startswith(b'"', at):
            raise _wrong(name, "must be a picture in Base64, as the one before it")
        text, at = _text(name, document, at)
        texts.append(text)
        between, closed = _BETWEEN.match(document, at), _CLOSED.match(document, at)
        if between:
            at = between.end()
        elif not closed:
            raise _wrong(name, "is followed by neither a comma nor the end of the list")
    return Said(IMAGES, texts), closed.end()


def _text(name: str, document: bytes, at: int) -> tuple[bytes, int]:
    """What is between quotes. There are none within Base64."""
    end = document.find(b'"', at + 1)
    if end < 0:
        raise _wrong(name, "has no end")
    return document[at + 1 : end], end + 1


def files_of(said: Said) -> Steps[list[Upload]]:
    """The files, each with what to call it in an error. Raises InvalidInput."""
    files = []
    for number, text in enumerate(said.texts):
        name = said.name_of(number)
        files.append(Upload(name, (yield from decoded(name, text))))
    return files


def decoded(name: str, text: bytes) -> Steps[bytes]:
    """Base64 of either alphabet, in lines or not, padded or not; or a data URL. Raises InvalidInput."""
    at, content, rest, padding = _start_of_content(name, text), bytearray(), b"", b""
    while at < len(text):
        end = min(len(text), at + PIECE)
        escape = text.rfind(b"\\", end - _LONGEST_ESCAPE + 1, end) if end < len(text) else -1
        end = end if escape < 0 else escape  # it is not cut
        piece = padding + _plain(text[at:end])
        piece, padding = rest + piece.rstrip(b"="), piece[len(piece.rstrip(b"=")) :]
        if other := piece.translate(None, _ALPHABET):
            raise _no_base64(name, text, other)
        whole = len(piece) - len(piece) % 4
        content += binascii.a2b_base64(piece[:whole])
        rest, at = piece[whole:], end
        yield
    if len(rest) == 1 or len(padding) > 2:
        raise _wrong(name, "is cut short: no Base64 has so many characters")
    content += binascii.a2b_base64(rest.ljust(4, b"=") if rest else b"")
    yield
    return bytes(content)


def _start_of_content(name: str, text: bytes) -> int:
    """Raises InvalidInput."""
    prefix = _DATA_URL.match(text[:MOST_PREFIX])
    if not prefix:
        return 0
    if not prefix[1].rstrip().lower().endswith(b";base64"):
        raise _wrong(name, "is a data URL without Base64: it has to begin as data:image/png;base64, does")
    return prefix.end()


def _plain(piece: bytes) -> bytes:
    """In the usual alphabet, without blanks and line ends."""
    if b"\\" in piece:
        for escape, character in _ESCAPES:
            piece = piece.replace(escape, character)
    return piece.translate(_URL_SAFE, b" \t\r\n")


def _no_base64(name: str, text: bytes, other: bytes) -> InvalidInput:
    if text.lstrip().startswith((b"http:", b"https:", b"http:\\/", b"https:\\/")):
        return _wrong(name, "is an address, which is not fetched: send the picture itself, in Base64")
    return _wrong(name, f"is no Base64: {other[:1].decode('latin-1')!r} is none of its characters")


def _no_document(document: bytes) -> InvalidInput:
    """Why it has none of the fields as its first. Raises InvalidInput where it is no JSON at all."""
    value = _parsed(document) if len(document) <= SMALL_BYTES else None
    is_object = isinstance(value, dict) or document.lstrip(b" \t\r\n").startswith(b"{")
    return _wrong("", f"must have a field: {_INSTEAD}" if is_object else f"must be an object; {_INSTEAD}")


def _wrong_end(document: bytes, at: int) -> InvalidInput:
    """What stands behind the value instead of its end. Raises InvalidInput where that is no JSON."""
    if beside := _NEXT.match(document, at):
        name = beside[1].decode("utf-8", "replace")
        return _wrong(
            name, f"is one too many; {_INSTEAD}" if name in FIELDS else f"unknown field; {_INSTEAD}"
        )
    if len(document) <= SMALL_BYTES:
        _parsed(document)
    return _wrong("", "invalid JSON: the document does not end behind its value")


def _parsed(document: bytes) -> Any:
    """Raises InvalidInput."""
    try:
        return from_json(document)
    except ValueError as error:
        raise _wrong("", f"invalid JSON: {error}") from None


def _wrong(field: str, message: str) -> InvalidInput:
    return invalid_payload([FieldError(field, message)])
