"""The files of a multipart/form-data body (RFC 7578), by python-multipart's push parser."""

from collections.abc import Mapping

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import FieldError, InvalidInput

FILE_FIELD = "file"
MAX_FILES = 64


class _Parts:
    """Collects the contents of the `file` parts that the parser reports, and refuses any other part."""

    def __init__(self) -> None:
        self.files: list[bytearray] = []
        self.complete = False
        self._header = bytearray()
        self._value = bytearray()
        self._name = ""

    def on_part_begin(self) -> None:
        self._name = ""

    def on_header_begin(self) -> None:
        self._header.clear()
        self._value.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            options = parse_options_header(bytes(self._value))[1]
            self._name = options.get(b"name", b"").decode("utf-8", "replace")

    def on_headers_finished(self) -> None:
        if self._name != FILE_FIELD:
            message = f"unknown field; send pictures in {FILE_FIELD!r}"
            raise InvalidInput(
                f"The form has a field {self._name[:80]!r} that is not known.",
                (FieldError(self._name[:80], message),),
            )
        if len(self.files) == MAX_FILES:
            raise InvalidInput(f"The form has more than {MAX_FILES} files.")
        self.files.append(bytearray())

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.files[-1].extend(memoryview(data)[start:end])

    def on_end(self) -> None:
        self.complete = True


def read_files(body: bytes, content_type: str) -> list[bytes]:
    """The contents of the `file` parts of a form, in order, 1 to 64 of them.

    Raises InvalidInput for a body that is no such form, is cut short, or has any other field.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise InvalidInput("The Content-Type of the form names no boundary.")
    collected = _Parts()
    callbacks: Mapping[str, object] = {
        name: getattr(collected, name) for name in dir(collected) if name.startswith("on_")
    }
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InvalidInput(f"The form cannot be read: {error}.") from error
    if not collected.complete:
        raise InvalidInput("The form is cut short: its closing boundary is missing.")
    if not collected.files:
        raise InvalidInput(
            "The form has no file.", (FieldError(FILE_FIELD, "at least one file is required"),)
        )
    return [bytes(content) for content in collected.files]
