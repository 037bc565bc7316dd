"""From an analysed picture to a file: levels, local tokens and symbols for one quality."""

from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from sbtcodec.codec.checks import check_bytes, seed_of
from sbtcodec.container import FORMAT_VERSION, Chunk, Container, Header, Layer, Part, pack
from sbtcodec.entropy.coder import LayerEncoder
from sbtcodec.grid import LATENTS_PER_TOKEN, tokens_of
from sbtcodec.image.picture import Picture
from sbtcodec.latents.blocks import RGB, Networks
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.rdo.effort import SearchSteps
from sbtcodec.rdo.latent_search import searched_latents
from sbtcodec.rdo.symbol_choice import chosen_symbols
from sbtcodec.rdo.token_search import details_profit, searched_tokens
from sbtcodec.tokenizer.token_adapter import STEPS_ALONE, STEPS_BEFORE_DETAILS


@dataclass(frozen=True)
class Analysis:
    """What the encoder's networks make of a picture; it is coded from this at any quality.

    Attributes:
        picture: the picture.
        chunks: what it has beside its pixels.
        y: its local tokens, float32 [1, local_channels, H, W], on the codec's device.
        z: its global tokens before they are quantised, float32 [1, dims, h, w], there too.
        fitted: levels that were found already, by the steps of the token adapter and the rounds of
            the token search.
    """

    picture: Picture
    chunks: tuple[Chunk, ...]
    y: Tensor
    z: Tensor
    fitted: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @property
    def rgb(self) -> RGB:
        """The pixels, uint8 [height, width, 3]."""
        return self.picture.rgb


@dataclass(frozen=True)
class Coding:
    """A file, and the symbols that it holds.

    Attributes:
        container: the content of the file.
        tiles: its symbols.
        levels: of its global tokens, int64 [1, dims, h, w].
    """

    container: Container
    tiles: tuple[TileSymbols, ...]
    levels: Tensor

    @property
    def data(self) -> bytes:
        """The bytes of the `.sbt` file."""
        return pack(self.container)


def encode(
    networks: Networks, analysis: Analysis, quality: int, *, globals_only: bool, search: SearchSteps
) -> Coding:
    """The file of an analysed picture.

    Args:
        networks: the model.
        analysis: of the picture.
        quality: code, 0..255.
        globals_only: send the global tokens alone.
        search: steps to spend on better tokens.
    """
    release = networks.release
    height, width = analysis.rgb.shape[:2]
    detail_layers = 0 if globals_only else networks.tokenizer.config.layers
    header = Header(
        FORMAT_VERSION,
        release.number,
        width,
        height,
        quality,
        detail_layers,
        grayscale=analysis.picture.grayscale,
    )
    with networks.inference():
        tiles = tuple(TileSymbols(release.symbols, quality, box) for box in header.tiles)
        y = analysis.y
        if globals_only:
            levels = _fitted_levels(networks, analysis, STEPS_ALONE, search.rounds)
        elif details_profit(release, quality):
            # no search: tokens that are better alone cost details more than they save
            levels = _fitted_levels(networks, analysis, STEPS_BEFORE_DETAILS, 0)
        else:
            levels = networks.levels(analysis.z)
        if not globals_only:
            whole = tokens_of(width, height)
            estimate = networks.estimate(quality, levels, whole, whole.times(LATENTS_PER_TOKEN))
            y = networks.adapted(y, estimate, quality)
            if search.steps:
                y = searched_latents(release, analysis.rgb, y, levels, quality, search.steps)
        coded = [[_put_levels(tile, levels) for tile in tiles]]
        if not globals_only:
            for tile in tiles:
                tile.prepare_details()
        bit_weight = release.bit_weight(quality)
        for group in range(detail_layers):
            encoders = [LayerEncoder(release.tables) for _ in tiles]
            for step in (2 * group, 2 * group + 1):
                estimate.refine(step)
                for tile, encoder in zip(tiles, encoders, strict=True):
                    r, tables = estimate.residual(y, tile.latents, step), tile.tables(step)
                    q = chosen_symbols(r, tables, release.tables.costs, bit_weight)
                    q = encoder.details(tables, q)
                    tile.put(step, q)
                    estimate.add(tile.latents, step, q)
            coded.append([encoder.finish() for encoder in encoders])
        # trailing layers that say nothing are not declared: at low qualities every byte counts
        while len(coded) > 1 and not any(tile.has_details(len(coded) - 2) for tile in tiles):
            coded.pop()
        header = replace(header, detail_layers=len(coded) - 1)
        for index, tile in enumerate(tiles):
            tile.crc = seed_of(header, release.symbols, index)
        layers = tuple(_layer(parts, tiles, header, i) for i, parts in enumerate(coded))
        return Coding(Container(header, layers, analysis.chunks), tiles, levels)


def _fitted_levels(networks: Networks, analysis: Analysis, steps: int, rounds: int) -> Tensor:
    """Levels fitted to a picture; they are the same for all qualities, so they are kept."""
    if (steps, rounds) not in analysis.fitted:
        levels = networks.fitted_levels(analysis.y, analysis.z, steps)
        if rounds:
            levels = searched_tokens(
                networks.release, analysis.rgb, levels, rounds, networks.device
            )
        analysis.fitted[steps, rounds] = levels
    return analysis.fitted[steps, rounds]


def _layer(coded: list[bytes], tiles: tuple[TileSymbols, ...], header: Header, index: int) -> Layer:
    """The next layer; each check goes on from that of the layer before."""
    parts = []
    for data, tile in zip(coded, tiles, strict=True):
        tile.crc = tile.check(index, tile.crc)
        parts.append(Part(data, check_bytes(tile.crc, header.check_bytes(index))))
    return Layer(tuple(parts))


def _put_levels(tile: TileSymbols, levels: Tensor) -> bytes:
    """Code the global tokens of a tile, from those of the picture."""
    encoder = LayerEncoder(tile.model.tables)
    own = levels[0, :, tile.tokens.rows, tile.tokens.columns]
    tile.levels = np.ascontiguousarray(own.permute(1, 2, 0).numpy())
    tile.code_levels(encoder.levels)
    return encoder.finish()
