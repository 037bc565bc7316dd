"""Many small pictures on one sheet, row by row."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LARGEST_THUMBNAIL = 256  # pixels of its longer side
LARGEST_SHEET = 4096  # pixels of its side, but for many hundred pictures
SMALLEST_THUMBNAIL = 32
GAP = 4
PAPER = (255, 255, 255)


def columns_of(count: int) -> int:
    """Columns of a sheet of so many pictures: about as many as rows."""
    return max(1, int(np.ceil(np.sqrt(count))))


def thumbnail(rgb: NDArray[np.uint8], count: int) -> Image.Image:
    """A picture uint8 [H, W, 3] as small as a sheet of `count` pictures needs it."""
    side = LARGEST_SHEET // columns_of(count) - GAP
    side = max(SMALLEST_THUMBNAIL, min(LARGEST_THUMBNAIL, side))
    image = Image.fromarray(rgb)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def contact_sheet(thumbnails: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """Lay thumbnails out: uint8 [H, W, 3].

    Raises `ValueError` if there are none.
    """
    if not thumbnails:
        raise ValueError("expected at least one picture")
    columns = columns_of(len(thumbnails))
    rows = -(-len(thumbnails) // columns)
    width = max(t.width for t in thumbnails) + GAP
    height = max(t.height for t in thumbnails) + GAP
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), PAPER)
    for index, picture in enumerate(thumbnails):
        row, column = divmod(index, columns)
        sheet.paste(picture, (GAP + column * width, GAP + row * height))
    return np.array(sheet)
