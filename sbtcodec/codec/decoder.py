"""From a file to symbols, which are integers and checked, and from them to pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sbtcodec.arguments import Buffer, content_of, flag, whole_number
from sbtcodec.codec.chunks import picture_of
from sbtcodec.codec.concealment import Conceal, Losses, details_where_whole, globals_with_drawn
from sbtcodec.codec.tiles import levels_in, read_details, read_globals
from sbtcodec.codec.tokens import Tokens
from sbtcodec.container import Container, Header, check_pixels, unpack
from sbtcodec.errors import ArgumentError, InvalidFileError
from sbtcodec.grid import LATENT_STRIDE, LATENTS_PER_TOKEN, Box, Crop, part_of, tokens_of
from sbtcodec.image.picture import Picture
from sbtcodec.latents.engine import ATTENTION_HALO, HALO, Engine, spread_halo
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.runtime.memory import give_back
from sbtcodec.tokenizer.config import WINDOW
from sbtcodec.tokenizer.predictor_sizes import MOST_BLOCKS

RGB = NDArray[np.uint8]

SCALES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Decoded:
    """A decoded picture and how much of the file went into it.

    Attributes:
        picture: pixels, transparency and metadata.
        layers: detail layers used.
        declared_layers: detail layers that the whole file has.
        notice: why fewer layers were used than the file declares, if so and if not asked for;
            and which tiles were damaged, if that was concealed.
        realism: share of the vivid look in the pixels, 0 to 1; above 0 the metadata says so.
    """

    picture: Picture
    layers: int
    declared_layers: int
    notice: str | None
    realism: float = 0.0

    @property
    def rgb(self) -> RGB:
        """The pixels alone, uint8 [H, W, 3]."""
        return self.picture.rgb


def decode_file(
    engine_of: Callable[[int], Engine[Any]],
    data: Buffer,
    layers: int | None,
    *,
    allow_partial: bool,
    crop: Crop | None,
    scale: int,
    max_pixels: int,
    conceal: Conceal | None = None,
) -> Decoded:
    """Decode the bytes of a file with what `engine_of` has for its model.

    The other arguments, and errors, are those of `Codec.decode`.
    """
    content = content_of(data)
    if layers is not None:
        layers = whole_number("layers", layers, 0)
    if whole_number("scale", scale, 1) not in SCALES:
        raise ArgumentError(f"scale is {scale}, expected one of {SCALES}")
    allow_partial = flag("allow_partial", allow_partial) or conceal is not None
    container = unpack(content, allow_partial=allow_partial)
    header = container.header
    check_pixels(header, whole_number("max_pixels", max_pixels, 1))
    engine = engine_of(header.model)
    return decode_picture(
        engine,
        container,
        layers,
        allow_partial=allow_partial,
        crop=crop,
        scale=scale,
        conceal=conceal,
    )


def decode_picture(
    engine: Engine[Any],
    container: Container,
    layers: int | None,
    *,
    allow_partial: bool,
    crop: Crop | None,
    scale: int,
    conceal: Conceal | None = None,
) -> Decoded:
    """Decode a file; arguments and errors are those of `Codec.decode`."""
    header = container.header
    crop = part_of(crop, header.width, header.height)
    present = len(container.layers) - 1
    wanted = present if layers is None else min(layers, present)
    rgb, used, damage, losses = decode(engine, container, wanted, crop, conceal)
    if damage and not allow_partial:
        raise damage
    if header.grayscale:
        rgb = gray(rgb)
    notice = losses.notice
    short = damage or container.cut_inside or not container.complete
    if short and (layers is None or used < layers):
        cut = (
            f"{'damaged' if damage else 'cut'} after detail layer {used} of "
            f"{header.detail_layers}; the rest is predicted"
        )
        notice = f"{cut}; {notice}" if notice else cut
    shown = picture_of(
        np.ascontiguousarray(rgb),
        container.chunks,
        grayscale=header.grayscale,
        size=(header.height, header.width),
        crop=crop,
        scale=scale,
    )
    return Decoded(shown, used, header.detail_layers, notice)


def decode(
    engine: Engine[Any],
    container: Container,
    wanted: int,
    crop: Box,
    conceal: Conceal | None = None,
) -> tuple[RGB, int, InvalidFileError | None, Losses]:
    """Decode a part of a picture, from the tiles that it needs.

    Args:
        engine: the model that the file was made with.
        container: the file.
        wanted: detail layers to use, of those that are there.
        crop: in pixels, inside the picture.
        conceal: draws global tokens of damaged tiles; without it, damage ends the reading.

    Returns:
        uint8 [crop.height, crop.width, 3], the number of detail layers that were whole and used,
        why it is not all of the wanted ones, and what was concealed.

    Raises:
        InvalidFileError: the base layer is damaged.
    """
    header, model = container.header, engine.symbols
    whole = tokens_of(header.width, header.height)
    all_latents = whole.times(LATENTS_PER_TOKEN)
    latents = crop.over(LATENT_STRIDE)
    alone = header.detail_layers == 0
    # what was sent this near changes the crop's prediction or its pixels
    refinements = 2 * model.config.layers + 1  # one after the other, and one to spare
    reach = refinements * model.config.refine_depth
    if alone:  # shown by whatever a model or a look has for it
        reach = max(reach, MOST_BLOCKS)
    near = latents.grown(HALO + reach, all_latents)
    halo = spread_halo(model.config.predictor_depth)
    area = near.grown(halo, all_latents).over(LATENTS_PER_TOKEN)
    tokens = area.grown(ATTENTION_HALO, whole).over(WINDOW).times(WINDOW).cut(whole)
    area = area.times(LATENTS_PER_TOKEN)
    with engine.inference():
        drawn: list[int] = []
        if conceal is None:
            tiles = read_globals(container, model, tokens)
        else:
            tiles, drawn = globals_with_drawn(container, model, tokens, conceal)
        detailed = {i: t for i, t in tiles.items() if not t.latents.cut(near).empty}
        damage, losses = None, Losses()
        if conceal is None:
            used, damage = read_details(container, detailed, wanted)
        else:
            used, losses = details_where_whole(container, detailed, drawn, wanted)
        levels = levels_in(tokens, tiles)
        estimate = engine.predict(levels, header.quality, tokens, area, alone=alone)
        engine.reconstruct(estimate, list(detailed.values()), used)
        tiles.clear()  # of a large picture, hundreds of megabytes
        detailed.clear()
        give_back()
        rgb = engine.show(estimate, header.quality, used, latents.seen_from(area))
    del estimate
    give_back()
    inside = crop.seen_from(latents.times(LATENT_STRIDE))
    return rgb[inside.rows, inside.columns], used, damage, losses


def whole_picture(
    engine: Engine[Any],
    header: Header | Tokens,
    levels: NDArray[np.int64],
    tiles: list[TileSymbols],
) -> RGB:
    """The picture uint8 [height, width, 3] from all its symbols.

    Args:
        engine: the model that they are of.
        header: size, quality, layers and whether it is gray.
        levels: of its global tokens, int64 [h, w, dims].
        tiles: with the symbols of its detail layers.
    """
    whole = tokens_of(header.width, header.height)
    area, layers = whole.times(LATENTS_PER_TOKEN), header.detail_layers
    with engine.inference():
        estimate = engine.predict(levels, header.quality, whole, area, alone=layers == 0)
        engine.reconstruct(estimate, tiles, layers)
        rgb = engine.show(estimate, header.quality, layers, area)
    rgb = np.ascontiguousarray(rgb[: header.height, : header.width])
    return gray(rgb) if header.grayscale else rgb


def gray(rgb: RGB) -> RGB:
    """The mean of the channels, in each: uint8 [H, W, 3]."""
    mean = np.rint(rgb.mean(2, dtype=np.float32)).astype(np.uint8)
    return np.repeat(mean[:, :, None], 3, 2)
