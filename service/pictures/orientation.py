"""How a picture is turned upright, as its Exif orientation says."""

from PIL import Image

# What undoes an orientation of Exif; those of them that exchange width and height, and those after which
# what lay on the right of a picture as it is stored, or at its bottom, lies on the left or at the top.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
UPRIGHT, SIDEWAYS, FROM_RIGHT, FROM_BOTTOM = 1, (5, 6, 7, 8), (2, 3, 7, 8), (3, 4, 6, 7)

Size = tuple[int, int]  # width, height


def upright_size(size: Size, orientation: int) -> Size:
    return size[::-1] if orientation in SIDEWAYS else size


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """`orientation`: 1 to 8, as in Exif."""
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)
