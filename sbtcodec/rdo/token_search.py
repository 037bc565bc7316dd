"""More time for a better base layer: the encoder fits the global tokens to the picture.

The global tokens of one picture follow the gradient of rate and distortion, as if the picture were
sent without details (after Campos et al., CVPR workshops 2019). Where details follow, they cost
more than that saves (`benchmarks/experiments.md`).

A gradient through the decoder costs as much as ten through the predictor, so the distortion is a
parabola in between: a round asks the decoder once which local tokens it would rather have, and the
global tokens then take several straight-through steps towards predicting those.
Letters: d dimensions of a global token, h w rows and columns of the padded image's tokens.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.entropy.integer_net import copied_to
from sbtcodec.entropy.prior import Prior
from sbtcodec.entropy.token_rate import relaxed, token_bits
from sbtcodec.grid import LATENT_STRIDE, LATENTS_PER_TOKEN, Box, blocks
from sbtcodec.models.release import Release
from sbtcodec.rdo.ms_ssim import distortion
from sbtcodec.runtime import modes
from sbtcodec.runtime.tensors import round_ste
from sbtcodec.tokenizer.config import WINDOW
from sbtcodec.tokenizer.layers import pixel_rows, planes
from sbtcodec.tokenizer.model import Tokenizer

STEPS = 6  # of a round
WHOLE_TOKENS = 4 * WINDOW  # a side up to this is searched whole
BLOCK_TOKENS, HALO_TOKENS = 3 * WINDOW, WINDOW  # else; whole windows of attention
DECODED_TOKENS = 1  # around a block: what the decoder sees of its neighbours
# Bits per squared step of the local tokens; twice that of small errors, since these are large.
CURVATURE = 40.0
MS_SSIM_SHARE = 0.1  # share of the distortion that is 1 - MS-SSIM
RATE = 0.2  # levels that a step may move at first
DECAYS = 0.9, 0.95  # of Adam's means
SMALLEST_SIZE = 1e-8  # of a gradient, added to what Adam divides by


def lmbda_of_globals(release: Release) -> float:
    """Bits per pixel that a model gives for a unit of squared error without details."""
    return release.prices.lmbda_of_globals


def searched_tokens(
    release: Release, rgb: NDArray[np.uint8], levels: Tensor, rounds: int, device: torch.device
) -> Tensor:
    """Global tokens that cost less for the picture that they give alone.

    Args:
        release: the model; its tokenizer is on `device`.
        rgb: the picture, uint8 [height, width, 3].
        levels: of its global tokens, int64 [1, d, h, w], on the CPU.
        rounds: how often the decoder is asked.
        device: where the float networks run.

    Returns:
        Levels of the same shape, on the CPU.
    """
    with modes.differentiation(device):
        return _searched_tokens(release, rgb, levels, rounds, device)


def _searched_tokens(
    release: Release, rgb: NDArray[np.uint8], levels: Tensor, rounds: int, device: torch.device
) -> Tensor:
    lmbda = lmbda_of_globals(release)
    nearest = min(range(256), key=lambda code: abs(math.log(release.lmbda(code) / lmbda)))
    curvature = CURVATURE * release.gains(nearest)[None, :, None, None].to(device) ** 2
    prior = copied_to(release.model.prior, device)
    anchor_weights = release.anchor_weights(0)[None].to(device)
    levels = levels.to(device, copy=True)
    whole = Box(0, 0, *levels.shape[2:])
    side = WHOLE_TOKENS if max(whole.height, whole.width) <= WHOLE_TOKENS else BLOCK_TOKENS
    for block in blocks(whole, side):
        seen = block.grown(HALO_TOKENS, whole)
        decoded = block.grown(DECODED_TOKENS, whole)
        pixels = decoded.times(LATENTS_PER_TOKEN * LATENT_STRIDE)
        window = _Window(
            release.model.tokenizer,
            prior,
            decoded.seen_from(seen).times(LATENTS_PER_TOKEN),
            planes(rgb[pixels.rows, pixels.columns], device),
            anchor_weights,
            curvature,
            lmbda,
        )
        inside = block.seen_from(seen)
        found = window.descend(levels[:, :, seen.rows, seen.columns], inside, rounds)
        levels[:, :, block.rows, block.columns] = found[:, :, inside.rows, inside.columns]
    return levels.cpu()


@dataclass(frozen=True)
class _Window:
    """A part of the picture whose tokens are searched at once.

    Attributes:
        tokenizer: the float networks.
        prior: of the tokens, on the same device.
        latents: those that are decoded, counted from the first latent that is seen.
        x: their pixels without padding, float32 [1, 3, up to 16H, up to 16W] in [0, 1].
        anchor_weights: any quality, float32 [1, anchors]; without details it is not used.
        curvature: bits per squared unit of each local channel, float32 [1, C, 1, 1].
        lmbda: bits per pixel for one unit of squared error.
    """

    tokenizer: Tokenizer
    prior: Prior
    latents: Box
    x: Tensor
    anchor_weights: Tensor
    curvature: Tensor
    lmbda: float

    def descend(self, levels: Tensor, own: Box, rounds: int) -> Tensor:
        """The best tokens found, the given ones among them.

        Args:
            levels: of what is seen, int64 [1, d, h, w].
            own: the tokens that may move.
            rounds: how often the decoder is asked.
        """
        top = self.tokenizer.fsq.counts - 1
        position = levels.float().requires_grad_()
        inside = torch.zeros_like(position[:, :1])
        inside[..., own.rows, own.columns] = 1
        mean, square = torch.zeros_like(position), torch.zeros_like(position)
        best, least = levels, math.inf
        steps = rounds * STEPS
        for step in range(steps + 1):
            y_hat, bits, rounded = self._predict(position)
            if step % STEPS == 0:
                cost, wanted = self._ask(y_hat.detach())
                if cost + bits.item() < least:
                    best, least = rounded, cost + bits.item()
            if step == steps:
                break
            error = 0.5 * (self.curvature * (y_hat - wanted).square()).sum()
            (gradient,) = torch.autograd.grad(bits + error, position)
            # Adam, written out: torch's would run the hooks that a program has for its optimisers
            gradient = gradient * inside
            mean.lerp_(gradient, 1 - DECAYS[0])
            square.mul_(DECAYS[1]).addcmul_(gradient, gradient, value=1 - DECAYS[1])
            bias, square_bias = (1 - decay ** (step + 1) for decay in DECAYS)
            size = (square.sqrt() / square_bias**0.5).add_(SMALLEST_SIZE)
            rate = RATE * (1 - step / steps)
            with torch.no_grad():
                position.addcdiv_(mean, size, value=-rate / bias)
                position.clamp_(torch.zeros_like(top), top)
        return best

    def _predict(self, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of unrounded levels: local tokens of what is decoded, bits of all tokens, levels."""
        t = self.tokenizer
        levels = position.detach().round().long()
        values = t.fsq.to_values(round_ste(position))
        known = relaxed(values, levels, t.config.levels)
        bits = token_bits(self.prior(known), levels, position).sum()
        y_hat = t.predicted_alone(pixel_rows(values))
        return y_hat[..., self.latents.rows, self.latents.columns], bits, levels

    def _ask(self, y_hat: Tensor) -> tuple[float, Tensor]:
        """The decoder's cost in bits, and the local tokens with the least by its parabola."""
        y_hat = y_hat.requires_grad_(True)
        none = torch.tensor([0], dtype=torch.int64, device=y_hat.device)
        height, width = self.x.shape[2:]
        x_hat = self.tokenizer.decoder_alone(pixel_rows(y_hat), self.anchor_weights, none)
        x_hat = x_hat[:, :, :height, :width].float().clamp(0, 1)
        cost = self.lmbda * distortion(self.x, x_hat, MS_SSIM_SHARE)
        (gradient,) = torch.autograd.grad(cost, y_hat)
        return cost.item(), (y_hat - gradient / self.curvature).detach()
