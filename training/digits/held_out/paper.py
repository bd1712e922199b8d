"""Ink on paper, in cells, on forms and on displays, as scanners and telephones see it."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.data import Pixels
from training.digits.drawn.hand import Floats, Random


def centred(cover: Image.Image, size: tuple[int, int], random: Random, stray: float = 0.1) -> Image.Image:
    """A cover on a larger or smaller sheet, about its middle."""
    sheet = Image.new("L", size)
    left, top = (
        round((free - side) / 2 + random.uniform(-stray, stray) * free)
        for free, side in zip(size, cover.size, strict=True)
    )
    sheet.paste(cover, (left, top))
    return sheet


def of_mnist(image_u8: Pixels, high: int, thinner: int = 0) -> Image.Image:
    """The cover of a digit `u8 [28, 28]`, so many pixels high with its border; edges sharp again."""
    picture = Image.fromarray(image_u8).resize((high, high), Image.Resampling.BICUBIC)
    for _ in range(thinner):
        picture = picture.filter(ImageFilter.MinFilter(3))
    return picture.point([max(0, min(255, 3 * level - 255)) for level in range(256)])


def photographed(cover: Image.Image, random: Random, *, paper: float, ink: float, noise: float) -> Floats:
    """Levels, 0 to 255: uneven light, and noise. `paper`, `ink`: their levels in full light."""
    longest = max(cover.size)
    y = np.arange(cover.height)[:, None] / longest - 0.5
    x = np.arange(cover.width)[None] / longest - 0.5
    across, down, fall = random.uniform(-0.25, 0.25), random.uniform(-0.25, 0.25), random.uniform(0, 0.3)
    light = 1 + across * x + down * y - fall * (x**2 + y**2)
    share = np.asarray(cover, dtype=np.float32) / 255
    grain = noise * random.standard_normal(share.shape, dtype=np.float32)
    levels: Floats = light * (paper + (ink - paper) * share) + grain
    return levels


def of_levels(levels: Floats) -> Image.Image:
    """A grey picture, of levels cut off at 0 and 255."""
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def png(levels: Floats | Image.Image) -> bytes:
    """Encoded."""
    return _encoded(levels, "PNG", compress_level=1)  # most of the time otherwise


def jpeg(levels: Floats | Image.Image, quality: int) -> bytes:
    """Likewise."""
    return _encoded(levels, "JPEG", quality=quality)


def _encoded(levels: Floats | Image.Image, form: str, **options: int) -> bytes:
    buffer = BytesIO()
    picture = levels if isinstance(levels, Image.Image) else of_levels(levels)
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def with_cell_lines(cover: Image.Image, random: Random, sides: str) -> Image.Image:
    """Lines of a printed cell near the borders: `sides` of `lrtb`, each a little slanted."""
    drawing, (width, height) = ImageDraw.Draw(cover), cover.size
    thick = max(1, round(min(cover.size) * random.uniform(0.012, 0.05)))

    def near(length: int) -> list[float]:
        at = length * random.uniform(0, 0.08)
        return [at, at + length * random.uniform(-0.02, 0.02)]

    for side in sides:
        match side:
            case "l" | "r":
                first, last = near(width)
                ends = [first, last] if side == "l" else [width - 1 - first, width - 1 - last]
                drawing.line((ends[0], 0, ends[1], height), fill=255, width=thick)
            case _:
                first, last = near(height)
                ends = [first, last] if side == "t" else [height - 1 - first, height - 1 - last]
                drawing.line((0, ends[0], width, ends[1]), fill=255, width=thick)
    return cover


def any_sides(random: Random, least: int, most: int) -> str:
    """So many of the four sides of a cell."""
    return "".join(random.permutation(list("lrtb"))[: random.integers(least, most + 1)])
