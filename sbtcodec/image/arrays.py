"""Arrays of Pillow's images, made in bands of rows.

NumPy's own way holds the pixels three times, and Pillow's conversions copy what needs none.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BAND_PIXELS = 2**20


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return an image in a mode: itself, not a copy, if it has that already."""
    return image if image.mode == mode else image.convert(mode)


def array_of(image: Image.Image, mode: str) -> NDArray[np.uint8]:
    """Return the pixels of an image, converted to "L", uint8 [H, W], or "RGB", uint8 [H, W, 3]."""
    width, height = image.size
    array = np.empty((height, width, 3) if mode == "RGB" else (height, width), np.uint8)
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        box = (0, top, width, bottom)
        # not `crop`, which looks at the limit of pixels of the program around this one
        band = image.resize((width, bottom - top), Image.Resampling.NEAREST, box)
        array[top:bottom] = np.asarray(in_mode(band, mode))
    return array
