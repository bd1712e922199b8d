"""Datatypes, exactly: what comes as JSON and as bytes is the same tensor, or is refused."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from service.errors import InvalidRequest
from service.protocol.tensors import NUMBERS, Tensor, of_bytes, of_json
from service.serving.steps import taken

# Of each datatype its least and its greatest, and one that it has not.
RANGES: list[tuple[str, list[Any], Any]] = [
    ("BOOL", [False, True], 1),
    *((f"UINT{bits}", [0, 2**bits - 1], 2**bits) for bits in (8, 16, 32, 64)),
    *(
        (f"INT{bits}", [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1], 2 ** (bits - 1))
        for bits in (8, 16, 32, 64)
    ),
    ("FP32", [-3.4028234663852886e38, 1.5], 3.5e38),
    ("FP64", [-1.7976931348623157e308, 5e-324], 10**309),
]


def in_json(datatype: str, shape: tuple[int, ...], data: Any) -> Tensor:
    return taken(of_json("x", datatype, shape, data))


def in_bytes(datatype: str, shape: tuple[int, ...], data: bytes) -> Tensor:
    return taken(of_bytes("x", datatype, shape, memoryview(data)))


@pytest.mark.parametrize(("datatype", "values", "beyond"), RANGES, ids=[r[0] for r in RANGES])
def test_every_datatype_in_json_and_as_bytes(datatype: str, values: list[Any], beyond: Any) -> None:
    said = in_json(datatype, (1, 2), json.loads(json.dumps([values])))
    assert np.asarray(said.values).tolist() == [values]
    came = in_bytes(datatype, (1, 2), np.array(values, NUMBERS[datatype]).tobytes())
    assert np.asarray(came.values).tolist() == [values]
    others: list[Any] = [beyond, "1", [], {}, None if datatype[:2] != "FP" else "NaN"]
    for wrong in others:
        with pytest.raises(
            InvalidRequest, match=r"Input 'x': element 1 is .*, which is no|nested otherwise"
        ):
            in_json(datatype, (2,), [values[0], wrong])


@pytest.mark.parametrize("wrong", [1.0, 1.5, True, -1, 256, "7"], ids=repr)
def test_a_pixel_is_never_rounded_or_wrapped(wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match="which is no UINT8"):
        in_json("UINT8", (2,), [3, wrong])


def test_half_precision_has_bytes_alone() -> None:
    halves = [1.5, -65504.0, float("inf")]
    assert np.asarray(in_bytes("FP16", (3,), struct.pack("<3e", *halves)).values).tolist() == halves
    upper = [struct.pack("<f", value)[2:] for value in (1.5, -3.0)]
    assert np.asarray(in_bytes("BF16", (2,), b"".join(upper)).values).tolist() == [1.5, -3.0]
    for datatype in ("FP16", "BF16"):
        with pytest.raises(InvalidRequest, match="no form in JSON"):
            in_json(datatype, (1,), [1.0])


def test_null_and_what_is_not_finite_are_floats() -> None:
    values: Any = in_json("FP32", (4,), [None, float("nan"), float("inf"), 16777217]).values
    assert np.array_equal(values, np.array([np.nan, np.nan, np.inf, 16777216], np.float32), equal_nan=True)


@pytest.mark.parametrize("data", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]], ids=["flat", "nested"])
def test_data_are_flat_or_nested_as_the_shape_says(data: list[Any]) -> None:
    assert np.asarray(in_json("INT64", (2, 3), data).values).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "data",
    [
        [1, 2],
        [[1, 2], [3]],
        [[1], [2], [3]],
        [[1, 2, 3], 4],
        [[[1], [2]], [[3], [4]]],
        7,
        {"0": 1},
        None,
        [],
    ],
    ids=repr,
)
def test_data_of_another_shape_are_refused(data: Any) -> None:
    with pytest.raises(InvalidRequest, match="Input 'x': "):
        in_json("INT64", (2, 2), data)


def test_strings_are_any_bytes() -> None:
    strings = [b"", b"\x89PNG\xff", "Zürich".encode()]
    data = b"".join(struct.pack("<I", len(s)) + s for s in strings)
    assert in_bytes("BYTES", (3,), data).values == strings
    assert in_json("BYTES", (2, 1), [["Zürich"], [None]]).values == ["Zürich".encode(), None]


@pytest.mark.parametrize(
    ("shape", "data", "why"),
    [
        ((2,), b"\x01\0\0\0a", "its shape has 2 strings, its data 1"),
        ((1,), b"\x01\0\0", "ends within the string 0"),
        ((1,), b"\x05\0\0\0abc", "ends within the string 0"),
        ((1,), b"\xff\xff\xff\xffabc", "ends within the string 0"),
        ((1,), b"\x01\0\0\0a\0", "1 bytes are left"),
        ((10**12,), b"", "at most"),
    ],
)
def test_strings_that_lie_are_refused(shape: tuple[int, ...], data: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        in_bytes("BYTES", shape, data)


def test_numbers_of_another_length_are_refused() -> None:
    for shape, data in (((2, 2), b"123"), ((2**40, 2**40), b""), ((1,), b"12345678")):
        with pytest.raises(InvalidRequest, match="bytes, not"):
            in_bytes("FP32", shape, data)
    with pytest.raises(InvalidRequest, match="a byte of 0 or 1"):
        in_bytes("BOOL", (2,), b"\x01\x02")
