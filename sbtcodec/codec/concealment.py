"""Damaged tiles of a file concealed: what is whole is decoded, and the rest made to go with it.

Each tile is coded by itself. One whose details are damaged is predicted from there on, as if they
had not been sent. One whose global tokens are damaged has none of its own: a function that is given
draws them, from those of its neighbours.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sbtcodec.codec.tiles import check_layers, levels_in, read_details, read_levels
from sbtcodec.container import Container, Header
from sbtcodec.errors import InvalidFileError
from sbtcodec.grid import TOKEN_STRIDE, Box, tokens_of
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.models.symbol_model import SymbolModel

Levels = NDArray[np.int64]

Conceal: TypeAlias = Callable[[Header, Levels, NDArray[np.bool_]], Levels]
"""Draws levels int64 [h, w, dims] of a whole picture, given those where bool [h, w] is True."""


class Losses(NamedTuple):
    """What was concealed of a picture.

    Attributes:
        drawn: tiles without global tokens of their own, in pixels.
        predicted: tiles without all of their details.
    """

    drawn: tuple[Box, ...] = ()
    predicted: tuple[Box, ...] = ()

    @property
    def notice(self) -> str | None:
        """A sentence about them; None if there are none."""
        parts = []
        if self.drawn:
            parts.append(f"the base layer is damaged: synthesised is {_areas(self.drawn)}")
        if self.predicted:
            parts.append(f"details are damaged: predicted is {_areas(self.predicted)}")
        return "; ".join(parts) or None


def globals_with_drawn(
    container: Container, model: SymbolModel, tokens: Box, conceal: Conceal
) -> tuple[dict[int, TileSymbols], list[int]]:
    """The tiles over an area of global tokens, by their index, with their global tokens.

    Returns:
        The tiles, and which of them were damaged and are drawn.

    Raises:
        InvalidFileError: no tile of the picture is whole, or the header is damaged.
    """
    header = container.header
    check_layers(header, model)
    boxes = dict(enumerate(header.tiles))
    near = [index for index, box in boxes.items() if not box.cut(tokens).empty]
    tiles = {index: TileSymbols(model, header.quality, boxes[index]) for index in near}
    problems = _read(container, tiles)
    if not problems:
        return tiles, []
    # what is drawn depends on the whole picture, so that it is the same in each of its parts
    others = {i: TileSymbols(model, header.quality, b) for i, b in boxes.items() if i not in tiles}
    everywhere = problems | _read(container, others)
    if len(everywhere) == len(boxes):
        raise everywhere[min(everywhere)]
    whole = tokens_of(header.width, header.height)
    known = np.ones((whole.height, whole.width), np.bool_)
    for index in everywhere:
        known[boxes[index].rows, boxes[index].columns] = False
    levels = conceal(header, levels_in(whole, tiles | others), known)
    for index in problems:
        tiles[index].levels = levels[boxes[index].rows, boxes[index].columns].copy()
    return tiles, sorted(problems)


def details_where_whole(
    container: Container, tiles: dict[int, TileSymbols], drawn: Sequence[int], wanted: int
) -> tuple[int, Losses]:
    """Read the detail layers of each tile as far as they are whole.

    Args:
        container: the file.
        tiles: with their global tokens.
        drawn: which of them have none of their own, so that nothing can be read of their details.
        wanted: layers to read.

    Returns:
        How many layers at least one tile has, and what was lost.
    """
    whole = {}
    for index, tile in tiles.items():
        if index in drawn:
            continue
        whole[index], damage = read_details(container, {index: tile}, wanted)
        if damage is not None:
            tile.q[:, :, tile.config.group_slice(whole[index]).start :] = 0
            tile.forget_context()
    boxes = container.header.tiles
    predicted = [boxes[index] for index, layers in whole.items() if layers < wanted]
    pixels = Box(0, 0, container.header.height, container.header.width)
    areas = (
        tuple(box.times(TOKEN_STRIDE).cut(pixels) for box in found)
        for found in ([boxes[index] for index in drawn], predicted)
    )
    return max(whole.values(), default=wanted), Losses(*areas)


def _read(container: Container, tiles: dict[int, TileSymbols]) -> dict[int, InvalidFileError]:
    """Read the global tokens of tiles; which are damaged, and how."""
    problems = {}
    for index, tile in tiles.items():
        try:
            read_levels(container, index, tile)
        except InvalidFileError as error:
            problems[index] = error
    return problems


def _areas(boxes: Sequence[Box]) -> str:
    each = [f"{box.width} x {box.height} pixels at {box.left},{box.top}" for box in boxes]
    return " and ".join(each)
