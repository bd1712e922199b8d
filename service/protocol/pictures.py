"""Tensors → rows of a model of pictures: pixels are taken as they are, files are uploads."""

import numpy as np

from service.endpoints.picture import PictureEndpoint
from service.errors import InvalidRequest
from service.problems import shortened
from service.protocol.interface import IMAGE
from service.protocol.requests import Given
from service.protocol.tensors import BYTES, Shape, Strings, Tensor
from service.serving.job import Rows
from service.serving.steps import Steps
from service.uploads.documents import decoded
from service.uploads.pixels import WHOLE, layouts, rows_of
from service.uploads.requests import Uploads


def reading(inputs: list[Given], endpoint: PictureEndpoint) -> Steps[Rows | Uploads]:
    """Raises InvalidRequest or InvalidInput."""
    given, row_shape = inputs[0], endpoint.input.row_shape
    _check(inputs, row_shape)
    if given.datatype == BYTES:
        return Uploads(IMAGE, (yield from _files(given)), is_list=True)
    return _rows((yield from given.reading()), row_shape)


def _check(inputs: list[Given], row_shape: Shape) -> None:
    """Raises InvalidRequest."""
    _, datatype, shape, _ = inputs[0]
    if others := [given.name for given in inputs if given.name != IMAGE]:
        other = shortened(others[0])
        raise InvalidRequest(f"There is no input {other!r}; the model takes {IMAGE!r} alone.")
    if datatype == BYTES:
        if shape[1:] in ((), (1,)):
            return
        raise _wrong(f"files have the shape [N] or [N, 1], not {list(shape)}")
    expected = layouts(row_shape)
    if shape[1:] not in expected:
        shapes = " or ".join(str(["N", *layout]).replace("'", "") for layout in expected)
        raise _wrong(f"has the shape {list(shape)}; the model takes {shapes}")


def _rows(tensor: Tensor, row_shape: Shape) -> Rows:
    """Raises InvalidRequest."""
    values = tensor.values
    assert isinstance(values, np.ndarray)
    if values.dtype.kind not in "ui":
        raise _wrong(f"is {tensor.datatype}; send UINT8, for {WHOLE}, or files as BYTES")
    if values.dtype != np.uint8:
        if values.min() < 0 or values.max() > 255:
            raise _wrong(f"has a pixel of {values.min() if values.min() < 0 else values.max()}; {WHOLE}")
        values = values.astype(np.uint8)
    rows = rows_of(values, row_shape)
    return rows if rows.flags.writeable else rows.copy()  # torch shares no other memory


def _files(given: Given) -> Steps[list[bytes]]:
    """As they are; from JSON, which has no octets, in Base64. Raises InvalidRequest or InvalidInput."""
    strings: Strings = (yield from given.reading()).values  # type: ignore[assignment]
    files = []
    for number, string in enumerate(strings):
        if string is None:
            raise _wrong(f"element {number} is null")
        if isinstance(given.data, memoryview):
            files.append(string)
        else:
            files.append((yield from decoded(f"{IMAGE}.{number}", string)))
    return files


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest(f"Input {IMAGE!r}: {message}.")
