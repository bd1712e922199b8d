"""What is drawn, as it is once it came in some size and the service prepared it."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from service.errors import BlankImage
from service.pictures.digits.preparation import prepare
from training.data import Pixels
from training.digits.drawn.hand import Random

LEAST, MOST = 28, 160  # pixels of the longest side
BLURRED = 0.25  # share

Draw = Callable[[Random], Image.Image]


def prepared(draw: Draw, random: Random) -> Pixels:
    """`u8 [28, 28]`: drawn, light on black, and drawn again until that is what is seen."""
    while True:
        picture = draw(random)
        side = int(np.exp(random.uniform(np.log(LEAST), np.log(MOST))))
        picture.thumbnail((side, side), Image.Resampling.BOX)
        if random.random() < BLURRED:
            picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0, 0.02) * max(picture.size)))
        try:
            found = prepare(picture)
        except BlankImage:
            continue
        if found.ink_is_light:
            return found.image_u8().copy()
