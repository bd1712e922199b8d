"""Pictures as they are uploaded: in a form, as the body itself, or in a JSON document."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.errors import InvalidInput, UnsupportedMediaType
from service.pictures.formats.recognition import sniff
from service.pictures.images import Upload
from service.serving.body import RawRequest, media_type_of
from service.serving.call import Call
from service.serving.job import Rows
from service.uploads import pixels
from service.uploads.documents import IMAGE, IMAGES, PIXELS, Said, files_of, said_in
from service.uploads.multipart import FILE_FIELD, FILE_NAMES, FORM, MAX_FILES, FileForm, whole_form

Levels = NDArray[np.uint8]

JSON, BYTES = "application/json", "application/octet-stream"

# Up to so many small pictures are read on the event loop: a thread's round trip costs more than they do.
INLINE_PICTURES = 8

EXAMPLE_SIDE = 32  # pixels


class Uploads(NamedTuple):
    """Files as they came: in the field `file` of a form, one that is the `body` itself, or those of a JSON
    document, which may say that they are a list.
    """

    field: str
    files: Sequence[bytes]
    is_list: bool = False

    @property
    def number(self) -> int:
        return len(self.files)

    @property
    def many(self) -> bool:
        """Whether they are answered by a list."""
        return self.is_list or len(self.files) > 1

    def named(self) -> list[Upload]:
        """The files, each with what to call it in an error."""
        field, files, _ = self
        return [Upload(f"{field}.{i}" if self.many else field, file) for i, file in enumerate(files)]


class Document(NamedTuple):
    """A JSON document that is not decoded yet, and the most pictures that it can have."""

    said: Said
    number: int


class Pixels(NamedTuple):
    """Pictures that came as pixels: the rows that a model takes."""

    rows: Rows
    many: bool

    @property
    def field(self) -> str:
        return PIXELS

    @property
    def number(self) -> int:
        return len(self.rows)


def uploads_in(request: RawRequest) -> Uploads:
    """The files of a request that is there whole; none where they are very many, or cannot be read."""
    content_type, body = request
    if content_type.startswith("image/"):
        return Uploads("body", [body])
    if _is_form(content_type):
        files = whole_form(content_type, body)
        return Uploads(FILE_FIELD, files if len(files) <= INLINE_PICTURES else [])
    return Uploads("body", [body] if media_type_of(content_type) in ("", BYTES) else [])


async def uploaded(call: Call, row_shape: tuple[int, ...]) -> Uploads | Document:
    """Raises ServiceError or ClientDisconnect."""
    body = call.body
    if body.media_type == FORM:
        form = FileForm(body.content_type)
        await body.read(form.write)
        return Uploads(FILE_FIELD, form.finish())
    if body.media_type == JSON:
        said = said_in(await body.content())
        count = await call.take(pixels.most_pictures(said.pixels, row_shape), len(said.pixels))
        return Document(said, min(MAX_FILES, len(said.texts) or count))
    if body.media_type in ("", BYTES) or body.media_type.startswith("image/"):
        picture = await body.content()
        if body.media_type or sniff(picture):  # RFC 9110, section 8.3
            return Uploads("body", [picture])
    raise UnsupportedMediaType(
        "Send the picture as multipart/form-data in the field 'file', or as the body with"
        " Content-Type: image/*."
    )


async def opened(call: Call, posted: Uploads | Document, row_shape: tuple[int, ...]) -> Uploads | Pixels:
    """What a document says, decoded. Raises InvalidInput."""
    if isinstance(posted, Uploads):
        return posted
    said, _ = posted
    size = len(said.pixels) + sum(map(len, said.texts))
    if not said.pixels:
        files = [data for _, data in await call.take(files_of(said), size)]
        return Uploads(said.field, files, bool(said.is_list))
    reading = pixels.read(said.field, said.pixels, row_shape, said.is_list)
    rows, many = await call.take(reading, size)
    if len(rows) > MAX_FILES:
        raise InvalidInput(f"The document has more than {MAX_FILES} pictures.")
    return Pixels(rows, many)


def requests_schema(row_shape: tuple[int, ...], row: Levels) -> dict[str, Any]:
    """What OpenAPI says, by media type. `row`: `uint8 [channels, height, width]`, which the model knows."""
    file = {"type": "string", "format": "binary"}
    files = {"type": "array", "items": file, "minItems": 1, "maxItems": MAX_FILES}
    form = {
        "type": "object",
        "properties": {FILE_FIELD: files},
        "patternProperties": {f"^{FILE_NAMES.pattern.decode()}$": files},
        "minProperties": 1,
        "additionalProperties": False,
    }
    return {
        FORM: {"schema": form},
        "image/*": {"schema": file},
        BYTES: {"schema": file},
        JSON: {"schema": _document_schema(row_shape), "example": {IMAGE: _data_url(row)}},
    }


def _document_schema(row_shape: tuple[int, ...]) -> dict[str, Any]:
    text = {"type": "string", "description": "A file in Base64, or a data URL of it."}
    layouts = [_nested(shape) for shape in pixels.layouts(row_shape)]
    one = {"anyOf": [text, *layouts]}
    several = {"type": "array", "minItems": 1, "maxItems": MAX_FILES}
    lists = [{**several, "items": item} for item in (text, *layouts)]
    numbers = {"anyOf": [*layouts, *lists[1:]], "description": "Whole numbers from 0 to 255, as they are."}
    fields = {IMAGE: one, IMAGES: {"anyOf": lists}, PIXELS: numbers}
    return {
        "title": "PictureDocument",  # without one, what generators make of it is called as the operation is
        "oneOf": [
            {
                "type": "object",
                "properties": {name: schema},
                "required": [name],
                "additionalProperties": False,
            }
            for name, schema in fields.items()
        ],
    }


def _nested(shape: tuple[int, ...]) -> dict[str, Any]:
    """Lists of numbers of this shape."""
    schema: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 255}
    for length in reversed(shape):
        schema = {"type": "array", "items": schema, "minItems": length, "maxItems": length}
    return schema


def fits_example(row: Levels) -> bool:
    """Whether the document shows it as it is."""
    return bool(max(row.shape[1:]) <= EXAMPLE_SIDE)


def _data_url(row: Levels) -> str:
    """A PNG of it, thinned out where it is large: the document is read by people, too."""
    picture = Image.fromarray(row[0] if len(row) == 1 else row.transpose(1, 2, 0))
    picture.thumbnail((EXAMPLE_SIDE, EXAMPLE_SIDE))
    file = BytesIO()
    picture.save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode('ascii')}"


def _is_form(content_type: str) -> bool:
    return content_type.startswith(f"{FORM};") or media_type_of(content_type) == FORM
