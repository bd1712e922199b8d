"""What pictures are drawn on."""

import pytest
from PIL import Image

from tests.conftest import Digits
from tests.pictures.digits.drawings import cover, paper


@pytest.fixture(params=[0, 255], ids=["dark ink", "light ink"])
def sheet(request: pytest.FixtureRequest, digits: Digits) -> Image.Image:
    """L: a digit drawn in black on white, or the reverse."""
    return paper(cover(digits.images_u8[3]), 255 - request.param, request.param)
