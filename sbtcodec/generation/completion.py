"""A picture completed: what is lost or outside of it drawn by a generator, given what is kept.

What is kept stays as it was decoded, to the pixel. A global token is known if its cell of 32x32
pixels, as far as it lies in the picture, is kept; the others are drawn. The codec then decodes all
of them, with the detail that was sent of known cells, so that its networks, which see across the
border, make it fit. What is still different at the border fades away in the drawn part.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sbtcodec.arguments import whole_number
from sbtcodec.codec.codec import Codec
from sbtcodec.codec.tokens import Tokens
from sbtcodec.errors import ArgumentError
from sbtcodec.generation.config import GUIDANCE, STEPS
from sbtcodec.generation.generator import Generator
from sbtcodec.grid import LATENTS_PER_TOKEN, TOKEN_STRIDE, Box, tokens_of
from sbtcodec.limits import MAX_SIDE

FEATHER = 16
"""Pixels of the drawn part over which a difference at the border fades."""

RGB = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture to complete; its upper left corner is one of the grid of tokens.

    Attributes:
        rgb: uint8 [H, W, 3], decoded; what is not kept does not count.
        tokens: of H x W pixels, from which it was decoded; those not known do not count.
        kept: bool [H, W].
        shown: the part that was asked for, in pixels.
    """

    rgb: RGB
    tokens: Tokens
    kept: Mask
    shown: Box

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            ArgumentError: they do not fit together.
        """
        size = self.tokens.height, self.tokens.width
        for name, array, shape in (("rgb", self.rgb, (*size, 3)), ("kept", self.kept, size)):
            if array.shape != shape:
                raise ArgumentError(
                    f"{name} is {list(array.shape)}, expected {list(shape)}, as the tokens have"
                )

    @property
    def known(self) -> Mask:
        """Which tokens are known: bool [h, w]."""
        grid = tokens_of(self.tokens.width, self.tokens.height)
        # beyond the right and lower edge there is nothing to lose
        cells = np.ones((grid.height * TOKEN_STRIDE, grid.width * TOKEN_STRIDE), np.bool_)
        cells[: self.kept.shape[0], : self.kept.shape[1]] = self.kept
        blocks = cells.reshape(grid.height, TOKEN_STRIDE, grid.width, TOKEN_STRIDE)
        return np.asarray(blocks.all((1, 3)))


@dataclass(frozen=True, eq=False)
class Completed:
    """A completed picture.

    Attributes:
        rgb: uint8 [H, W, 3], the part that was asked for.
        tokens: global tokens of the whole canvas.
        known: bool [h, w], which of them were known.
        synthesised: bool [H, W], which pixels are not those of the picture.
    """

    rgb: RGB
    tokens: Tokens
    known: Mask
    synthesised: Mask


def canvas_of(rgb: RGB, tokens: Tokens, kept: Mask) -> Canvas:
    """The canvas of a picture of which only a part is kept."""
    return Canvas(rgb, tokens, kept, Box(0, 0, *rgb.shape[:2]))


def extended(rgb: RGB, tokens: Tokens, margins: tuple[int, int, int, int]) -> Canvas:
    """The canvas of a picture that grows.

    Args:
        rgb: uint8 [H, W, 3].
        tokens: from which it was decoded.
        margins: pixels at the left, top, right and bottom, 0 or more.

    Raises:
        ArgumentError: all are 0, or the result is larger than files can be.
    """
    left, top, right, bottom = (whole_number("a margin", m, 0, MAX_SIDE) for m in margins)
    if not any((left, top, right, bottom)):
        raise ArgumentError("all margins are 0; give at least one of 1 or more")
    # the picture's own tokens stay where they are on the grid; what is too much is cut off
    before = [-(-side // TOKEN_STRIDE) * TOKEN_STRIDE for side in (left, top)]
    height, width = rgb.shape[:2]
    size = before[0] + width + right, before[1] + height + bottom
    if max(size) > MAX_SIDE:
        raise ArgumentError(
            f"the extended picture needs {size[0]} x {size[1]} pixels, expected sides of at most"
            f" {MAX_SIDE}; extend it by less"
        )
    shown = Box(before[1] - top, before[0] - left, size[1], size[0])
    place = Box(before[1], before[0], before[1] + height, before[0] + width)
    canvas, kept = np.zeros((size[1], size[0], 3), np.uint8), np.zeros(size[::-1], np.bool_)
    canvas[place.rows, place.columns], kept[place.rows, place.columns] = rgb, True
    grid, own = tokens_of(*size), tokens.levels.shape[:2]
    at = place.over(TOKEN_STRIDE)
    at = Box(at.top, at.left, at.top + own[0], at.left + own[1])
    levels = np.zeros((grid.height, grid.width, tokens.levels.shape[2]), np.uint8)
    levels[at.rows, at.columns] = tokens.levels
    fine, within = grid.times(LATENTS_PER_TOKEN), at.times(LATENTS_PER_TOKEN)
    symbols = np.zeros((fine.height, fine.width, tokens.symbols.shape[2]), np.int16)
    symbols[within.rows, within.columns] = tokens.symbols
    grown = replace(tokens, levels=levels, symbols=symbols, width=size[0], height=size[1])
    return Canvas(canvas, grown, kept, shown)


def completed(
    codec: Codec,
    generator: Generator,
    canvas: Canvas,
    *,
    label: str | None = None,
    seed: int = 0,
    guidance: float = GUIDANCE,
    steps: int = STEPS,
    realism: float = 0.0,
) -> Completed:
    """Complete a picture.

    Args:
        codec: decodes the tokens.
        generator: of the model that made them.
        canvas: the picture.
        label: as for `Generator.sample`, as the others.
        seed: of the draws.
        guidance: as for `Generator.sample`.
        steps: as for `Generator.sample`.
        realism: as for `Codec.decode`, the one with which the canvas was decoded.

    Raises:
        ArgumentError: no token or each one is known, or an argument is out of range.
        ModelMismatchError: the tokens are of another model, or it has no vivid look.
        WeightsError: the weights of the look are damaged.
    """
    known = canvas.known
    check_known(known)
    drawn = generator.complete(
        canvas.tokens, known, label=label, seed=seed, guidance=guidance, steps=steps
    )
    sent = np.repeat(np.repeat(known, LATENTS_PER_TOKEN, 0), LATENTS_PER_TOKEN, 1)
    symbols = np.where(sent[:, :, None], canvas.tokens.symbols, np.int16(0))
    mixed = replace(canvas.tokens, levels=drawn.levels, symbols=symbols)
    made = np.asarray(codec.detokenize(mixed, realism=realism).convert("RGB"))
    rgb = blended(canvas.rgb, made, canvas.kept)
    rows, columns = canvas.shown.rows, canvas.shown.columns
    rgb = np.ascontiguousarray(rgb[rows, columns])
    return Completed(rgb, drawn, known, ~canvas.kept[rows, columns])


def check_known(known: Mask) -> None:
    """Refuse what cannot be completed.

    Raises:
        ArgumentError: no token or each one is known.
    """
    cell = f"{TOKEN_STRIDE} x {TOKEN_STRIDE}"
    if not known.any():
        raise ArgumentError(f"no cell of {cell} pixels is kept as a whole; keep a larger part")
    if known.all():
        raise ArgumentError("all of the picture is kept; there is nothing to complete")


def blended(rgb: RGB, made: RGB, kept: Mask) -> RGB:
    """What is kept of one picture, and another one around it without an edge between them.

    Near the border, the mean difference of the two at kept pixels is added to the other one, less
    and less over FEATHER pixels.

    Args:
        rgb: uint8 [H, W, 3].
        made: uint8 [H, W, 3].
        kept: bool [H, W], of `rgb`.
    """
    result = np.where(kept[:, :, None], rgb, made)
    lost = np.argwhere(~kept)
    if not len(lost) or len(lost) == kept.size:
        return result
    # the border is within reach of what is lost; of a large picture, the rest is left alone
    (top, left), (bottom, right) = lost.min(0), lost.max(0) + 1
    whole = Box(0, 0, *kept.shape)
    part = Box(int(top), int(left), int(bottom), int(right)).grown(2 * FEATHER, whole)
    here = part.rows, part.columns
    inside = kept[here]
    fade = np.zeros(inside.shape, np.float32)
    reached = inside
    for distance in range(1, FEATHER):
        wider = _dilated(reached)
        fade[wider & ~reached] = 1 - distance / FEATHER
        reached = wider
    weight = _sums(inside.astype(np.float32))
    near = fade > 0
    shown = result[here]
    for channel in range(3):
        difference = rgb[here][..., channel].astype(np.float32) - made[here][..., channel]
        mean = _sums(np.where(inside, difference, 0)) / np.maximum(weight, 1e-6)
        moved = made[here][..., channel] + fade * mean
        shown[near, channel] = np.rint(moved.clip(0, 255))[near].astype(np.uint8)
    return result


def _dilated(mask: Mask) -> Mask:
    """A mask grown by a pixel to all eight sides."""
    padded = np.pad(mask, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    grown: Mask = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    return grown


def _sums(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over squares of a side of 2 FEATHER + 1, along rows and columns: float32 [H, W]."""
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (FEATHER + 1, FEATHER)
        sums = np.pad(plane, padding).cumsum(axis, dtype=np.float64)
        length = plane.shape[axis]
        upper = sums.take(range(2 * FEATHER + 1, 2 * FEATHER + 1 + length), axis)
        plane = (upper - sums.take(range(length), axis)).astype(np.float32)
    return plane
