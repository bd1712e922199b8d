"""Pictures as they are uploaded: in a form, or as the body itself."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from service.endpoints.endpoint import Whole
from service.endpoints.multipart import FILE_FIELD, FORM, MAX_FILES, FileForm, whole_form
from service.errors import UnsupportedMediaType
from service.pictures.images import Upload
from service.serving.body import Body, media_type_of

# Up to so many small pictures are read on the event loop: a thread's round trip costs more than they do.
INLINE_PICTURES = 8


class Uploads(NamedTuple):
    """Files as they came: in the field `file` of a form, or one that is the `body` itself."""

    field: str
    files: Sequence[bytes]

    def named(self) -> list[Upload]:
        """Each with what to call it in an error."""
        field, files = self
        alone = len(files) == 1
        return [Upload(field if alone else f"{field}.{i}", file) for i, file in enumerate(files)]


def uploads_in(whole: Whole) -> Uploads:
    """Of a request that is there whole; none where it cannot be read, or has very many."""
    content_type, body = whole
    if content_type.startswith("image/"):
        return Uploads("body", [body])
    files = whole_form(content_type, body) if _is_form(content_type) else []
    return Uploads(FILE_FIELD, files if len(files) <= INLINE_PICTURES else [])


async def uploaded(body: Body) -> Uploads:
    """Raises ServiceError or ClientDisconnect."""
    if body.media_type == FORM:
        form = FileForm(body.content_type)
        await body.read(form.write)
        return Uploads(FILE_FIELD, form.finish())
    if body.media_type.startswith("image/"):
        picture = bytearray()
        await body.read(picture.extend)
        return Uploads("body", [bytes(picture)])
    raise UnsupportedMediaType(
        "Send the picture as multipart/form-data in the field 'file', or as the body with"
        " Content-Type: image/*."
    )


def requests_schema() -> dict[str, Any]:
    """For OpenAPI, by media type."""
    file = {"type": "string", "format": "binary"}
    files = {"type": "array", "items": file, "minItems": 1, "maxItems": MAX_FILES}
    form = {
        "type": "object",
        "properties": {FILE_FIELD: files},
        "required": [FILE_FIELD],
        "additionalProperties": False,
    }
    return {FORM: {"schema": form}, "image/*": {"schema": file}}


def _is_form(content_type: str) -> bool:
    return content_type.startswith(f"{FORM};") or media_type_of(content_type) == FORM
