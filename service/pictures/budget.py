"""What reading one picture may cost: a small file can ask for much work, or for much memory.

Pillow reads a header piece by piece and a JPEG scan by scan, whatever their number; some decoders hold a
picture several times over. What can be counted is refused here, before it is done or while it is done.
Whatever else takes long is ended from outside (`decoder`).
"""

from io import BytesIO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from service.errors import PictureTooCostly
from service.pictures.formats.webp import has_alpha

MOST_PIECES = 50_000  # reads of a file: for every chunk, segment or block of it, Pillow does one to three
MOST_PASSES = 800_000_000  # pixels, times the scans of a JPEG in which they come
MOST_BYTES = 155_000_000  # that are held at a time; Pillow stores any pixel of colour in four

_START_OF_SCAN = b"\xff\xda"  # among coded pixels 255 is followed by 0
_LEAN_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
# A pixel: libwebp's two canvases and the copy that Pillow is handed; or what it holds of a still picture.
_WEBP_BYTES, _STILL_WEBP_BYTES = 12, 5
_AV1_CODING = b"av1C"  # AV1 in ISOBMFF, 2.3.3: its third byte says how deep and how coarse the planes are

# TIFF's tags.
_WIDTH, _LENGTH, _ROWS, _SAMPLES, _BITS = 322, 323, 278, 277, 258  # of tiles; of strips


class MeteredFile(BytesIO):
    """A file in memory of which so many pieces can be read. Then it raises PictureTooCostly.

    `end` is where the latest of them ended.
    """

    left, end = MOST_PIECES, 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise PictureTooCostly(f"The file has more than {MOST_PIECES:,} pieces.")
        piece = super().read(size)
        self.end = self.tell()
        return piece

    def unmeter(self) -> None:
        """From now on as much as wanted: for decoders that read single bytes."""
        self.left = 1 << 62


def check_budget(picture: Image.Image, file: MeteredFile) -> None:
    """`picture`: its header, and no more, was read from `file`. Raises PictureTooCostly."""
    data, pixels = file.getvalue(), picture.width * picture.height
    per_pixel: float = _LEAN_BYTES.get(picture.mode, 4)
    if isinstance(picture, JpegImageFile):
        scans = 1 + data.count(_START_OF_SCAN, file.end)
        if scans * pixels > MOST_PASSES:
            raise PictureTooCostly(f"The JPEG file has {scans:,} scans, too many for its size.")
        per_pixel = _of_jpeg(picture, data[data.rfind(_START_OF_SCAN, 0, file.end) + 4])
    elif isinstance(picture, TiffImageFile):
        per_pixel += _of_tiff(picture)
    elif picture.format == "WEBP":
        per_pixel = _STILL_WEBP_BYTES if has_alpha(data) is not None else _WEBP_BYTES
    elif picture.format == "AVIF":
        per_pixel = _of_avif(data, len(picture.getbands()))
    needed = pixels * per_pixel + len(data)
    if needed > MOST_BYTES:
        raise PictureTooCostly(
            f"Reading this {picture.format} file takes {needed / 1e6:,.0f} MB of memory, and at most"
            f" {MOST_BYTES / 1e6:,.0f} are spent on one. Send fewer pixels, or another format."
        )


def _of_jpeg(jpeg: JpegImageFile, components: int) -> float:
    """Bytes a pixel. Where a scan has not all of it, coefficients are held, of two bytes each."""
    if not jpeg.info.get("progressive") and components == jpeg.layers:
        return 4
    areas = [vertical * horizontal for _, vertical, horizontal, _ in jpeg.layer]
    return 2 * sum(areas) / max(areas)


def _of_tiff(tiff: TiffImageFile) -> float:
    """Bytes a pixel beside the picture: a strip of it, or a tile, which may be larger than all of it."""
    tags = tiff.tag_v2
    if _WIDTH in tags:
        area = tags[_WIDTH] * tags.get(_LENGTH, 1)
    else:
        area = tiff.width * min(tags.get(_ROWS, tiff.height), tiff.height)
    depth = max(tags.get(_BITS, (1,))) * tags.get(_SAMPLES, 1) / 8
    return float(depth * area / (tiff.width * tiff.height))


def _of_avif(data: bytes, bands: int) -> float:
    """Bytes a pixel: its planes as they are coded, and twice what they become."""
    coding = data[data.find(_AV1_CODING) + len(_AV1_CODING) :][2]
    depth = 2 if coding & 0x40 else 1
    chroma = 0 if coding & 0x10 else 2 / ((2 if coding & 0x08 else 1) * (2 if coding & 0x04 else 1))
    return depth * (1 + chroma + bands - 3) + 2 * bands + 1
