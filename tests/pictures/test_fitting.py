"""Any picture → a row of a model's size: what torchvision makes of it, whatever kind of file it came in."""

from contextlib import suppress
from functools import lru_cache
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torchvision.transforms import v2

from service.errors import ServiceError, TooManyPixels
from service.pictures.fitting import Fit
from service.pictures.images import Finding, find, open_picture
from tests.conftest import png
from tests.pictures.formats.picture_files import png_of

MAX_PIXELS = 25_000_000
IMAGENET = Fit(224, 224, 3, "crop", 256)
SMALL = Fit(32, 32, 3, "crop")


def found(data: bytes, fit: Fit, max_pixels: int = MAX_PIXELS) -> Finding:
    picture = open_picture(data, max_pixels)
    return find(picture, fit)


def row(data: bytes, fit: Fit) -> NDArray[np.int_]:
    levels = np.frombuffer(found(data, fit).pixels, np.uint8)
    return levels.reshape(fit.channels, fit.height, fit.width).astype(int)


def scene(width: int, height: int) -> Image.Image:
    """RGB: soft colours with edges in them, of no symmetry."""
    return painted(width, height).copy()


@lru_cache(maxsize=8)
def painted(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(width * 10_000 + height)
    grain = max(3, max(width, height) // 200)
    coarse_u8 = random.integers(0, 256, (-(-height // grain), -(-width // grain), 3), dtype=np.uint8)
    picture = Image.fromarray(coarse_u8).resize((width, height), Image.Resampling.BICUBIC)
    picture.paste((250, 20, 40), (width // 4, height // 3, width // 2, height - height // 5))
    return picture


def by_torchvision(picture: Image.Image, fit: Fit) -> NDArray[np.int_]:
    if fit.resize == "stretch":
        steps = [v2.Resize((fit.height, fit.width), antialias=True)]
    else:
        steps = [v2.Resize(fit.resize_to, antialias=True), v2.CenterCrop((fit.height, fit.width))]
    levels = np.asarray(v2.Compose(steps)(picture)).astype(int)
    return levels[None] if levels.ndim == 2 else levels.transpose(2, 0, 1)


SIZES = [(500, 375), (375, 500), (224, 224), (257, 256), (32, 32), (31, 33), (999, 1000), (1, 1), (640, 64)]
FITS = [IMAGENET, Fit(32, 32, 3, "crop", 32), Fit(33, 20, 3, "crop", 50), Fit(48, 80, 3, "stretch")]


@pytest.mark.parametrize("fit", FITS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_torchvision_s_to_the_bit(size: tuple[int, int], fit: Fit) -> None:
    picture = scene(*size)
    assert np.array_equal(row(png(picture), fit), by_torchvision(picture, fit))


@pytest.mark.parametrize("fit", [Fit(64, 64, 1, "crop", 64), Fit(28, 28, 1, "stretch")], ids=str)
def test_grey_levels_are_torchvision_s_too(fit: Fit) -> None:
    picture = scene(300, 211)
    grey = by_torchvision(picture.convert("L"), fit)
    assert np.array_equal(row(png(picture), fit), grey)
    assert np.array_equal(row(png(picture.convert("L")), fit._replace(channels=3)), np.repeat(grey, 3, 0))


@pytest.mark.parametrize(("size", "whole"), [((300, 200), (120, 80)), ((200, 300), (90, 135))], ids=str)
def test_without_a_length_the_shorter_side_is_as_long_as_needed(
    size: tuple[int, int], whole: tuple[int, int]
) -> None:
    fit = Fit(80, 90, 3, "crop")
    assert fit.scaled(size) == whole
    assert Fit(80, 80, 3, "crop").scaled(size) == Fit(80, 80, 3, "crop", 80).scaled(size)
    resized = v2.CenterCrop((80, 90))(scene(*size).resize(whole, Image.Resampling.BILINEAR))
    assert np.array_equal(row(png(scene(*size)), fit), np.asarray(resized).transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(7, 900), (3, 2000), (65_000, 2), (1, 65_000)], ids=str)
def test_of_a_long_and_narrow_picture_only_the_middle_is_computed(size: tuple[int, int]) -> None:
    """All of it at the scale of its middle would be up to three billion pixels; a control computes some."""
    levels = row(png(scene(*size)), IMAGENET)
    if max(IMAGENET.scaled(size)) < 200_000:
        assert np.abs(levels - by_torchvision(scene(*size), IMAGENET)).max() <= 2
    assert np.ptp(levels) > 0


@pytest.mark.parametrize("fit", [IMAGENET, SMALL, Fit(224, 224, 3, "crop")], ids=str)
def test_a_large_jpeg_is_read_at_a_part_of_its_size(fit: Fit) -> None:
    """It differs by a level; the control, of which too little was read, by more."""
    size, scaled = (3001, 2003), fit.scaled((3001, 2003))
    data = png(scene(*size), "JPEG", quality=90)
    whole = by_torchvision(Image.open(BytesIO(data)), fit._replace(resize_to=scaled[1]))
    assert fit.factor(size, is_jpeg=True) > 1
    assert np.abs(row(data, fit) - whole).mean() < 1
    coarse = Image.open(BytesIO(data)).reduce(2003 // scaled[1])
    assert np.abs(by_torchvision(coarse, fit._replace(resize_to=scaled[1])) - whole).mean() > 1.5


def test_a_jpeg_of_a_million_pixels_is_read_whole() -> None:
    data = png(scene(1000, 1000), "JPEG")
    assert np.array_equal(row(data, IMAGENET), by_torchvision(Image.open(BytesIO(data)), IMAGENET))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("size", "within"), [((97, 60), 0), ((1301, 1100), 1), ((40, 3000), 2)], ids=str)
def test_the_camera_s_orientation_is_undone(size: tuple[int, int], within: int, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = png(scene(*size), exif=exif, compress_level=1)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    fit = Fit(48, 60, 3, "crop", 64)
    assert np.abs(row(data, fit) - row(png(upright, compress_level=1), fit)).max() <= within
    assert found(data, fit).size == upright.size


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
@pytest.mark.parametrize("size", [(90, 70), (2100, 2000)], ids=str)
def test_what_is_transparent_is_white(mode: str, size: tuple[int, int]) -> None:
    """As it is seen in a browser, light ink too, which a digit would have black behind."""
    alpha = Image.linear_gradient("L").resize(size)
    opaque = scene(*size).convert("L" if mode == "LA" else "P" if mode == "PA" else "RGB").convert("RGB")
    picture = opaque.copy()
    picture.putalpha(alpha)
    seen = Image.composite(opaque, Image.new("RGB", size, "white"), alpha)
    levels = row(png(picture.convert(mode), "TIFF" if mode == "PA" else "PNG", compress_level=1), SMALL)
    assert np.abs(levels - row(png(seen, compress_level=1), SMALL)).max() <= 2


def test_alpha_that_is_nowhere_says_nothing() -> None:
    picture = scene(50, 50)
    picture.putalpha(0)
    assert np.array_equal(row(png(picture), SMALL), row(png(scene(50, 50)), SMALL))


def test_a_transparent_colour_of_a_palette_is_white() -> None:
    picture = scene(60, 60).quantize(16)
    palette = picture.getpalette() or []
    shown = palette.copy()
    shown[9:12] = [255, 255, 255]
    white = picture.copy()
    white.putpalette(shown)
    assert np.array_equal(row(png(picture, transparency=3), SMALL), row(png(white), SMALL))


@pytest.mark.parametrize(
    ("mode", "size"),
    [(mode, (90, 70)) for mode in ("1", "L", "P", "CMYK", "YCbCr", "LAB")]
    + [(mode, (2100, 2000)) for mode in ("1", "L", "P", "CMYK", "YCbCr")],
    ids=str,
)
def test_every_mode_becomes_red_green_and_blue(mode: str, size: tuple[int, int]) -> None:
    picture = scene(*size).convert(mode)
    plain = row(png(picture.convert("RGB"), compress_level=1), SMALL)
    assert np.abs(row(png(picture, "TIFF"), SMALL) - plain).mean() < 1


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_of_sixteen_bits_those_that_are_used_count(bits: int) -> None:
    grey_u8 = np.asarray(scene(64, 64).convert("L"))
    deep_u16 = (grey_u8.astype(np.uint16) << (bits - 8)) | (grey_u8 >> (16 - bits))
    for colour, stored in ((0, deep_u16), (2, np.stack([deep_u16] * 3, axis=2))):
        assert np.abs(row(png_of(stored, 16, colour), SMALL) - row(png(grey_u8), SMALL)).max() <= 1


@pytest.mark.parametrize("frames_in", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_first_frame_counts(frames_in: str) -> None:
    first, other = scene(80, 80), Image.new("RGB", (80, 80), "blue")
    data = png(first, frames_in, save_all=True, append_images=[other, other])
    alone = row(png(first, frames_in), SMALL)
    assert np.abs(row(data, SMALL) - alone).mean() < 12
    assert np.abs(row(png(other, frames_in), SMALL) - alone).mean() > 40


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "TIFF"])
def test_every_format_is_read(image_format: str) -> None:
    """At a size at which pixels are thinned out as well."""
    quick = {"AVIF": {"speed": 10}, "WEBP": {"method": 0}, "PNG": {"compress_level": 1}}
    for size in ((120, 90), (1400, 1000) if image_format == "GIF" else (2200, 1900)):
        picture = scene(*size)
        levels = row(png(picture, image_format, **quick.get(image_format, {})), SMALL)
        assert np.abs(levels - row(png(picture, compress_level=1), SMALL)).mean() < 12


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_one_colour_is_a_picture(level: int) -> None:
    for channels in (1, 3):
        fit = SMALL._replace(channels=channels)
        assert found(png(Image.new("L", (300, 200), level)), fit).pixels == bytes([level]) * (
            channels * 1024
        )


def test_limits_hold_for_any_model() -> None:
    with pytest.raises(TooManyPixels):
        found(png(scene(100, 100)), SMALL, max_pixels=9_999)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "TIFF"])
def test_no_damage_gets_past_our_own_errors(image_format: str) -> None:
    random = np.random.default_rng(5)
    whole = png(scene(40, 40), image_format)
    for _ in range(60):
        data = bytearray(whole)
        for at in random.integers(0, len(data), 4):
            data[at] = random.integers(256)
        with suppress(ServiceError):
            found(bytes(data), SMALL)
