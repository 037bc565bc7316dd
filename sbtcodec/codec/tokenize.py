"""From a file to tokens as arrays, and from such tokens to a picture, or to a file again."""

from typing import Any

import numpy as np

from sbtcodec.codec.decoder import whole_picture
from sbtcodec.codec.encoder import container_of, put_levels
from sbtcodec.codec.tiles import levels_in, read_details, read_globals
from sbtcodec.codec.tokens import Tokens
from sbtcodec.container import FORMAT_VERSION, Container, Header, pack
from sbtcodec.entropy.coder import LayerEncoder
from sbtcodec.errors import ArgumentError
from sbtcodec.grid import LATENTS_PER_TOKEN, tokens_of
from sbtcodec.latents.blocks import RGB, Networks
from sbtcodec.latents.engine import Engine
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.tokenizer.config import TokenizerConfig


def tokens_in(networks: Networks, container: Container) -> Tokens:
    """All tokens of a file.

    Args:
        networks: the model that the file was made with.
        container: the file.

    Raises:
        InvalidFileError: the file is damaged.
    """
    header, layers = container.header, len(container.layers) - 1
    whole = tokens_of(header.width, header.height)
    with networks.inference():
        tiles = read_globals(container, networks.release.symbols, whole)
        _, damage = read_details(container, tiles, layers)
        if damage:
            raise damage
        levels = levels_in(whole, tiles).astype(np.uint8)
    latents = whole.times(LATENTS_PER_TOKEN)
    channels = networks.symbols.config.local_channels
    symbols = np.zeros((latents.height, latents.width, channels), dtype=np.int16)
    for tile in tiles.values():
        symbols[tile.latents.rows, tile.latents.columns] = tile.q_of(slice(0, channels))
    size = header.width, header.height
    return Tokens(levels, symbols, *size, header.quality, layers, header.model, header.grayscale)


def picture_from(engine: Engine[Any], tokens: Tokens) -> RGB:
    """The picture uint8 [height, width, 3] that tokens of the engine's model stand for.

    Raises:
        ArgumentError: they do not fit the model: other sizes, levels or layers.
    """
    _check(tokens, engine.symbols.config)
    with engine.inference():
        whole = tokens_of(tokens.width, tokens.height)
        tile = TileSymbols(engine.symbols, tokens.quality, whole)
        tile.q = np.ascontiguousarray(tokens.symbols)
        levels = np.ascontiguousarray(tokens.levels, np.int64)
        return whole_picture(engine, tokens, levels, [tile])


def file_of(networks: Networks, tokens: Tokens) -> bytes:
    """The bytes of a `.sbt` file that holds tokens of this model, and nothing else.

    Raises:
        ArgumentError: they do not fit the model, or a symbol is larger than files can hold.
    """
    model = networks.release.symbols
    _check(tokens, networks.release.model.tokenizer.config)
    header = Header(
        FORMAT_VERSION,
        tokens.model,
        tokens.width,
        tokens.height,
        tokens.quality,
        tokens.detail_layers,
        grayscale=bool(tokens.grayscale),
    )
    with networks.inference():
        tiles = tuple(TileSymbols(model, header.quality, box) for box in header.tiles)
        levels = np.ascontiguousarray(tokens.levels, np.int64)
        coded = [[put_levels(tile, levels) for tile in tiles]]
        for tile in tiles if tokens.detail_layers else ():
            tile.prepare_details()
        for group in range(tokens.detail_layers):
            parts = []
            for tile in tiles:
                encoder = LayerEncoder(model.tables)
                wanted = tokens.symbols[tile.latents.rows, tile.latents.columns]
                for step in (2 * group, 2 * group + 1):
                    channels = model.config.group_slice(group)
                    q = wanted[tile.places(step), channels].astype(np.int32).reshape(-1)
                    sent = encoder.details(tile.tables(step), q)
                    if (sent != q).any():
                        raise ArgumentError(
                            f"a symbol of detail layer {group + 1} is"
                            f" {int(np.abs(q).max())} steps large, more than files can hold"
                        )
                    tile.put(step, sent)
                parts.append(encoder.finish())
            coded.append(parts)
        return pack(container_of(header, tiles, coded))


def _check(tokens: Tokens, config: TokenizerConfig) -> None:
    sizes = tokens.levels.shape[2], tokens.symbols.shape[2]
    if sizes != (len(config.levels), config.local_channels):
        raise ArgumentError(
            f"the tokens have {sizes[0]} dimensions and {sizes[1]} channels, expected"
            f" {len(config.levels)} and {config.local_channels}"
        )
    if (tokens.levels >= np.array(config.levels)).any():
        raise ArgumentError(
            f"levels reach beyond the {config.levels} of model {tokens.model}; give levels below"
        )
    if tokens.detail_layers > config.layers:
        raise ArgumentError(
            f"detail_layers is {tokens.detail_layers}, expected at most {config.layers}, as model"
            f" {tokens.model} has"
        )
