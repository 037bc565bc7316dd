"""The tiles of a file: their symbols, read and checked."""

import numpy as np
from numpy.typing import NDArray

from sbtcodec.codec.checks import compare, seed_of
from sbtcodec.container import Container, Header
from sbtcodec.entropy.coder import LayerDecoder
from sbtcodec.errors import InvalidFileError
from sbtcodec.grid import Box
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.models.symbol_model import SymbolModel

DETAIL_ADVICE = "get a fresh copy, or decode the layers before it with allow_partial=True"


def read_globals(container: Container, model: SymbolModel, tokens: Box) -> dict[int, TileSymbols]:
    """The tiles over an area of global tokens, by their index, with their global tokens.

    Raises:
        InvalidFileError: they are damaged, or the file declares layers that the model has not.
    """
    header = container.header
    check_layers(header, model)
    tiles = {
        index: TileSymbols(model, header.quality, box)
        for index, box in enumerate(header.tiles)
        if not box.cut(tokens).empty
    }
    for index, tile in tiles.items():
        read_levels(container, index, tile)
    return tiles


def check_layers(header: Header, model: SymbolModel) -> None:
    """Refuse a file with more layers than its model has.

    Raises:
        InvalidFileError: it declares them.
    """
    most = model.config.layers
    if header.detail_layers > most:
        raise InvalidFileError(
            f"the file declares {header.detail_layers} detail layers, model {header.model} makes at"
            f" most {most}; the header is damaged"
        )


def read_levels(container: Container, index: int, tile: TileSymbols) -> None:
    """Read the global tokens of a tile."""
    part = container.layers[0].parts[index]
    decoder = LayerDecoder(tile.model.tables, part.coded)
    tile.code_levels(lambda frequencies, _chosen: decoder.levels(frequencies))
    tile.crc = tile.check(0, seed_of(container.header, tile.model, index))
    compare(tile.crc, part.check, "base layer", "get a fresh copy")


def read_details(
    container: Container, tiles: dict[int, TileSymbols], wanted: int
) -> tuple[int, InvalidFileError | None]:
    """Read detail layers; how many are whole, and why it is not all of the wanted ones."""
    for tile in tiles.values():
        if wanted:
            tile.prepare_details()
    for group in range(wanted):
        for index, tile in tiles.items():
            part = container.layers[group + 1].parts[index]
            decoder = LayerDecoder(tile.model.tables, part.coded)
            try:
                for step in (2 * group, 2 * group + 1):
                    tile.put(step, decoder.details(tile.tables(step)))
                tile.crc = tile.check(group + 1, tile.crc)
                compare(tile.crc, part.check, f"detail layer {group + 1}", DETAIL_ADVICE)
            except InvalidFileError as error:
                return group, error
    for tile in tiles.values():
        tile.forget_context()
    return wanted, None


def levels_in(tokens: Box, tiles: dict[int, TileSymbols]) -> NDArray[np.int64]:
    """Levels of the global tokens of an area, int64 [h, w, dims], from the tiles over it."""
    dims = next(iter(tiles.values())).levels.shape[2]
    levels = np.zeros((tokens.height, tokens.width, dims), dtype=np.int64)
    for tile in tiles.values():
        shared = tile.tokens.cut(tokens)
        to, source = shared.seen_from(tokens), shared.seen_from(tile.tokens)
        levels[to.rows, to.columns] = tile.levels[source.rows, source.columns]
    return levels
