"""Pictures side by side, each with a caption; what they show is left to the caller.

Letters: `H`, `W` the rows and columns of one picture.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_GAP = 8
_CAPTION = 34
_PAPER = (255, 255, 255)
_INK = (32, 32, 36)


def side_by_side(
    panels: Sequence[tuple[NDArray[np.uint8], str]], columns: int = 2
) -> NDArray[np.uint8]:
    """Lay pictures out in columns, each above its caption.

    Takes pairs of uint8 [H, W, 3], all of one size, and a line of text, and the number of columns,
    at least 1. Returns uint8 [H', W', 3] with H' and W' as large as needed.

    Raises `ValueError` if there are no pictures, or of different sizes.
    """
    if not panels or len({picture.shape for picture, _ in panels}) > 1:
        raise ValueError("expected at least one picture, all of one size")
    height, width = panels[0][0].shape[:2]
    rows = -(-len(panels) // columns)
    size = (
        columns * width + (columns + 1) * _GAP,
        rows * (height + _CAPTION) + (rows + 1) * _GAP,
    )
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=20)
    for index, (picture, caption) in enumerate(panels):
        row, column = divmod(index, columns)
        left = _GAP + column * (width + _GAP)
        top = _GAP + row * (height + _CAPTION + _GAP)
        sheet.paste(Image.fromarray(picture), (left, top))
        center = (left + width / 2, top + height + _CAPTION / 2)
        draw.text(center, caption, _INK, font=font, anchor="mm")
    return np.array(sheet)
