"""The files of a multipart/form-data body (RFC 7578), read as they come, by python-multipart.

Clients that write a list of files call them `file[]` or `file[0]`, `file[1]`: they are taken in the order
in which they come. A browser sends an input of files where none was chosen as one without a name and
content.

A small form in the usual spelling, as nearly all are, is recognised without the parser, which would take
a quarter of the time of a request (docs/decisions/0005).
"""

import re

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import FieldError, InvalidInput
from service.uploads.boundaries import Boundaries, Preamble

FORM = "multipart/form-data"
FILE_FIELD = "file"
MAX_FILES = 64
HELD_BYTES = 64 * 1024  # so much of a form is held until all of it is there; more goes to the parser

# The parser is slow for parameters of a header: it has no more of them than any that a client means.
MOST_PARAMETERS = 32

_FILE_NAME = FILE_FIELD.encode()
FILE_NAMES = re.compile(rb"file(?:\[[0-9]{0,4}\])?")

# What nearly every client sends: the content type, a part's disposition, and the head of a part.
_USUAL_CONTENT_TYPE = re.compile(r"multipart/form-data; boundary=([\w'+.-]+)", re.ASCII)
_USUAL_DISPOSITION = re.compile(rb'form-data; name="file"(?:; filename="[^"\\]+")?')
_USUAL_PART_HEAD = re.compile(
    rb'\r\nContent-Disposition: form-data; name="file(?:\[[0-9]{0,4}\])?"'
    rb'(?:; filename="([^"\\\r\n]{0,500})")?'
    rb"(?:\r\nContent-Type: [ -~]{1,100})?\r\n\r\n"
)


class _FormErrorsTranslated:
    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, FormParserError):
            raise InvalidInput(f"The form cannot be read: {error}.") from error


_FORM_ERRORS_TRANSLATED = _FormErrorsTranslated()


class FileForm:
    """Collects the `file` parts of a form, 1 to 64 of them, and refuses any other part.

    One that is as browsers send an input without a file does not count beside others.

    Up to `held_bytes` of it are held until all of it is there; of more, a part is refused at its header.
    Every method raises InvalidInput.
    """

    def __init__(self, content_type: str, held_bytes: int = HELD_BYTES) -> None:
        usual = _USUAL_CONTENT_TYPE.fullmatch(content_type)
        boundary = usual[1] if usual else _parameters(content_type.encode("latin-1")).get(b"boundary")
        if not boundary:
            raise InvalidInput("The Content-Type of the form names no boundary.")
        self._boundary = boundary if isinstance(boundary, bytes) else boundary.encode("latin-1")
        self._boundaries = Boundaries(self._boundary, most=4 * MAX_FILES)
        self._preamble = Preamble(self._boundary)
        self._parser: MultipartParser | None = None
        self._may_hold = held_bytes
        self._held = bytearray()
        self._files: list[bytearray] = []
        self._complete = False
        self._name = self._header = self._value = b""
        self._is_nameless = self._none_chosen = False

    def write(self, chunk: bytes) -> None:
        """Take in the next bytes of the body."""
        with _FORM_ERRORS_TRANSLATED:
            if self._parser:
                self._boundaries.count(chunk)
                self._parser.write(self._preamble.without(chunk))
                return
            self._held += chunk
            self._may_hold -= len(chunk)
            if self._may_hold < 0:
                self._parse_held()

    def finish(self) -> list[bytes]:
        """The contents of the files, in order, after the whole body."""
        if not self._parser and (files := usual_files(bytes(self._held), self._boundary)):
            return files
        with _FORM_ERRORS_TRANSLATED:
            (self._parser or self._parse_held()).finalize()
        if not self._preamble.is_over:
            raise InvalidInput("The form cannot be read: it is cut short, or its boundary is another.")
        if not self._complete:
            raise InvalidInput("The form is cut short: its closing boundary is missing.")
        if self._none_chosen and not self._files:
            return [b""]
        if not self._files:
            raise InvalidInput(
                "The form has no file.", (FieldError(FILE_FIELD, "at least one file is required"),)
            )
        return [bytes(file) for file in self._files]

    def _parse_held(self) -> MultipartParser:
        held = bytes(self._held)
        self._boundaries.count(held)
        self._parser = MultipartParser(
            self._boundary,
            {
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )
        self._parser.write(self._preamble.without(held))
        self._held.clear()
        return self._parser

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            if _USUAL_DISPOSITION.fullmatch(self._value):
                self._name = _FILE_NAME
            else:
                parameters = _parameters(self._value)
                self._name = parameters.get(b"name", b"")
                self._is_nameless = parameters.get(b"filename") == b""
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        if not FILE_NAMES.fullmatch(self._name):
            name = self._name[:80].decode("utf-8", "replace")
            raise InvalidInput(
                f"The form has a field {name!r} that is not known.",
                (FieldError(name, f"unknown field; send pictures in {FILE_FIELD!r}"),),
            )
        self._name = b""
        if self._is_nameless:
            self._none_chosen = True
        else:
            self._begin_file()

    def _begin_file(self) -> None:
        if len(self._files) == MAX_FILES:
            raise InvalidInput(f"The form has more than {MAX_FILES} files.")
        self._is_nameless = False
        self._files.append(bytearray())

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_nameless:
            self._begin_file()
        self._files[-1] += data[start:end]

    def _on_part_end(self) -> None:
        self._is_nameless = False

    def _on_end(self) -> None:
        self._complete = True


def _parameters(header: bytes) -> dict[bytes, bytes]:
    """Raises InvalidInput."""
    if header.count(b";") > MOST_PARAMETERS:
        raise InvalidInput(f"A header of the form has more than {MOST_PARAMETERS} parameters.")
    return parse_options_header(header)[1]


def whole_form(content_type: str, form: bytes) -> list[bytes]:
    """The contents of the files of a form that is there whole; none of anything else, or of a wrong one."""
    usual = _USUAL_CONTENT_TYPE.fullmatch(content_type)
    if usual and (files := usual_files(form, usual[1].encode())):
        return files
    try:
        reader = FileForm(content_type)
        reader.write(form)
        return reader.finish()
    except InvalidInput:
        return []


def usual_files(form: bytes, boundary: bytes) -> list[bytes]:
    """The contents of the files of a whole form in the usual spelling; none of any other."""
    delimiter = b"\r\n--" + boundary
    at = len(delimiter) - 2  # there is no line before the first
    if not form.startswith(delimiter[2:]):
        return []
    files: list[bytes] = []
    while head := _USUAL_PART_HEAD.match(form, at):
        start = head.end()
        end = form.find(delimiter, start)
        if end < 0:
            return []
        if start < end or head[1] != b"":
            files.append(form[start:end])
        at = end + len(delimiter)
    return files if form[at:] in (b"--\r\n", b"--") and len(files) <= MAX_FILES else []
