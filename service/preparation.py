"""A digit as people scan, draw or photograph it → the form in which MNIST stores its digits.

That form is light ink on a ground of 0, the longest side of the ink 20 pixels, its centre of mass in the
centre of 28×28 (LeCun, Bottou, Bengio and Haffner 1998, section III.A). Deterministic, on Pillow and NumPy.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from service.errors import BlankImage

SIDE = 28
INK_SIDE = 20
CENTRE_OF_MASS = 14.5  # from the left and the top edge: the middle of pixel (14, 14), as in MNIST itself

# The longest side, in pixels, at which ink is found, the ground modelled and strokes grouped.
WORK_SIDE, GROUND_SIDE, GROUP_SIDE = 140, 32, 56

WIDEST_STROKE = 9  # of GROUND_SIDE: whatever is narrower is ink, whatever is wider is ground
WIDEST_AT_BORDER = 21  # likewise, along the border
# A flat ground: this share of the pixels within so many levels, and no such share on any other.
FLATNESS, FLAT_SHARE, SHADOW_SHARE = 4, 0.35, 0.10

LEAST_CONTRAST = 16  # grey levels; ink that stands out by less is noise
INK_SHARE = 0.001  # of the pixels, at the least, are ink of full strength
SPECK_SHARE = 0.04  # of the ink of the largest stroke; what has less is dropped

# Stroke width over the longest side of the ink. Outside this range strokes are thickened or thinned;
# of MNIST's digits themselves 98 % lie inside.
THINNEST, THICKEST = 0.075, 0.22

Pixels = NDArray[np.uint8]

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


def prepare(grey: Image.Image) -> Image.Image:
    """`grey`: 8-bit, any size, either polarity → 28×28, 8-bit. Raises BlankImage."""
    ink = _ink(_at_work_size(grey))
    if _peak(ink.filter(ImageFilter.BoxBlur(2))) < LEAST_CONTRAST:  # blurred: paper grain is no ink
        raise BlankImage
    peak = _peak(ink)
    ink = _without_specks(ink, peak)
    ink = ink.crop(ink.point(lambda level: 255 * (level > 0.4 * peak)).getbbox())
    ink = _stretch(ink, 0.15 * peak, 0.85 * peak)
    ink = _with_usual_strokes(ink)
    return _centred(_scaled(ink))


def _at_work_size(grey: Image.Image) -> Image.Image:
    longest = max(grey.size)
    if longest >= 2 * WORK_SIDE:
        return grey.reduce(longest // WORK_SIDE)
    if longest < WORK_SIDE // 2:
        factor = WORK_SIDE // longest
        return grey.resize((grey.width * factor, grey.height * factor), Image.Resampling.BICUBIC)
    return grey


def _ink(work: Image.Image) -> Image.Image:
    """How far each pixel stands out from the ground around it, in the direction of the ink."""
    if _ink_is_light(work):
        work = ImageChops.invert(work)
    flat = _flat_ground(np.array(work.histogram()))
    if flat is not None:
        return work.point([max(0, flat - level) for level in range(256)])
    scale = GROUND_SIDE / max(work.size)
    small = work.resize(_scaled_size(work.size, scale), Image.Resampling.BOX)
    return ImageChops.subtract(_ground(small).resize(work.size, Image.Resampling.BILINEAR), work)


def _flat_ground(histogram: NDArray[np.int_]) -> int | None:
    """The one grey level of a ground that is as flat as a drawing program's, or None.

    Much of such a picture lies on that level, and no other level between it and the ink is as common:
    where one is, it is a shadow or a second sheet.
    """
    share = np.convolve(histogram / histogram.sum(), np.ones(2 * FLATNESS + 1), mode="same")
    level = int(share.argmax())
    darkest = int(np.flatnonzero(histogram)[0])
    between = share[darkest + (level - darkest) // 6 : max(0, level - 2 * FLATNESS)]
    flat = share[level] >= FLAT_SHARE and between.max(initial=0) < SHADOW_SHARE
    return level if flat else None


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


def _ink_is_light(work: Image.Image) -> bool:
    """Most of a picture is ground, so ink lies on the longer side of the median."""
    low, median, high = (_quantile(work, share) for share in (0.01, 0.5, 0.99))
    return high - median > median - low


def _peak(ink: Image.Image) -> int:
    """The strength of full ink, were there only so little of it as INK_SHARE."""
    return _quantile(ink, 1 - INK_SHARE)


def _quantile(grey: Image.Image, share: float) -> int:
    """The level up to which this share of the pixels lies."""
    counts = np.cumsum(grey.histogram())
    return int(np.searchsorted(counts, counts[-1] * share))


def _without_specks(ink: Image.Image, peak: int) -> Image.Image:
    """Erase specks, and what hangs at the border while a digit stands free of it."""
    scale = min(1.0, GROUP_SIDE / max(ink.size))
    small = np.asarray(ink.resize(_scaled_size(ink.size, scale), Image.Resampling.BOX))
    labels, count = _label(small > 0.25 * peak)
    if count < 2:
        return ink
    weights = np.bincount(labels.ravel(), small.ravel(), count + 1)
    weights[0] = 0
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    free = np.setdiff1d(np.arange(1, count + 1), border)
    if len(free) and weights[free].max() > 0.1 * weights.max():
        weights[border] = 0
    keep = weights >= SPECK_SHARE * weights.max()
    kept = Image.fromarray((keep[labels] & (labels > 0)).astype(np.uint8) * 255)
    kept = kept.filter(ImageFilter.MaxFilter(3)).resize(ink.size, Image.Resampling.NEAREST)
    return ImageChops.darker(ink, kept)


def _label(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], int]:
    """8-connected components: `labels`, 0 for none and 1 … count for each, and their count.

    Runs of a row are joined with the runs of the row above that they touch (union-find).
    """
    parent = [0]

    def root(label: int) -> int:
        while parent[label] != label:
            label = parent[label]
        return label

    labels = np.zeros(mask.shape, dtype=np.intp)
    above: list[tuple[int, int, int]] = []
    for y, row in enumerate(mask):
        runs = []
        for start, end in _runs(row):
            touching = {root(label) for s, e, label in above if s <= end and start <= e}
            label = min(touching, default=len(parent))
            if not touching:
                parent.append(label)
            for other in touching:
                parent[other] = label
            labels[y, start:end] = label
            runs.append((start, end, label))
        above = runs
    roots = np.array([root(label) for label in range(len(parent))])
    names, renamed = np.unique(roots, return_inverse=True)
    return renamed[labels], len(names) - 1


def _runs(row: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and end (exclusive) of every run of True."""
    edges = np.flatnonzero(np.diff(row.astype(np.int8), prepend=0, append=0)).tolist()
    return zip(edges[::2], edges[1::2], strict=True)


def _stretch(ink: Image.Image, low: float, high: float) -> Image.Image:
    """Levels up to `low` become 0, from `high` on 255."""
    return ink.point([round(255 * min(1, max(0, (v - low) / (high - low)))) for v in range(256)])


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
    return _stretch(small, 0, max(1, int(np.asarray(small).max())))


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
