"""A digit as people scan, draw or photograph it → the form in which MNIST stores its digits.

That form is light ink on a ground of 0, the longest side of the ink 20 pixels, its centre of mass in the
centre of 28×28 (LeCun, Bottou, Bengio and Haffner 1998, section III.A). Deterministic, on Pillow and NumPy.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from service.errors import BlankImage

SIDE = 28
INK_SIDE = 20
CENTRE_OF_MASS = 14.5  # from the left and the top edge: the middle of pixel (14, 14), as in MNIST itself

# The longest side, in pixels, at which ink is found, the ground modelled and strokes grouped.
WORK_SIDE, GROUND_SIDE, GROUP_SIDE = 140, 32, 56

# At which side polarity is decided, and in which windows of a median that stands for the ground.
NARROW, WIDE = (16, 5), (12, 7)

WIDEST_STROKE = 9  # of GROUND_SIDE: whatever is narrower is ink, whatever is wider is ground
WIDEST_AT_BORDER = 21  # likewise, along the border
# A flat ground: this share of the pixels within so many levels, and no such share on any other.
FLATNESS, FLAT_SHARE, SHADOW_SHARE = 4, 0.35, 0.10

LEAST_CONTRAST = 16  # grey levels; ink that stands out by less is noise
CLEAR_CONTRAST = 100  # grey levels; what stands out by so much is no paper grain
LUMA_SHARE = 0.3  # of the variance of all colours; where luma has less, ink and ground differ by colour
RULE_COVER, WIDEST_RULE = 0.95, 0.035  # a line covers so much of the width, and so little of the height
INK_SHARE = 0.001  # of the pixels, at the least, are ink of full strength
SPECK_SHARE = 0.04  # of the ink of the largest stroke; what has less is dropped

# Stroke width over the longest side of the ink. Outside this range strokes are thickened or thinned;
# of MNIST's digits themselves 98 % lie inside.
THINNEST, THICKEST = 0.075, 0.22

Pixels = NDArray[np.uint8]

_LEVELS = np.arange(256)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

# MNIST's own 70,000 pictures: the longest side of the ink, its strongest pixel, and its centre of mass.
MNIST_INK_SIDES, MNIST_PEAK, MNIST_CENTRE = (19, 20), 250, (13.9, 15.1)
# Pixels times this: their sum, and the sums of their moments about the left and the upper edge.
_Y, _X = np.mgrid[0:SIDE, 0:SIDE] + 0.5
_MOMENTS = np.stack([np.ones(SIDE * SIDE), _X.ravel(), _Y.ravel()], axis=1).astype(np.float32)


def is_in_mnist_form(grey: Image.Image) -> bool:
    """Whether an 8-bit picture already is what `prepare` makes; cheap, as most pictures that come are."""
    if grey.size != (SIDE, SIDE):
        return False
    box = grey.getbbox()
    if box is None or max(box[2] - box[0], box[3] - box[1]) not in MNIST_INK_SIDES:
        return False
    pixels = np.frombuffer(grey.tobytes(), np.uint8)
    mass, x, y = (pixels.astype(np.float32) @ _MOMENTS).tolist()
    low, high = MNIST_CENTRE
    centred = low * mass <= x <= high * mass and low * mass <= y <= high * mass
    return centred and int(pixels.max()) >= MNIST_PEAK


class Prepared(NamedTuple):
    """`image`: 28×28, L, in MNIST's form. `box`: where the ink was, left, top, right, bottom, in shares."""

    image: Image.Image
    ink_is_light: bool
    box: tuple[float, float, float, float]


def prepare(picture: Image.Image) -> Prepared:
    """`picture`: L or RGB, any size, either polarity. Raises BlankImage."""
    work = to_grey(_at_work_size(picture))
    histogram = np.array(work.histogram())
    ink_is_light = _ink_is_light(work, histogram)
    if ink_is_light:
        work, histogram = ImageChops.invert(work), histogram[::-1]
    ink = _ink(work, _flat_ground(histogram))
    peak = _peak(ink)
    if peak < CLEAR_CONTRAST and _peak(ink.filter(ImageFilter.BoxBlur(2))) < LEAST_CONTRAST:
        raise BlankImage  # blurred: paper grain is no ink
    ink = _without_specks(_without_rules(ink, peak), peak)
    left, top, right, bottom = ink.point(_steps(0.4 * peak, 0.4 * peak + 1)).getbbox() or (0, 0, *ink.size)
    box = left / ink.width, top / ink.height, right / ink.width, bottom / ink.height
    ink = ink.crop((left, top, right, bottom)).point(_steps(0.15 * peak, 0.85 * peak))
    return Prepared(_centred(_scaled(_with_usual_strokes(ink))), ink_is_light, box)


def to_grey(picture: Image.Image) -> Image.Image:
    """L or RGB → L: luma (ITU-R BT.601), unless colours differ more than luma does.

    Then it is the projection on the axis along which they differ most (their first principal component):
    red ink on a green ground of the same luma is ink all the same.
    """
    if picture.mode == "L":
        return picture
    grey = picture.convert("L")
    small = picture.resize((GROUND_SIDE, GROUND_SIDE), Image.Resampling.BOX)
    colours = np.asarray(small, dtype=np.float32).reshape(-1, 3)
    if np.ptp(colours, axis=1).max() < LEAST_CONTRAST:
        return grey
    mean = colours.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(colours - mean, rowvar=False))
    if (colours @ _LUMA).var() > LUMA_SHARE * variances[-1]:
        return grey
    axis = axes[:, -1]
    projected = np.asarray(picture, dtype=np.float32) @ axis
    low, high = projected.min(), projected.max()
    return Image.fromarray(((projected - low) * (255 / max(1.0, high - low))).astype(np.uint8))


def _at_work_size(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    if longest >= 2 * WORK_SIDE:
        return picture.reduce(longest // WORK_SIDE)
    if longest < WORK_SIDE // 2:
        factor = WORK_SIDE // longest
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)
    return picture


def _ink(work: Image.Image, flat: int | None) -> Image.Image:
    """How far each pixel is darker than the ground around it."""
    if flat is not None:
        return work.point(np.maximum(flat - _LEVELS, 0).tolist())
    small = work.resize(_scaled_size(work.size, GROUND_SIDE / max(work.size)), Image.Resampling.BOX)
    ground = _ground(small).resize(work.size, Image.Resampling.BILINEAR)
    # Ink takes away a share of the light that falls on its place: in a shadow it stands out by less.
    light = np.asarray(ground, dtype=np.float32)
    share = np.asarray(ImageChops.subtract(ground, work), dtype=np.float32) / np.maximum(
        light, LEAST_CONTRAST
    )
    return Image.fromarray((share * light.max()).astype(np.uint8))


def _flat_ground(histogram: NDArray[np.int_]) -> int | None:
    """The one grey level of a ground that is as flat as a drawing program's, or None.

    Much of such a picture lies on that level, and no other level between it and the ink is as common:
    where one is, it is a shadow or a second sheet.
    """
    level, share = _commonest(histogram)
    darkest = int(np.flatnonzero(histogram)[0])
    between = share[darkest + (level - darkest) // 6 : max(0, level - 2 * FLATNESS)]
    flat = share[level] >= FLAT_SHARE and between.max(initial=0) < SHADOW_SHARE
    return level if flat else None


def _commonest(histogram: NDArray[np.int_]) -> tuple[int, NDArray[np.float64]]:
    """The level at which most pixels lie, and for each level the share of the pixels near it."""
    share = np.convolve(histogram / histogram.sum(), np.ones(2 * FLATNESS + 1), mode="same")
    return int(share.argmax()), share


def _ground(small: Image.Image) -> Image.Image:
    """The ground without the dark ink: a grey closing, wider than any stroke.

    It follows shadows, gradients and vignettes, and does not follow strokes. Where ink touches the
    border there is no ground beyond it, so the border is continued outwards, closed along itself by a
    wider filter first.
    """
    reach = WIDEST_STROKE // 2 + 1
    rim = np.array(small)
    for line in (rim[0], rim[-1], rim[:, 0], rim[:, -1]):
        line[:] = np.asarray(_closed(Image.fromarray(line[None]), WIDEST_AT_BORDER))[0]
    canvas = np.pad(rim, reach, mode="edge")
    canvas[reach:-reach, reach:-reach] = small
    closed = _closed(Image.fromarray(canvas), WIDEST_STROKE).filter(ImageFilter.GaussianBlur(1))
    return closed.crop((reach, reach, reach + small.width, reach + small.height))


def _closed(grey: Image.Image, width: int) -> Image.Image:
    """Grey closing: what is dark and narrower than `width` is filled with the levels around it."""
    return grey.filter(ImageFilter.MaxFilter(width)).filter(ImageFilter.MinFilter(width))


def _ink_is_light(work: Image.Image, histogram: NDArray[np.int_]) -> bool:
    """What deviates most from the median around it, which follows the ground and its shadows, is ink.

    In narrow windows hard shadows do not count, but strokes that fill the picture count too little; where a
    flat ground says otherwise, wide windows decide.
    """
    light = _deviates_to_light(work, *NARROW)
    level, share = _commonest(histogram)
    spread = histogram * (_LEVELS - level) ** 2
    lighter_side = bool(spread[level:].sum() > spread[:level].sum())
    if share[level] < FLAT_SHARE or lighter_side == light:
        return light
    return _deviates_to_light(work, *WIDE)


def _deviates_to_light(work: Image.Image, side: int, window: int) -> bool:
    small = work.resize((side, side), Image.Resampling.BOX)
    around = small.filter(ImageFilter.MedianFilter(window))
    deviation = np.asarray(small, dtype=np.float32) - np.asarray(around, dtype=np.float32)
    return bool((deviation**3).sum() > 0)


def _peak(ink: Image.Image) -> int:
    """The strength of full ink, were there only so little of it as INK_SHARE."""
    return _quantile(ink, 1 - INK_SHARE)


def _quantile(grey: Image.Image, share: float) -> int:
    """The level up to which this share of the pixels lies."""
    counts = np.cumsum(grey.histogram())
    return int(np.searchsorted(counts, counts[-1] * share))


def _without_rules(ink: Image.Image, peak: int) -> Image.Image:
    """Erase the lines of lined and squared paper: thin, straight, from border to border.

    A stroke that crosses a line is drawn through again: every pixel of a line becomes the weaker of the two
    on either side of it.
    """
    pixels = np.asarray(ink)
    on_ink = pixels > 0.25 * peak
    if not (on_ink[[0, -1]].any() or on_ink[:, [0, -1]].any()):
        return ink
    lines = [(axis, runs) for axis in (0, 1) if (runs := _rules(on_ink.mean(axis=1 - axis)))]
    if not lines:
        return ink
    pixels = pixels.copy()
    for axis, runs in lines:
        across = pixels if axis == 0 else pixels.T
        for start, end in runs:
            before, after = max(0, start - 2), min(len(across) - 1, end + 1)
            across[max(0, start - 1) : end + 1] = np.minimum(across[before], across[after])
    return Image.fromarray(pixels)


def _rules(cover: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Where rows (or columns) that are covered with ink from border to border make a thin line."""
    widest = WIDEST_RULE * len(cover)
    return [(start, end) for start, end in _runs(cover > RULE_COVER) if end - start <= widest]


def _without_specks(ink: Image.Image, peak: int) -> Image.Image:
    """Erase specks, and what hangs at the border while a digit stands free of it."""
    scale = min(1.0, GROUP_SIDE / max(ink.size))
    small = np.asarray(ink.resize(_scaled_size(ink.size, scale), Image.Resampling.BOX))
    rows, starts, ends, groups = _strokes(small > 0.25 * peak)
    if len(groups) == 0 or groups.max() == 0:
        return ink
    summed = np.concatenate([[0], np.cumsum(small, dtype=np.int64)])
    of_run = summed[rows * small.shape[1] + ends] - summed[rows * small.shape[1] + starts]
    weights = np.bincount(groups, of_run)
    at_border = (rows == 0) | (rows == len(small) - 1) | (starts == 0) | (ends == small.shape[1])
    touching = np.bincount(groups, at_border) > 0
    if not touching.all() and weights[~touching].max() > 0.1 * weights.max():
        weights[touching] = 0
    keep = weights >= SPECK_SHARE * weights.max()
    kept = np.zeros(small.shape, dtype=np.uint8)
    for row, start, end in zip(*(runs[keep[groups]] for runs in (rows, starts, ends)), strict=True):
        kept[row, start:end] = 255
    mask = Image.fromarray(kept).filter(ImageFilter.MaxFilter(3)).resize(ink.size, Image.Resampling.NEAREST)
    return ImageChops.darker(ink, mask)


Runs = NDArray[np.intp]


def _strokes(mask: NDArray[np.bool_]) -> tuple[Runs, Runs, Runs, Runs]:
    """8-connected components, by the runs of True in every row: row, start, end (exclusive), component.

    Runs are joined with the runs of the row above that they touch (union-find).
    """
    width = mask.shape[1]
    edges = np.diff(mask.astype(np.int8), prepend=0, append=0, axis=1).ravel()
    (starts,), (ends,) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    # Positions run through all rows; with width + 1 of them in each, a run and its neighbours in the row
    # above differ by as much.
    first = np.searchsorted(ends, starts - (width + 1), side="left")
    last = np.searchsorted(starts, ends - (width + 1), side="right")
    parent = list(range(len(starts)))
    for run, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        for above in range(low, high):
            a, b = run, above
            while parent[a] != a:
                a = parent[a]
            while parent[b] != b:
                b = parent[b]
            parent[max(a, b)] = min(a, b)
    for run, up in enumerate(parent):  # a parent comes before its children
        parent[run] = parent[up]
    _, groups = np.unique(np.array(parent, dtype=np.intp), return_inverse=True)
    rows = starts // (width + 1)
    return rows, starts - rows * (width + 1), ends - rows * (width + 1), groups


def _runs(line: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and end (exclusive) of every run of True."""
    edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0)).tolist()
    return zip(edges[::2], edges[1::2], strict=True)


def _steps(low: float, high: float) -> list[int]:
    """A table for `point`: levels up to `low` become 0, from `high` on 255."""
    table: list[int] = np.clip((_LEVELS - low) * (255 / (high - low)), 0, 255).round().astype(int).tolist()
    return table


def _with_usual_strokes(ink: Image.Image) -> Image.Image:
    """Thicken pencil lines and thin marker strokes that are far from MNIST's width."""
    longest = max(ink.size)
    width = _stroke_width(np.asarray(ink))
    if width < THINNEST * longest:
        margin = longest // 8
        canvas = Image.new("L", (ink.width + 2 * margin, ink.height + 2 * margin))
        canvas.paste(ink, (margin, margin))
        thick = canvas.filter(ImageFilter.MaxFilter(_odd(THINNEST * longest - width)))
        return thick.crop(thick.getbbox())
    if width > THICKEST * longest:
        thin = ink.filter(ImageFilter.MinFilter(_odd(width - THICKEST * longest)))
        return thin.crop(thin.getbbox())
    return ink


def _stroke_width(ink: Pixels) -> float:
    """Mean width in pixels: area over length, and a stroke's outline is twice its length.

    Summed differences along x and y measure an outline 4/π times too long, over all directions.
    """
    padded = np.pad(ink.astype(np.int16), 1)
    outline = sum(np.abs(np.diff(padded, axis=axis)).sum() for axis in (0, 1)) * np.pi / 4
    return float(2 * padded.sum() / max(1, outline))


def _scaled(ink: Image.Image) -> Image.Image:
    """The longest side to 20 pixels, full ink to 255."""
    scale = INK_SIDE / max(ink.size)
    small = ink.resize(_scaled_size(ink.size, scale), Image.Resampling.BICUBIC)
    return small.point(_steps(0, max(1, int(np.asarray(small).max()))))


def _centred(digit: Image.Image) -> Image.Image:
    """On 28×28, the centre of mass as near to the middle as whole pixels and the borders allow."""
    pixels = np.asarray(digit, dtype=np.float64)
    mass = max(1.0, pixels.sum())
    x = (pixels.sum(0) @ (np.arange(digit.width) + 0.5)) / mass
    y = (pixels.sum(1) @ (np.arange(digit.height) + 0.5)) / mass
    left = min(max(0, round(CENTRE_OF_MASS - x)), SIDE - digit.width)
    top = min(max(0, round(CENTRE_OF_MASS - y)), SIDE - digit.height)
    canvas = Image.new("L", (SIDE, SIDE))
    canvas.paste(digit, (left, top))
    return canvas


def _scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _odd(width: float) -> int:
    """The nearest odd filter size that changes a stroke by about `width`."""
    return 2 * max(1, round(width / 2)) + 1
