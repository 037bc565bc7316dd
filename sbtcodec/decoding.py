"""From the layers of a file to the symbols of its tiles: integers alone, checked."""

import zlib

import torch
from torch import Tensor

from sbtcodec.container import Container, Header, header_bytes
from sbtcodec.entropy.coder import LayerDecoder
from sbtcodec.errors import InvalidFileError
from sbtcodec.grid import Box
from sbtcodec.release import Release
from sbtcodec.symbols import TileSymbols


def read_levels(container: Container, index: int, tile: TileSymbols) -> None:
    """Read the global tokens of a tile."""
    part = container.layers[0].parts[index]
    decoder = LayerDecoder(tile.release.tables, part.coded)
    tile.code_levels(lambda frequencies, _chosen: decoder.levels(frequencies))
    found = check_of(tile, container.header, tile.release, 0, index)
    compare(found, part.check, "base layer")


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
            decoder = LayerDecoder(tile.release.tables, part.coded)
            try:
                for step in (2 * group, 2 * group + 1):
                    tile.put(step, decoder.details(tile.tables(step)))
                found = check_of(tile, container.header, tile.release, group + 1, index)
                compare(found, part.check, f"detail layer {group + 1}")
            except InvalidFileError as error:
                return group, error
    return wanted, None


def levels_in(tokens: Box, tiles: dict[int, TileSymbols]) -> Tensor:
    """Levels of the global tokens of an area, int64 [1, dims, h, w], from the tiles over it."""
    dims = next(iter(tiles.values())).levels.shape[1]
    levels = torch.zeros(1, dims, tokens.height, tokens.width, dtype=torch.int64)
    for tile in tiles.values():
        shared = tile.tokens.cut(tokens)
        to, source = shared.seen_from(tokens), shared.seen_from(tile.tokens)
        levels[:, :, to.rows, to.columns] = tile.levels[:, :, source.rows, source.columns]
    return levels


def check_of(tile: TileSymbols, header: Header, release: Release, layer: int, index: int) -> int:
    """The check of a tile's symbols in one layer (0 is the base layer); see the format."""
    seed = zlib.crc32(header_bytes(header) + bytes.fromhex(release.sha256))
    seed = (seed + layer + 8 * index) & 0xFFFFFFFF
    return tile.check_levels(seed) if layer == 0 else tile.check_details(layer - 1, seed)


def compare(found: int, expected: int, what: str) -> None:
    """Raise if the check of decoded symbols is not what the file says.

    Raises:
        InvalidFileError: they differ.
    """
    if found != expected:
        raise InvalidFileError(
            f"the {what} is damaged or cut: its symbols give check {found:06x}, the file says "
            f"{expected:06x}; get a fresh copy, or decode the layers before it with --allow-partial"
        )
