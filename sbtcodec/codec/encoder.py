"""From an analysed picture to a file: levels, local tokens and symbols for one quality."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sbtcodec.codec.checks import check_bytes, seed_of
from sbtcodec.container import FORMAT_VERSION, Chunk, Container, Header, Layer, Look, Part, pack
from sbtcodec.entropy.coder import Indices, LayerEncoder
from sbtcodec.entropy.units import TABLES
from sbtcodec.errors import ArgumentError
from sbtcodec.grid import LATENTS_PER_TOKEN, tokens_of
from sbtcodec.image.picture import Picture
from sbtcodec.latents.engine import EncodingEngine
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.rdo.effort import NONE, SearchSteps
from sbtcodec.rdo.symbol_choice import chosen_symbols
from sbtcodec.tokenizer.config import STEPS_ALONE, STEPS_BEFORE_DETAILS

if TYPE_CHECKING:
    from sbtcodec.latents.blocks import Networks

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Analysis:
    """What the encoder's networks make of a picture; it is coded from this at any quality.

    Attributes:
        picture: the picture.
        chunks: what it has beside its pixels.
        y: its local tokens, float32 [1, local_channels, H, W], an array of the engine: a tensor on
            the codec's device, or of NumPy.
        z: its global tokens before they are quantised, float32 [1, dims, h, w], of the same kind.
        fitted: levels that were found already, by the steps of the token adapter and the rounds of
            the token search.
    """

    picture: Picture
    chunks: tuple[Chunk, ...]
    y: Any
    z: Any
    fitted: dict[tuple[int, int], Any] = field(default_factory=dict)

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
        levels: of its global tokens, int64 [1, dims, h, w], an array of the engine.
    """

    container: Container
    tiles: tuple[TileSymbols, ...]
    levels: Any

    @property
    def data(self) -> bytes:
        """The bytes of the `.sbt` file."""
        return pack(self.container)


def encode(
    engine: EncodingEngine[Any, Any],
    analysis: Analysis,
    quality: int,
    *,
    globals_only: bool,
    search: SearchSteps,
    last: bool = False,
) -> Coding:
    """The file of an analysed picture.

    Args:
        engine: the model.
        analysis: of the picture, by the same engine.
        quality: code, 0..255.
        globals_only: send the global tokens alone.
        search: steps to spend on better tokens.
        last: nothing else is made of the analysis, whose local tokens may be overwritten.

    Raises:
        ArgumentError: the engine cannot search.
    """
    if search != NONE:
        searching(engine)  # before anything is computed for nothing
    model = engine.symbols
    height, width = analysis.rgb.shape[:2]
    detail_layers = 0 if globals_only else model.config.layers
    header = Header(
        FORMAT_VERSION,
        model.number,
        width,
        height,
        quality,
        detail_layers,
        grayscale=analysis.picture.grayscale,
        look=Look.meant(analysis.picture.look),
    )
    with engine.inference():
        tiles = tuple(TileSymbols(model, quality, box) for box in header.tiles)
        y = analysis.y
        if globals_only:
            levels = _fitted_levels(engine, analysis, STEPS_ALONE, search.rounds)
        elif engine.prices.details_profit(quality):
            # no search: tokens that are better alone cost details more than they save
            levels = _fitted_levels(engine, analysis, STEPS_BEFORE_DETAILS, 0)
        else:
            levels = engine.levels(analysis.z)
        rows = rows_of(levels)
        if not globals_only:
            whole = tokens_of(width, height)
            area = whole.times(LATENTS_PER_TOKEN)
            estimate = engine.predict(rows, quality, whole, area)
            y = engine.adapted(y, estimate, quality, last=last)
            if search.steps:
                from sbtcodec.rdo.latent_search import searched_latents

                release = searching(engine).release
                y = searched_latents(release, analysis.rgb, y, levels, quality, search.steps)
        coded = [[put_levels(tile, rows) for tile in tiles]]
        if not globals_only:
            for tile in tiles:
                tile.prepare_details()
        bit_weight = engine.prices.bit_weight(quality)
        for group in range(detail_layers):
            tables_of = [tile.tables(2 * group) for tile in tiles]
            if _silent_from(2 * group, tiles, tables_of):
                break
            encoders = [LayerEncoder(model.tables) for _ in tiles]
            for step in (2 * group, 2 * group + 1):
                engine.refine(estimate, step)
                if step % 2:
                    tables_of = [tile.tables(step) for tile in tiles]
                for tile, tables, encoder in zip(tiles, tables_of, encoders, strict=True):
                    r = engine.residual(estimate, y, tile, step)
                    q = chosen_symbols(r, tables, model.tables.costs, bit_weight)
                    tile.put(step, encoder.details(tables, q))
                    if group < model.config.coarse_layers:  # of fine channels nothing follows
                        engine.add(estimate, tile, step)
            coded.append([encoder.finish() for encoder in encoders])
        # trailing layers that say nothing are not declared: at low qualities every byte counts
        while len(coded) > 1 and not any(tile.has_details(len(coded) - 2) for tile in tiles):
            coded.pop()
        header = replace(header, detail_layers=len(coded) - 1)
        return Coding(container_of(header, tiles, coded, analysis.chunks), tiles, levels)


def searching(engine: EncodingEngine[Any, Any]) -> "Networks":
    """The engine, if it is one that has the gradients that searches need.

    Raises:
        ArgumentError: it is not torch.
    """
    from sbtcodec.latents.blocks import Networks

    if not isinstance(engine, Networks):
        raise ArgumentError("efforts above 3 need torch; give at most 3, or use sbtcodec.Codec")
    return engine


def rows_of(levels: ArrayLike) -> NDArray[np.int64]:
    """Levels of an engine, int64 [1, dims, h, w], as all others take them: [h, w, dims]."""
    return np.ascontiguousarray(np.asarray(levels, np.int64)[0].transpose(1, 2, 0))


def _fitted_levels(
    engine: EncodingEngine[Any, Any], analysis: Analysis, steps: int, rounds: int
) -> Any:  # noqa: ANN401 (an array of the engine)
    """Levels fitted to a picture; they are the same for all qualities, so they are kept."""
    if (steps, rounds) not in analysis.fitted:
        levels = engine.fitted_levels(analysis.y, analysis.z, steps)
        if rounds:
            from sbtcodec.rdo.token_search import searched_tokens

            networks = searching(engine)
            levels = searched_tokens(
                networks.release, analysis.rgb, levels, rounds, networks.device
            )
        analysis.fitted[steps, rounds] = levels
    return analysis.fitted[steps, rounds]


def _silent_from(step: int, tiles: Sequence[TileSymbols], tables_of: Sequence[Indices]) -> bool:
    """Whether all symbols from a step on are 0 because all their tables are of the least scale.

    What would be sent does not matter then, and need not be found.

    Args:
        step: 2 * layer + parity.
        tiles: which hold the symbols before it.
        tables_of: the step's tables of each.
    """
    if any((tables % TABLES).any() for tables in tables_of):
        return False
    later = range(step + 1, 2 * tiles[0].config.layers)
    return not any((tile.tables(s) % TABLES).any() for tile in tiles for s in later)


def container_of(
    header: Header,
    tiles: tuple[TileSymbols, ...],
    coded: Sequence[list[bytes]],
    chunks: tuple[Chunk, ...] = (),
) -> Container:
    """A file of coded symbols, with the checks of them.

    Args:
        header: of the file.
        tiles: with all symbols.
        coded: the coded tiles of the base layer, and of each detail layer.
        chunks: what the file has beside its pixels.
    """
    for index, tile in enumerate(tiles):
        tile.crc = seed_of(header, tile.model, index)
    layers = tuple(_layer(parts, tiles, header, i) for i, parts in enumerate(coded))
    return Container(header, layers, chunks)


def _layer(coded: list[bytes], tiles: tuple[TileSymbols, ...], header: Header, index: int) -> Layer:
    """The next layer; each check goes on from that of the layer before."""
    parts = []
    for data, tile in zip(coded, tiles, strict=True):
        tile.crc = tile.check(index, tile.crc)
        parts.append(Part(data, check_bytes(tile.crc, header.check_bytes(index))))
    return Layer(tuple(parts))


def put_levels(tile: TileSymbols, levels: NDArray[np.int64]) -> bytes:
    """Code the global tokens of a tile, from those of the picture."""
    encoder = LayerEncoder(tile.model.tables)
    tile.levels = levels[tile.tokens.rows, tile.tokens.columns].copy()
    tile.code_levels(encoder.levels)
    return encoder.finish()
