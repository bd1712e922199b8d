"""Grey morphology by running extremes equals its definition."""

import numpy as np
import pytest
from numpy.typing import NDArray

from service.pictures.digits.morphology import closed, continued, dilated, eroded, opened


@pytest.mark.parametrize("width", [3, 5, 9, 13])
def test_morphology_equals_its_definition(width: int) -> None:
    """A closing is the least of the greatest, an opening the greatest of the least, of squares."""
    grey = np.random.default_rng(width).integers(0, 256, (20, 23), dtype=np.uint8)
    canvas = continued(grey, width - 1)

    def around(pixels: NDArray[np.uint8], extreme: str) -> NDArray[np.uint8]:
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (width, width))
        return np.asarray(getattr(windows, extreme)((2, 3)))

    assert np.array_equal(closed(canvas, width), around(around(canvas, "max"), "min"))
    assert np.array_equal(opened(canvas, width), around(around(canvas, "min"), "max"))
    line = np.tile(grey[:1], (width, 1))  # as high as a square
    of_line = closed(continued(grey[0], width - 1), width)
    assert np.array_equal(of_line, closed(continued(line, width - 1), width)[0])
    assert (closed(canvas, width) >= grey).all()
    assert (opened(canvas, width) <= grey).all()


@pytest.mark.parametrize("reach", [1, 2, 5])
def test_a_dilated_mask_is_all_that_lies_within_reach(reach: int) -> None:
    mask = np.random.default_rng(reach).random((20, 23)) < 0.02
    rows, columns = np.nonzero(mask)
    y, x = np.mgrid[0:20, 0:23]
    apart = np.maximum(abs(y[..., None] - rows), abs(x[..., None] - columns)).min(axis=2)
    assert np.array_equal(dilated(mask, reach), apart <= reach)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_an_eroded_mask_is_where_a_square_lies_within_it(width: int) -> None:
    mask = np.random.default_rng(width).random((20, 23)) < 0.9
    windows = np.lib.stride_tricks.sliding_window_view(mask, (width, width))
    assert np.array_equal(eroded(mask, width), windows.all((2, 3)))
