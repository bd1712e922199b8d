"""libwebp's own reading at a smaller size: what Pillow reads, made smaller."""

import numpy as np
import pytest
from PIL import Image

from service.errors import InvalidImage, PictureTooCostly
from service.pictures.formats import webp as webp_files
from service.pictures.formats.webp import has_alpha, read_scaled
from service.pictures.images import find_digit, open_picture
from tests.conftest import png
from tests.reliability.costly import seven


def drawing(mode: str) -> Image.Image:
    """A 7, in red on blue; with alpha, in a transparent margin."""
    stroke = seven(900)
    picture = Image.composite(
        Image.new("RGB", stroke.size, "blue"), Image.new("RGB", stroke.size, "red"), stroke
    )
    if mode == "RGBA":
        picture.putalpha(Image.new("L", (700, 700), 255).crop((-100, -100, 800, 800)))
    return picture


def on_white(picture: Image.Image) -> Image.Image:
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture.convert("RGBA")).convert("RGB")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [True, False], ids=["lossless", "lossy"])
def test_it_is_what_pillow_reads_made_smaller(mode: str, lossless: bool) -> None:
    data = png(drawing(mode), "WEBP", lossless=lossless)
    assert has_alpha(data) is (mode == "RGBA")
    small = read_scaled(data, (300, 300))
    assert small.mode == mode
    expected = np.asarray(on_white(drawing(mode).reduce(3))).astype(int)
    assert np.abs(np.asarray(on_white(small)) - expected).mean() < 2


def test_an_animation_is_left_to_pillow() -> None:
    frames = drawing("RGB"), drawing("RGB").rotate(90)
    assert has_alpha(png(frames[0], "WEBP", save_all=True, append_images=frames[1:])) is None


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_cut_off_file_is_damaged(share: float) -> None:
    data = png(seven(2500).convert("RGB"), "WEBP", method=0)
    with pytest.raises(InvalidImage, match="damaged"):
        find_digit(open_picture(data[: int(share * len(data))], 25_000_000))


def test_without_the_library_a_large_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = png(seven(4000).convert("RGB"), "WEBP", method=0)
    find_digit(open_picture(data, 25_000_000))
    monkeypatch.setattr(webp_files, "_library", lambda: None)
    with pytest.raises(PictureTooCostly, match="MB of memory"):
        open_picture(data, 25_000_000)
