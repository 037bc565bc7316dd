"""The integers of one tile, and the distributions they are coded under, in coding order.

Encoder and decoder both go through here, with a function that puts symbols or one that gets them,
so what selects a probability cannot differ between the two. Only integers come in, and the integer
networks run on the CPU, exactly.
Letters: H W are rows and columns of the tile's latents, h w of its global tokens.
"""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.coder import Indices, Symbols
from sbtcodec.entropy.exact import centred
from sbtcodec.entropy.frequencies import Frequencies, from_logits
from sbtcodec.entropy.units import SUBGRIDS
from sbtcodec.grid import LATENTS_PER_TOKEN, Box
from sbtcodec.models.symbol_model import SymbolModel

SMALL = 127  # the largest symbol that is kept in a byte

LevelCoding = Callable[[Frequencies, Symbols], Symbols]
"""Puts or gets levels int32 [n] under frequencies [n, K]; shown what the tile holds so far."""


class TileSymbols:
    """The symbols of one tile at one quality.

    Attributes:
        tokens: where the tile's global tokens are in the picture.
        latents: where its local tokens are.
        levels: int64 [h, w, dims], levels of the global tokens.
        q: int8, or int16 where one needs it, [H, W, C], detail symbols of the C channels of which
            some are there; 0 where nothing is sent.
        crc: the check of what was read of it so far.
    """

    def __init__(self, model: SymbolModel, quality: int, tokens: Box) -> None:
        """A tile without symbols; `quality` is a code, 0..255."""
        self.model, self.quality, self.tokens = model, quality, tokens
        self.latents = tokens.times(LATENTS_PER_TOKEN)
        self.config = model.config
        dims = len(self.config.levels)
        self.levels = np.zeros((tokens.height, tokens.width, dims), dtype=np.int64)
        # kept small: tiles of a large picture add up
        self.q: NDArray[np.int8 | np.int16] = np.zeros(
            (self.latents.height, self.latents.width, 0), dtype=np.int8
        )
        self.crc = 0
        self.features: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)

    def code_levels(self, code: LevelCoding) -> None:
        """Code the global tokens: four sub-grids, level by level.

        When encoding, `levels` holds them already, and `code` gives back what it is shown.
        """
        prior, counts = self.model.prior, self.config.levels
        known = np.zeros((self.tokens.height, self.tokens.width), dtype=np.bool_)
        for row, column in SUBGRIDS:
            places = np.zeros_like(known)
            places[row::2, column::2] = True
            if places.any():
                context = prior.context(centred(self.levels, counts), known, places)
                levels = self.levels[places]
                here = centred(np.zeros_like(levels), counts)
                for dim, count in enumerate(counts):
                    logits = prior.logits(context, here, dim)
                    assert logits.shape[1] == count
                    chosen = levels[:, dim].astype(np.int32)
                    levels[:, dim] = code(from_logits(logits, self.model.octaves), chosen)
                    here[:, dim] = centred(levels[:, dim : dim + 1], (count,))[:, 0]
                self.levels[places] = levels
            known |= places

    def prepare_details(self) -> None:
        """Compute what all detail steps share, from the global tokens."""
        features = self.model.scales.features(centred(self.levels, self.config.levels))
        self.features = features.astype(np.uint8)  # as activations are

    def forget_context(self) -> None:
        """Give back what `prepare_details` made: all symbols are there."""
        self.features = np.zeros(0, np.uint8)

    def places(self, step: int) -> NDArray[np.bool_]:
        """bool [H, W]: the latents whose symbols `step` codes; a step is 2 * layer + parity."""
        rows, columns = np.arange(self.latents.height), np.arange(self.latents.width)
        found: NDArray[np.bool_] = (rows[:, None] + columns) % 2 == step % 2
        return found

    def tables(self, step: int) -> Indices:
        """Indices uint8 [n] of the distributions of the symbols of `step`.

        Latent by latent, row by row, all channels of the layer for each.
        """
        channels = self.config.group_slice(step // 2)
        parity = step % 2
        # computed anew for each step: to keep it takes more memory than q
        before = slice(0, channels.stop if parity else channels.start)
        seen = self.model.scales.seen_of(self.q_of(before))
        index = self.model.scales.indices(
            step,
            self.features,
            self.model.integer_anchor_weights[self.quality],
            seen,
            self.places(step),
            self.model.gain_offsets[self.quality][channels],
        )
        return index.reshape(-1)

    def put(self, step: int, symbols: Symbols) -> None:
        """Take the symbols int32 [n] of `step`, in the order of `tables`."""
        channels = self.config.group_slice(step // 2)
        places = self.places(step)
        values = symbols.reshape(-1, channels.stop - channels.start)
        held = self.q.shape[2]
        small = not values.size or np.abs(values).max() <= SMALL
        dtype = self.q.dtype.type if small else np.int16
        if held < channels.stop or self.q.dtype != dtype:
            self.q = self._grown(max(held, channels.stop), dtype)
        self.q[places, channels] = values

    def symbols(self, step: int) -> Symbols:
        """The symbols int32 [n] of `step`, in the order of `tables`."""
        q = self.q_of(self.config.group_slice(step // 2))
        return q[self.places(step)].astype(np.int32).reshape(-1)

    def has_details(self, group: int) -> bool:
        """Whether detail layer `group` (0-based) holds anything but zeros."""
        return bool(self.q[:, :, self.config.group_slice(group)].any())

    def check(self, layer: int, before: int) -> int:
        """The CRC-32 of what came before, gone on with the symbols of a layer, 0 the base layer."""
        if layer == 0:
            planes = np.ascontiguousarray(self.levels.transpose(2, 0, 1))
            return zlib.crc32(planes.astype(np.uint8).tobytes(), before)
        q = self.q_of(self.config.group_slice(layer - 1))
        return zlib.crc32(np.ascontiguousarray(q).astype("<i2").tobytes(), before)

    def q_of(self, channels: slice) -> NDArray[np.int8 | np.int16]:
        """Symbols of some channels, [H, W, c]; 0 where there are none yet."""
        if channels.stop > self.q.shape[2]:
            return self._grown(channels.stop, self.q.dtype.type)[:, :, channels]
        return self.q[:, :, channels]

    def _grown(self, channels: int, dtype: type[Any]) -> NDArray[Any]:
        """`q` with room for so many channels."""
        q = np.zeros((self.latents.height, self.latents.width, channels), dtype)
        q[:, :, : self.q.shape[2]] = self.q
        return q
