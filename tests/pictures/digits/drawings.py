"""Digits on paper, for the tests of preparation."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from service.engine.predictor import Predictor
from service.errors import BlankImage
from service.pictures.digits.preparation import prepare

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def prepared(picture: Image.Image) -> NDArray[np.uint8]:
    return prepare(picture).image_u8()


def answers(model: Predictor, pictures: Iterable[Image.Image]) -> list[tuple[int, float]]:
    """Of each picture, the digit, -1 for a blank one, and how little it looks like one."""
    rows, seen = [], []
    for picture in pictures:
        try:
            rows.append(prepared(picture))
            seen.append(True)
        except BlankImage:
            rows.append(np.zeros((28, 28), dtype=np.uint8))
            seen.append(False)
    outputs = model.predict(torch.from_numpy(np.stack(rows)).unsqueeze(1)).numpy()
    digits = np.where(seen, outputs[:, :10].argmax(1), -1)
    return list(zip(digits.tolist(), outputs[:, 10].tolist(), strict=True))


def right_answers(model: Predictor, pictures: Iterable[Image.Image], labels: Pixels) -> int:
    """How many are read as labelled, in order; there may be more labels."""
    return sum(
        digit == label for (digit, _), label in zip(answers(model, pictures), labels.tolist(), strict=False)
    )


def assert_mnist_form(pixels: NDArray[np.uint8]) -> None:
    """Ground 0, full ink 255, longest side 20 (give or take faint edges), centre of mass in the centre."""
    assert np.median(pixels) == 0
    assert pixels.max() == 255
    rows, columns = (np.flatnonzero(pixels.max(axis) > 40) for axis in (1, 0))
    assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
    weights = pixels.astype(float)
    for axis in (0, 1):
        centre = weights.sum(1 - axis) @ np.arange(28) / weights.sum()
        assert abs(centre - 14) <= 1.5


def paper(ink: Floats, ground: Floats | float, level: float, light: Floats | float = 1.0) -> Image.Image:
    """Ink of a grey level on a ground: `ink` is its cover, `light` falls on both, 0 to 1."""
    return Image.fromarray(np.clip((ground * (1 - ink) + level * ink) * light, 0, 255).astype(np.uint8))


def cover(
    image_u8: NDArray[np.uint8], scale: int = 7, side: int = 280, at: tuple[int, int] = (40, 30)
) -> Floats:
    """An MNIST digit enlarged, somewhere on a square sheet: 0 to 1."""
    sheet = Image.new("L", (side, side))
    sheet.paste(Image.fromarray(image_u8).resize((28 * scale, 28 * scale), Image.Resampling.BICUBIC), at)
    return np.asarray(sheet) / 255


def on_desk(sheet: Image.Image, turned: float, random: np.random.Generator) -> Image.Image:
    """Grey, on grained wood, and near its middle; turned by so many degrees."""
    width, height = (round(side * random.uniform(1.45, 1.95)) for side in sheet.size)
    grain = np.clip(np.cumsum(random.normal(0, 2.5, height)), -25, 25)[:, None]
    desk = random.uniform(50, 110) + grain + random.normal(0, 5, (height, width))
    left, top = (
        round((room - side) * random.uniform(0.4, 0.6))
        for room, side in zip((width, height), sheet.size, strict=True)
    )
    paper = Image.new("L", sheet.size, 255).rotate(turned, Image.Resampling.BICUBIC, expand=True)
    picture = Image.fromarray(desk.clip(0, 255).astype(np.uint8))
    picture.paste(sheet.rotate(turned, Image.Resampling.BICUBIC, expand=True), (left, top), paper)
    return picture


def thickened(picture: Image.Image, wide: int) -> Image.Image:
    """Every pixel is the lightest of a square so many wide, an odd number: `MaxFilter(wide)`, quicker."""
    for _ in range(wide // 2):
        picture = picture.filter(ImageFilter.MaxFilter(3))
    return picture


def stroke(width: int, lines: list[list[tuple[int, int]]]) -> Image.Image:
    picture = Image.new("L", (280, 280), 255)
    for line in lines:
        ImageDraw.Draw(picture).line(line, fill=0, width=width, joint="curve")
    return picture


SEVEN = [[(70, 60), (210, 60), (120, 230)]]
