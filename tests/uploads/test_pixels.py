"""Pictures as nested lists of numbers: any layout of a model's shape, read piece by piece."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInput
from service.serving.steps import taken
from service.uploads import pixels
from tests.generated import steady

GREY, COLOUR = (1, 4, 3), (3, 4, 5)
RANDOM = np.random.default_rng(3)


def read(text: str, row_shape: tuple[int, ...], is_list: bool | None = None) -> tuple[Any, bool]:
    return taken(pixels.read("pixels", text.encode(), row_shape, is_list))


def refusal(text: str, row_shape: tuple[int, ...] = GREY, is_list: bool | None = None) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        read(text, row_shape, is_list)
    (error,) = caught.value.errors
    return error


def levels(*shape: int) -> Any:
    return RANDOM.integers(0, 256, shape)


@pytest.mark.parametrize("indent", [None, 0, 3])
@pytest.mark.parametrize("piece_bytes", [16, 16 * 1024])
@pytest.mark.parametrize(
    ("layout", "row_shape", "axes"),
    [
        ((4, 3), GREY, None),
        ((1, 4, 3), GREY, None),
        ((4, 3, 1), GREY, None),
        ((3, 4, 5), COLOUR, None),
        ((4, 5, 3), COLOUR, (0, 3, 1, 2)),
    ],
    ids=str,
)
def test_every_layout_of_one_picture_and_of_a_list(
    monkeypatch: pytest.MonkeyPatch,
    layout: tuple[int, ...],
    row_shape: tuple[int, ...],
    axes: tuple[int, ...] | None,
    piece_bytes: int,
    indent: int | None,
) -> None:
    monkeypatch.setattr(pixels, "PIECE_BYTES", piece_bytes)
    for several in (1, 3):
        pictures = levels(several, *layout)
        expected = (pictures.transpose(axes) if axes else pictures).reshape(-1, *row_shape)
        rows, is_list = read(json.dumps(pictures.tolist(), indent=indent), row_shape, True)
        assert is_list
        assert rows.dtype == np.uint8
        assert np.array_equal(rows, expected)
        rows, is_list = read(json.dumps(pictures[0].tolist(), indent=indent), row_shape)
        assert not is_list
        assert np.array_equal(rows, expected[:1])
        text = json.dumps(pictures.tolist())
        assert np.array_equal(read(text, row_shape)[0], expected)
        assert several <= taken(pixels.most_pictures(text.encode(), row_shape)) <= several + 1


def test_of_one_and_of_a_list_of_one_the_model_s_own_layout_goes_first() -> None:
    one = levels(1, 4, 3).tolist()
    assert not read(json.dumps(one), GREY)[1]
    assert read(json.dumps(one), GREY, True)[1]
    assert read(json.dumps([one]), GREY)[1]


@pytest.mark.parametrize(
    ("value", "place", "told"),
    [
        ([[0.5, 1]], "pixels.0.0", "is 0.5; a pixel is a whole number from 0 to 255 (multiply"),
        ([[1, 2, 3], [4, 5.0, 6]], "pixels.1.1", "is 5.0; "),
        ([[[1, 2], [3, 4]], [[5, 256]]], "pixels.1.0.1", "is 256; "),
        ([[1, -1]], "pixels.0.1", "is -1; "),
        ([[1, None]], "pixels.0.1", "is null; "),
        ([[True]], "pixels.0.0", "is true; "),
        ([["7"]], "pixels.0.0", 'is "7"; '),
        ([{"a": 1}], "pixels.0", 'is {"a": 1}; '),
        ([[10**30]], "pixels.0.0", "is 1" + 30 * "0" + "; "),
        ("[[1e2]]", "pixels.0.0", "is 1e2; "),
        ("[[007]]", "pixels.0.0", "is 007; "),
        (levels(3, 4).tolist(), "pixels", "has the shape 3×4; the model takes 1×4×3 or 4×3 or 4×3×1, or a"),
        (levels(2, 3, 4).tolist(), "pixels", "has the shape 2×3×4; "),
        (levels(12).tolist(), "pixels", "has the shape 12; "),
        ([], "pixels", "has the shape 0; "),
        ([[]], "pixels", "has the shape 1×0; "),
        ([[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 2]], "pixels", "is no regular list of lists"),
        ([[1, 2, 3], 4], "pixels", "is no regular list of lists"),
        ("[[1,2,3],[4,5,6],[7,8,9],[1 2,,3]]", "pixels", "is no regular list of lists"),
        ("[[1,2,3],[4,5,6],[7,8,9],[1,2,3]", "pixels", "is no regular list of lists"),
        ("[[1,2,3],[4,5,6]],[[7,8,9],[1,2,3]]", "pixels", "is no regular list of lists"),
        ("[" * 100 + "]" * 100, "pixels", "is no regular list of lists"),
    ],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("piece_bytes", [8, 16 * 1024])
def test_what_is_wrong_is_told_where_it_is(
    monkeypatch: pytest.MonkeyPatch, value: Any, place: str, told: str, piece_bytes: int
) -> None:
    monkeypatch.setattr(pixels, "PIECE_BYTES", piece_bytes)
    field, message = refusal(value if isinstance(value, str) else json.dumps(value))
    assert field == place
    assert message.startswith(told)


def test_whether_a_list_is_wanted_is_told() -> None:
    picture = json.dumps(levels(4, 5, 3).tolist())
    assert refusal(picture, COLOUR, True)[1].endswith("the model takes a list of 3×4×5 or 4×5×3")
    assert refusal(f"[{picture}]", COLOUR, False)[1].endswith("the model takes 3×4×5 or 4×5×3")


NUMBERS = st.lists(st.sampled_from(["0", "7", "255", "256", " 1", "1 ", "1 1", "", "00", "-1", "[", "]"]))


@steady()
@given(st.lists(NUMBERS, max_size=4))
def test_nothing_is_read_that_json_does_not_mean(lists: list[list[str]]) -> None:
    """What is read is what Python's own reader reads."""
    text = "[" + ",".join(f"[{','.join(row)}]" for row in lists) + "]"
    shape = (1, len(lists) or 1, max(map(len, lists), default=0) or 1)
    try:
        rows, _ = read(text, shape)
    except InvalidInput:
        return
    assert np.array_equal(rows.ravel(), np.ravel(json.loads(text)))


@steady()
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))
def test_whatever_json_means_is_read(channels: int, height: int, width: int, several: int) -> None:
    row_shape = (1 if channels < 3 else 3, height, width)
    pictures = levels(several, *row_shape)
    rows, _ = read(json.dumps(pictures.tolist()), row_shape, True)
    assert np.array_equal(rows, pictures)
