"""The forward pass of training: the whole codec, made differentiable.

Pixels to tokens and back; the detail layers between are those of `sbtcodec.rdo.soft_quantisation`.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sbtcodec.entropy.token_rate import relaxed, token_bits
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.rdo.ms_ssim import ms_ssim
from sbtcodec.rdo.soft_quantisation import detail_pass, known_from_tokens
from sbtcodec.rdo.soft_symbols import leaky_clamp
from sbtcodec.runtime.tensors import held
from sbtcodec.tokenizer.config import STEPS_ALONE, STEPS_BEFORE_DETAILS
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.tokenizer.model import MAX_QUALITY_CODE

LOUDEST = 4.0  # norm of a gradient of one crop at most, in medians of the batch


class Pass(NamedTuple):
    """What one forward pass gives, per image of the batch; all float32.

    Attributes:
        x_hat: [B, 3, H, W].
        mse: [B], squared error of the pixels, 8-bit units.
        ms_ssim_loss: [B], 1 - MS-SSIM; 0 if not wanted.
        token_bits: [B], bits per global token under the prior.
        detail_bpp: [B], bits per pixel of the detail layers that count as sent.
        bootstrap: [B], squared error of the prediction of y, relative to the variance of y.
    """

    x_hat: Tensor
    mse: Tensor
    ms_ssim_loss: Tensor
    token_bits: Tensor
    detail_bpp: Tensor
    bootstrap: Tensor


class Coded(NamedTuple):
    """What was made of a batch before the decoder; all float32.

    Attributes:
        y: [B, local_channels, H, W], local tokens.
        y_hat: [B, local_channels, H, W], what a decoder has of them.
        token_bits: [B, H / 2, W / 2], of global tokens under the prior.
        detail_bits: [B, H, W], of the detail symbols that count as sent.
        values: [B, dims, H / 2, W / 2], of the global tokens, in (-1, 1).
    """

    y: Tensor
    y_hat: Tensor
    token_bits: Tensor
    detail_bits: Tensor
    values: Tensor


class TrainingPass(nn.Module):
    """The codec as one differentiable module, so that it can be compiled."""

    def __init__(
        self,
        model: CodecModel,
        *,
        with_ms_ssim: bool = False,
        fitted: float = math.inf,
        alone: bool = False,
        noisy_rate: bool = True,
        bit_weights: tuple[float, float] = (0.0, 0.0),
        globals_first: float | None = None,
    ) -> None:
        """Wrap a model; nothing is copied.

        Args:
            model: what to train.
            with_ms_ssim: compute the loss of MS-SSIM too.
            fitted: quality code up to which global tokens are adapted where details follow.
            alone: no image has details.
            noisy_rate: the rate of details is that of residuals with noise, not of symbols.
            bit_weights: of the choice of symbols, at qualities 0 and 100.
            globals_first: share of the images that are sent without details, which come first in a
                batch, as in those of `drawn`. Then nothing that is drawn decides what is computed,
                as a graph or a compiler needs; else each image is looked at.
        """
        super().__init__()
        self.noisy_rate, self.bit_weights, self.model = noisy_rate, bit_weights, model
        self.globals_first = globals_first
        self.with_ms_ssim, self.fitted, self.alone = with_ms_ssim, fitted, alone

    def bit_weight_at(self, quality: Tensor) -> Tensor | None:
        """Of quality codes float32 [B] in [0, 255], what `detail_pass` takes."""
        low, high = self.bit_weights
        if low == high == 0:
            return None
        return low + (high - low) * quality / MAX_QUALITY_CODE

    def forward(self, x: Tensor, quality: Tensor, layers: Tensor, noise: Tensor) -> Pass:
        """Encode and decode a batch.

        Args:
            x: float32 [B, 3, 16H, 16W] in [0, 1].
            quality: float32 [B], quality codes in [0, 255].
            layers: int64 [B], detail layers that are sent.
            noise: float32 [B, local_channels, H, W], uniform in (-0.5, 0.5).
        """
        t = self.model.tokenizer
        coded = self.coded(x, quality, layers, noise)
        target = coded.y.detach()
        spread = target.var((2, 3), keepdim=True).mean(1, keepdim=True) + 1e-3
        bootstrap = ((coded.y_hat - target).square() / spread).mean((1, 2, 3))
        # as pixels are clamped; what would lie beyond white or black costs nothing
        y_hat = held(coded.y_hat, LOUDEST)
        anchor_weights = t.anchor_weights(quality)
        x_hat = leaky_clamp(t.decoder(y_hat, anchor_weights, layers).float(), 0.0, 1.0)
        ms_ssim_loss = torch.zeros_like(bootstrap)
        if self.with_ms_ssim:
            with torch.autocast(x.device.type, enabled=False):  # differences of large squares
                ms_ssim_loss = 1 - ms_ssim(x, x_hat)
        return Pass(
            x_hat,
            (x_hat - x).square().mean((1, 2, 3)) * 255.0**2,
            ms_ssim_loss,
            coded.token_bits.mean((1, 2)),
            coded.detail_bits.sum((1, 2)) / (x.shape[2] * x.shape[3]),
            bootstrap,
        )

    def coded(self, x: Tensor, quality: Tensor, layers: Tensor, noise: Tensor) -> Coded:
        """Everything before the decoder; arguments are those of `forward`."""
        t = self.model.tokenizer
        local_encoder, global_encoder = t.encoders
        y = held(local_encoder(x).float(), LOUDEST)
        steps = torch.where(quality <= self.fitted, STEPS_BEFORE_DETAILS, 0)
        steps = torch.where(layers == 0, STEPS_ALONE, steps)
        alone, perhaps = self._without_details(len(x))
        z = t.fitted(y, global_encoder(y), steps, perhaps)
        z = z._replace(values=held(z.values, LOUDEST))
        integers = relaxed(z.values, z.levels, t.config.levels)
        bits_z = token_bits(self.model.prior(integers), z.levels, z.position)

        anchor_weights = t.anchor_weights(quality)
        given = [y, z.values, integers, quality, layers, noise, anchor_weights]
        order = None
        if alone is None:
            order = torch.argsort(layers, stable=True)
            given = [pixel_rows(g[order]) if g.ndim == 4 else g[order] for g in given]
            alone = int((layers == 0).sum())
        made = []
        if alone:  # the same for these as `detail_pass` makes of them
            made.append(t.predicted(given[1][:alone]))
        bits = torch.zeros_like(y[:alone, 0])
        if alone < len(x):
            detailed, more = self._detailed(*(g[alone:] for g in given))
            made, bits = [*made, detailed], torch.cat([bits, more])
        y_hat = torch.cat(made)
        if order is not None:
            back = torch.argsort(order)
            y_hat, bits = pixel_rows(y_hat[back]), bits[back]

        return Coded(y, y_hat, bits_z, bits, z.values)

    def _without_details(self, count: int) -> tuple[int | None, int | None]:
        """How many images at the beginning have no details, at least and at most, if that is so."""
        if self.alone:
            return count, count
        if self.globals_first is None:
            return None, None
        return math.floor(self.globals_first * count), math.ceil(self.globals_first * count)

    def _detailed(
        self,
        y: Tensor,
        values: Tensor,
        integers: Tensor,
        quality: Tensor,
        layers: Tensor,
        noise: Tensor,
        anchor_weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Local tokens that a decoder has, and bits of each: as `detail_pass` gives them."""
        t, scales = self.model.tokenizer, self.model.scales
        known = known_from_tokens(t, scales, values, integers, anchor_weights)
        sent = t.adapted(y, known.y_hat, anchor_weights, known.log_gain.exp())
        y_hat, bits, _ = detail_pass(
            t,
            scales,
            known,
            sent,
            layers,
            noise,
            bit_weight=self.bit_weight_at(quality),
            exact=not self.noisy_rate,
        )
        return y_hat, bits
