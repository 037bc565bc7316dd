"""The grids over a picture: pixels, latents (stride 16), tokens (32), tiles (1024).

A box is a rectangle on any of them. Tiles are what the entropy coder treats apart, so that a part
of a large file can be read alone; the networks see across them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sbtcodec.arguments import shown, whole_number
from sbtcodec.errors import ArgumentError

LATENT_STRIDE = 16  # pixels from one latent, a local token, to the next
TOKEN_STRIDE = 32  # pixels from one global token to the next
TILE = 1024  # pixels of a tile's side; tiles at the right and lower edge hold what remains
LATENTS_PER_TOKEN = TOKEN_STRIDE // LATENT_STRIDE
TOKENS_PER_TILE = TILE // TOKEN_STRIDE


@dataclass(frozen=True)
class Box:
    """Rows `top:bottom` and columns `left:right` of a grid."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def rows(self) -> slice:
        """The rows, to index with."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """The columns, to index with."""
        return slice(self.left, self.right)

    def times(self, factor: int) -> "Box":
        """The same rectangle on a grid that is `factor` times as fine."""
        return Box(*(side * factor for side in self.sides))

    def over(self, factor: int) -> "Box":
        """The part of a grid `factor` times as coarse that it touches."""
        return Box(
            self.top // factor,
            self.left // factor,
            -(-self.bottom // factor),
            -(-self.right // factor),
        )

    def grown(self, margin: int, within: "Box") -> "Box":
        """With `margin` more on every side, as far as `within` goes."""
        return Box(
            self.top - margin, self.left - margin, self.bottom + margin, self.right + margin
        ).cut(within)

    def cut(self, other: "Box") -> "Box":
        """What is in both; without rows or columns if nothing is."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        return Box(
            top,
            left,
            max(top, min(self.bottom, other.bottom)),
            max(left, min(self.right, other.right)),
        )

    def seen_from(self, other: "Box") -> "Box":
        """The same rectangle, counted from the upper left corner of `other`."""
        return Box(
            self.top - other.top,
            self.left - other.left,
            self.bottom - other.top,
            self.right - other.left,
        )

    def inside(self, other: "Box") -> "Box":
        """The same rectangle, counted from where `other` is counted from: undoes `seen_from`."""
        return Box(
            self.top + other.top,
            self.left + other.left,
            self.bottom + other.top,
            self.right + other.left,
        )

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Top, left, bottom, right."""
        return self.top, self.left, self.bottom, self.right

    @property
    def empty(self) -> bool:
        """Whether it has no rows or no columns."""
        return self.height <= 0 or self.width <= 0


Crop: TypeAlias = tuple[int, int, int, int] | Box
"""A part of a picture: x, y, width and height, in pixels from the top left, or a box of them."""


def part_of(crop: Crop | None, width: int, height: int) -> Box:
    """The part of a picture that is asked for, in pixels; all of it without a crop.

    Raises:
        ArgumentError: it is no part, or has no pixels.
    """
    picture = Box(0, 0, height, width)
    if crop is None:
        return picture
    if not isinstance(crop, Box):
        if not isinstance(crop, Sequence) or isinstance(crop, (str, bytes)) or len(crop) != 4:
            raise ArgumentError(f"crop is {shown(crop)}, expected (x, y, width, height) in pixels")
        x, y, w, h = (whole_number("a number of the crop", n, 0) for n in crop)
        crop = Box(y, x, y + h, x + w)
    if crop.empty or crop.cut(picture) != crop:
        raise ArgumentError(
            f"the crop of {crop.width} x {crop.height} pixels at {crop.left},{crop.top} is empty or"
            f" leaves the picture of {width} x {height}; give one inside of it"
        )
    return crop


def tokens_of(width: int, height: int) -> Box:
    """The global tokens of a picture, from its size in pixels."""
    return Box(0, 0, -(-height // TOKEN_STRIDE), -(-width // TOKEN_STRIDE))


def tiles_of(width: int, height: int) -> tuple[Box, ...]:
    """The tiles of a picture, in tokens, row by row, from its size in pixels."""
    return tuple(blocks(tokens_of(width, height), TOKENS_PER_TILE))


def blocks(area: Box, side: int) -> Iterator[Box]:
    """Cut an area into squares of `side`, row by row; the last ones hold what remains.

    Raises:
        ValueError: `side` is below 1.
    """
    if side < 1:
        raise ValueError(f"cannot cut into squares of {side}")
    yield from _cut(area, side, side)


def even_blocks(area: Box, most: int) -> Iterator[Box]:
    """Cut an area into blocks of about the same sides, at most `most`, row by row.

    Raises:
        ValueError: `most` is below 1.
    """
    if most < 1:
        raise ValueError(f"cannot cut into blocks of {most}")
    height, width = (-(-side // max(1, -(-side // most))) for side in (area.height, area.width))
    yield from _cut(area, max(1, height), max(1, width))


def _cut(area: Box, height: int, width: int) -> Iterator[Box]:
    """Cut an area into blocks of these sides, row by row; the last ones hold what remains."""
    for top in range(area.top, area.bottom, height):
        for left in range(area.left, area.right, width):
            yield Box(top, left, min(top + height, area.bottom), min(left + width, area.right))
