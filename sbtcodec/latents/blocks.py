"""The float networks of a release on a device, applied to pictures of any size, block by block."""

from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sbtcodec.grid import LATENTS_PER_TOKEN, Box, tokens_of
from sbtcodec.latents.encoder_blocks import EncoderBlocks, part_of_planes
from sbtcodec.latents.estimate import Estimate, floats
from sbtcodec.latents.showing import Shown, pixels_of
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.models.prices import Prices
from sbtcodec.models.release import Release
from sbtcodec.models.symbol_model import SymbolModel
from sbtcodec.runtime import modes
from sbtcodec.runtime.memory import give_back
from sbtcodec.tokenizer.decoder import Decoder
from sbtcodec.tokenizer.half import in_bfloat16
from sbtcodec.tokenizer.layers import channels_last
from sbtcodec.tokenizer.predictor import Predictor

RGB = NDArray[np.uint8]

M = TypeVar("M", bound=nn.Module)

_in_bfloat16: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()


def kept_in_bfloat16(network: M) -> M:
    """A copy in bfloat16, kept as long as the network is."""
    made = _in_bfloat16.get(network)
    if made is None:  # without a lock: at worst two threads make it
        made = _in_bfloat16.setdefault(network, channels_last(in_bfloat16(network)))
    return cast(M, made)


class Networks:
    """What encoding and decoding compute with floats.

    Attributes:
        release: the model.
        tokenizer: its float networks, on `device`.
        device: where they run.
        bf16: whether they run in bfloat16.
    """

    def __init__(self, release: Release, device: torch.device, *, bf16: bool) -> None:
        """Bring the float networks of a release to a device."""
        self.release, self.device, self.bf16 = release, device, bf16
        with modes.construction():
            self.tokenizer = channels_last(release.model.tokenizer.to(device))
            if bf16:
                self.tokenizer = kept_in_bfloat16(self.tokenizer)
        self._encoder = EncoderBlocks(self.tokenizer, device, bf16=bf16)

    @property
    def symbols(self) -> SymbolModel:
        """What decides the symbols of its files."""
        return self.release.symbols

    @property
    def prices(self) -> Prices:
        """What its errors and bits are worth to each other."""
        return self.release.prices

    def inference(self) -> AbstractContextManager[None]:
        """No gradients, and none of the caller's modes; see `sbtcodec.runtime.modes`."""
        return modes.inference(self.device)

    def analyse(self, rgb: RGB) -> tuple[Tensor, Tensor]:
        """Run the encoder's networks on uint8 [height, width, 3].

        Returns:
            Local tokens float32 [1, local_channels, H, W], and global tokens before they are
            quantised, float32 [1, dims, h, w], both on the device.
        """
        height, width = rgb.shape[:2]
        latents = tokens_of(width, height).times(LATENTS_PER_TOKEN)
        _, encoder = self.tokenizer.encoders
        with self.inference():
            y = self._encoder.local_tokens(rgb, latents)
            give_back()
            pooled = self._encoder.pooled(encoder.pool, latents, part_of_planes(y))
            with floats(self.device, bf16=self.bf16):
                z = encoder.attend(pooled).float()
        del pooled
        give_back()
        return y, z

    def levels(self, z: Tensor) -> Tensor:
        """What global tokens z are quantised to: int64 [1, dims, h, w] on the CPU."""
        with self.inference():
            levels: Tensor = self.tokenizer.fsq(z).levels
            return levels.cpu()

    def fitted_levels(self, y: Tensor, z: Tensor, steps: int) -> Tensor:
        """Global tokens adapted to what they predict: int64 [1, dims, h, w] on the CPU.

        Args:
            y: float32 [1, local_channels, H, W].
            z: float32 [1, dims, h, w], as `analyse` returns it.
            steps: how often.
        """
        levels = self.levels(z)
        whole = Box(0, 0, *z.shape[2:])
        latents = whole.times(LATENTS_PER_TOKEN)
        for step in range(steps):
            adapter = self.tokenizer.token_adapter_of(step)
            if adapter is None:
                break
            with self.inference():
                # at any quality: a prediction does not depend on it
                estimate = self.estimate(0, levels, whole, latents)
                estimate.forget_features()
                compared = self._encoder.pooled(
                    adapter.compare, latents, part_of_planes(y), estimate.y_hat_in
                )
                values = self.tokenizer.fsq.to_values(levels.to(self.device).float())
                with floats(self.device, bf16=self.bf16):
                    z = adapter.attend(compared, z, values)
                levels = self.levels(z)
        return levels

    def adapted(self, y: Tensor, estimate: Estimate, quality: int, *, last: bool) -> Tensor:
        """Local tokens as they are sent at a quality code; see `EncodingEngine`."""
        if self.tokenizer.adapter is None:
            return y
        anchor_weights = self.release.anchor_weights(quality)[None].to(self.device)
        network = partial(
            self.tokenizer.adapted, anchor_weights=anchor_weights, gain=estimate.gains
        )
        adapted = self._encoder.adapted(network, y, estimate.y_hat_in, overwrite=last)
        give_back()
        return adapted

    def estimate(
        self,
        quality: int,
        levels: Tensor,
        tokens: Box,
        area: Box,
        predictor: Predictor | None = None,
    ) -> Estimate:
        """The prediction of an area from global tokens; arguments are those of `Estimate`.

        With a predictor of pictures of global tokens alone, it is one for these.
        """
        networks = predictor or self.tokenizer
        return Estimate(
            self.release, networks, quality, levels, tokens, area, self.device, bf16=self.bf16
        )

    def predict(
        self,
        levels: NDArray[np.int64],
        quality: int,
        tokens: Box,
        area: Box,
        *,
        alone: bool = False,
        predictor: Predictor | None = None,
    ) -> Estimate:
        """The same from levels int64 [h, w, dims]; see `Engine`.

        The predictor of a look, for files of global tokens alone, may stand in the model's place.
        """
        planes = torch.from_numpy(levels).permute(2, 0, 1)[None]
        if alone and self.tokenizer.alone is not None:
            predictor = self.tokenizer.alone.predictor
        return self.estimate(quality, planes, tokens, area, predictor)

    def reconstruct(self, estimate: Estimate, tiles: list[TileSymbols], layers: int) -> None:
        """Bring an estimate to what the symbols of its tiles say."""
        for step in range(2 * layers):
            estimate.refine(step)
            for tile in tiles:
                estimate.add(tile.latents, step, tile.symbols(step))
        if layers < self.tokenizer.config.layers:
            estimate.refine(2 * layers)
        estimate.forget_features()

    def refine(self, estimate: Estimate, step: int) -> None:
        """Correct the prediction before a step; see `EncodingEngine`."""
        give_back()
        estimate.refine(step)

    def residual(
        self, estimate: Estimate, y: Tensor, tile: TileSymbols, step: int
    ) -> NDArray[np.float32]:
        """What is to be sent of a tile, float32 [n]; see `EncodingEngine`."""
        return estimate.residual(y, tile.latents, step)

    def add(self, estimate: Estimate, tile: TileSymbols, step: int) -> None:
        """Apply the symbols of a tile; see `EncodingEngine`."""
        estimate.add(tile.latents, step, tile.symbols(step))

    def decoder_of(self, estimate: Estimate) -> Decoder:
        """What shows an estimate: a decoder of its own, where it has a predictor of its own."""
        own = self.tokenizer.alone
        if own is not None and estimate.networks is own.predictor:
            return own.decoder
        return self.tokenizer.decoder

    def show(self, estimate: Estimate, quality: int, layers: int, latents: Box) -> RGB:
        """Pixels uint8 [16 h, 16 w, 3]; see `Engine`."""
        parts = [Shown(self.decoder_of(estimate), estimate)]
        anchor_weights = self.release.anchor_weights(quality)
        return pixels_of(parts, anchor_weights, layers, latents, bf16=self.bf16)
