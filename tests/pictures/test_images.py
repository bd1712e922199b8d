"""Upload bytes → 28×28: every format we read, and every way in which an upload can be wrong."""

import random
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.errors import BlankImage, InvalidImage, ServiceError, TooManyPixels
from service.pictures.digits.mnist import digits_of_mnist
from service.pictures.images import find_digit, open_picture
from tests.conftest import Digits, png
from tests.pictures.formats.picture_files import chunk

MAX_PIXELS = 1_000_000


def decode(data: bytes) -> NDArray[np.uint8]:
    pixels = find_digit(open_picture(data, MAX_PIXELS)).digit.image_u8()
    assert pixels.shape == (28, 28)
    assert pixels.dtype == np.uint8
    return pixels


def drawing(size: tuple[int, int] = (280, 280), ink: int = 0, ground: int = 255) -> Image.Image:
    """A thick 7."""
    picture = Image.new("L", size, ground)
    w, h = size
    stroke = [(0.3 * w, 0.25 * h), (0.7 * w, 0.25 * h), (0.45 * w, 0.8 * h)]
    ImageDraw.Draw(picture).line(stroke, fill=ink, width=max(1, w // 12))
    return picture


def is_light_on_dark(pixels: NDArray[np.uint8]) -> bool:
    return bool(np.median(pixels) < 64 and pixels.max() > 180)


def test_an_mnist_picture_goes_in_as_it_is(digits: Digits) -> None:
    for image in digits.images_u8[:50]:
        assert np.array_equal(decode(png(image)), image)


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """The PNG with one more chunk behind its header, which only Pillow's own reader accepts."""
    return data[:33] + chunk(kind, body) + data[33:]


def test_the_short_way_of_decoding_agrees_with_pillow_s(digits: Digits) -> None:
    files = [png(image) for image in digits.images_u8[:200]]
    assert digits_of_mnist(files) == [decode(file).tobytes() for file in files]
    assert digits_of_mnist([with_chunk(file, b"tEXt", b"Comment\0x") for file in files]) == [b""] * 200


def test_the_short_way_tells_mnist_s_digits_from_others(digits: Digits) -> None:
    first, second = digits.images_u8[0], digits.images_u8[1]
    files = [b"", png(first), png(drawing()), png(second), png(255 - second), png(second)[:-1]]
    assert digits_of_mnist(files) == [b"", first.tobytes(), b"", second.tobytes(), b"", b""]
    assert digits_of_mnist([]) == []


def test_threads_decode_side_by_side(digits: Digits) -> None:
    """The short way decodes every picture into the same bytes, and those of one thread alone."""
    files = [png(image) for image in digits.images_u8]
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(digits_of_mnist, [[file] for file in files] * 4))
    assert decoded == [[image.tobytes()] for image in digits.images_u8] * 4


def test_the_short_way_refuses_what_pillow_refuses(digits: Digits) -> None:
    """Damaged pixels under a right checksum: the short way gives the same pixels, or leaves them."""
    random_bytes = random.Random("pixels")
    whole = png(digits.images_u8[0])
    length = int.from_bytes(whole[33:37])
    for _ in range(400):
        pixels = bytearray(whole[41 : 41 + length])
        for _ in range(random_bytes.randint(1, 4)):
            pixels[random_bytes.randrange(length)] = random_bytes.randrange(256)
        del pixels[random_bytes.randint(length // 2, length) :]
        data = whole[:33] + chunk(b"IDAT", bytes(pixels)) + chunk(b"IEND", b"")
        assert digits_of_mnist([data])[0] in (b"", outcome(data))


def outcome(data: bytes) -> bytes | str:
    try:
        return decode(data).tobytes()
    except ServiceError as error:
        return error.detail


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "GIF", "TIFF"])
def test_lossless_formats_give_the_very_pixels(digits: Digits, image_format: str) -> None:
    assert np.array_equal(decode(png(digits.images_u8[0], image_format)), digits.images_u8[0])


def test_webp_without_loss_gives_the_very_pixels(digits: Digits) -> None:
    data = png(Image.fromarray(digits.images_u8[0]).convert("RGB"), "WEBP", lossless=True)
    assert np.array_equal(decode(data), digits.images_u8[0])


def test_jpeg_stays_close(digits: Digits) -> None:
    """Its faint noise on the ground takes it through preparation, which rounds to whole pixels."""
    image_u8 = digits.images_u8[0].astype(int)
    pixels = decode(png(digits.images_u8[0], "JPEG", quality=95))
    moved = [np.roll(pixels, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    assert min(np.abs(other - image_u8).mean() for other in moved) < 5


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_every_colour_mode_is_read(mode: str) -> None:
    rgb = drawing().convert("RGB")
    image_format = "PNG" if mode in ("1", "L", "P", "RGB") else "TIFF"
    assert is_light_on_dark(decode(png(rgb.convert(mode), image_format)))


@pytest.mark.parametrize("ink_and_ground", [(0, 255), (255, 0), (60, 200)])
def test_either_polarity_becomes_light_on_dark(ink_and_ground: tuple[int, int]) -> None:
    pixels = decode(png(drawing(ink=ink_and_ground[0], ground=ink_and_ground[1])))
    assert np.median(pixels) < pixels.max() - 100


def test_a_transparent_ground_counts_as_white() -> None:
    alpha = drawing(ink=255, ground=0)
    ink = Image.new("L", alpha.size, 0)
    pixels = decode(png(Image.merge("LA", [ink, alpha])))
    assert is_light_on_dark(pixels)
    assert np.array_equal(pixels, decode(png(drawing())))


def test_light_ink_on_a_transparent_ground_is_seen() -> None:
    alpha = drawing(ink=255, ground=0)
    white = Image.merge("LA", [Image.new("L", alpha.size, 255), alpha])
    assert np.array_equal(decode(png(white)), decode(png(drawing(ink=255, ground=0))))


def test_sixteen_bits_are_scaled_not_clipped(digits: Digits) -> None:
    deep = digits.images_u8[0].astype(np.uint16) * 257
    assert np.array_equal(decode(png(Image.fromarray(deep))), digits.images_u8[0])


def test_float_pixels_are_stretched_and_must_be_numbers() -> None:
    grey = np.asarray(drawing(), dtype=np.float32) / 255
    assert is_light_on_dark(decode(png(Image.fromarray(grey), "TIFF")))
    grey[0, 0] = np.nan
    with pytest.raises(InvalidImage, match="not numbers"):
        decode(png(Image.fromarray(grey), "TIFF"))


def test_the_camera_s_orientation_is_undone() -> None:
    upright = drawing((200, 280))
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90° clockwise to view"
    turned = png(upright.rotate(90, expand=True), "JPEG", quality=95, exif=exif)
    difference = decode(turned).astype(int) - decode(png(upright))
    assert np.abs(difference).mean() < 3


def test_the_aspect_is_kept() -> None:
    pixels = decode(png(drawing((400, 100))))  # its ink is about 190×88
    height, width = (np.ptp(np.flatnonzero(pixels.max(axis) > 100)) + 1 for axis in (1, 0))
    assert 18 <= width <= 20
    assert 7 <= height <= 11


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (3, 3), (28, 29)])
def test_odd_sizes_are_read(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (size[1], size[0]), dtype=np.uint8) * 255
    noise[0, 0], noise[-1, -1] = 0, 255
    with suppress(BlankImage):  # noise averaged away: also a true answer
        decode(png(noise))


@pytest.mark.parametrize("frames_in", ["GIF", "TIFF", "WEBP"])
def test_the_first_frame_counts(frames_in: str) -> None:
    first, second = drawing(), Image.new("L", (280, 280), 255)
    data = png(first.convert("RGB"), frames_in, save_all=True, append_images=[second.convert("RGB")])
    assert is_light_on_dark(decode(data))


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("size", [(28, 28), (300, 200)])
def test_a_blank_picture_says_so(size: tuple[int, int], level: int) -> None:
    with pytest.raises(BlankImage, match="blank"):
        decode(png(Image.new("L", size, level)))


def test_an_empty_upload_says_so() -> None:
    with pytest.raises(InvalidImage, match="empty"):
        decode(b"")


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_picture_is_damaged_not_unsupported(image_format: str, share: float) -> None:
    data = png(drawing(), image_format)
    with pytest.raises(InvalidImage, match="damaged"):
        decode(data[: max(12, int(len(data) * share))])


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels and holds none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_the_header_alone_tells_the_pixels() -> None:
    """A cut-off picture opens, since nothing is decoded yet, and fails when it is read."""
    data = png(drawing((300, 200)))
    picture = open_picture(data[:400], MAX_PIXELS)
    assert picture.size == (300, 200)
    with pytest.raises(InvalidImage, match="damaged"):
        find_digit(picture)


@pytest.mark.parametrize("side", [1001, 12_000, 20_000, 2**31 - 1])
def test_pixels_are_counted_before_decoding(side: int) -> None:
    with pytest.raises(TooManyPixels, match="pixels"):
        decode(png_header(side, side))


def test_the_pixel_limit_is_exact(digits: Digits) -> None:
    decode(png(drawing((1000, 1000))))
    digit = png(digits.images_u8[0])
    assert open_picture(digit, 28 * 28).size == (28, 28)
    with pytest.raises(TooManyPixels, match="28×28"):
        open_picture(digit, 28 * 28 - 1)
    with pytest.raises(TooManyPixels, match="a side"):
        decode(png(Image.new("L", (65_536, 1))))
    with pytest.raises(TooManyPixels, match="1000×1001"):
        decode(png(drawing((1000, 1001))))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "TIFF"])
def test_no_damage_gets_past_our_own_errors(image_format: str) -> None:
    """Seeded mutations: each is either still a picture, or one of our errors, never another."""
    random_bytes = random.Random(image_format)
    whole = png(drawing((40, 40)), image_format)
    for _ in range(600):
        data = bytearray(whole)
        for _ in range(random_bytes.randint(1, 8)):
            data[random_bytes.randrange(len(data))] = random_bytes.randrange(256)
        with suppress(ServiceError):
            decode(bytes(data[: random_bytes.randint(1, len(data))]))


@pytest.mark.parametrize(("side", "error"), [(64, "damaged"), (20_000, "MB of memory")])
def test_a_tile_larger_than_its_picture_counts_as_what_it_is(side: int, error: str) -> None:
    """A decoder would hold 400 MB for a picture of 100×100."""
    tags = {256: 100, 257: 100, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: 4}
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHLLH", b"II", 42, 12, 0, len(tags))
    with pytest.raises(InvalidImage, match=error):
        decode(head + entries + bytes(4))
