"""More time for a smaller and better file: the encoder fits the local tokens to the picture.

Networks that encode any picture in one go are a compromise. Here the local tokens of one picture
follow the gradient of rate and distortion through the whole decoder (Campos et al., CVPR workshops
2019; Yang et al., arXiv 2006.04240). The format and the decoder do not change.

The gradient at what is decoded of y is mostly the rounding error of each symbol itself, which is as
small as it can be already. Its part is the error times the curvature of the distortion, so it is
subtracted; what remains is what the neighbours' errors, later predictions and the rate ask for. The
curvature also makes the step a Newton step, so that few suffice. It differs tenfold between
channels, qualities and pictures, so it is measured. Where many tokens are zeros that would each
profit from another symbol, they would all correct the same error: a step that costs more is taken
back, and the next is half as long.
Letters: C local channels, H W rows and columns of the padded image's latents.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.entropy.entropy_parameters import EntropyParameters
from sbtcodec.entropy.integer_net import copied_to
from sbtcodec.entropy.prior import centred
from sbtcodec.entropy.step_size import log_gains_of
from sbtcodec.grid import LATENT_STRIDE, LATENTS_PER_TOKEN, Box, blocks
from sbtcodec.latents.estimate import Estimate
from sbtcodec.models.release import Release
from sbtcodec.rdo.ms_ssim import distortion
from sbtcodec.rdo.soft_quantisation import Known, detail_pass
from sbtcodec.runtime import modes
from sbtcodec.tokenizer.layers import planes
from sbtcodec.tokenizer.model import Tokenizer

WHOLE_LATENTS = 64  # a side up to this is searched whole; about 1 GB for 64 x 64 latents
WINDOW_LATENTS, HALO_LATENTS = (
    56,
    4,
)  # even, so that checkerboards of windows are those of the whole
# Bits per squared step, the least that is believed, at quality 0 and from STEADY_QUALITY on; theory
# of high rates says 12 / ln 2 = 17.
LEAST_CURVATURE = 20.0, 12.0
STEADY_QUALITY = 153  # code
PROBED_SHARE, PROBE = 0.1, 0.5  # of the tokens, steps: how curvature is measured
MS_SSIM_SHARE = 0.4  # share of the distortion that is 1 - MS-SSIM
LARGEST_MOVE = 0.2  # steps
PACE = 0.5  # of a Newton step, at first; falls linearly
TOLERANCE = 1.003  # costs up to this are no reason to go back


def searched_latents(
    release: Release, rgb: NDArray[np.uint8], y: Tensor, levels: Tensor, quality: int, steps: int
) -> Tensor:
    """Local tokens that cost less for the picture that they give.

    Args:
        release: the model.
        rgb: the picture, uint8 [height, width, 3].
        y: its local tokens, float32 [1, C, H, W].
        levels: levels of its global tokens, int64 [1, dims, H / 2, W / 2], on the CPU.
        quality: code, 0..255.
        steps: of gradient descent.

    Returns:
        Local tokens of the same shape.
    """
    with modes.differentiation(y.device):
        return _searched_latents(release, rgb, y, levels, quality, steps)


def _searched_latents(
    release: Release, rgb: NDArray[np.uint8], y: Tensor, levels: Tensor, quality: int, steps: int
) -> Tensor:
    known = _known(release, levels, quality, y.device)
    costs = torch.from_numpy(release.tables.costs).to(y.device)
    scales = copied_to(release.model.scales, y.device)
    anchor_weights = release.anchor_weights(quality)[None].to(y.device)
    y = y.clone()  # an inference tensor cannot take part in a gradient
    whole = Box(0, 0, *y.shape[2:])
    side = WHOLE_LATENTS if max(whole.height, whole.width) <= WHOLE_LATENTS else WINDOW_LATENTS
    for block in blocks(whole, side):
        seen = block.grown(HALO_LATENTS, whole)
        at = (..., seen.rows, seen.columns)
        own = block.seen_from(seen)
        pixels = rgb[seen.times(LATENT_STRIDE).rows, seen.times(LATENT_STRIDE).columns]
        inside = torch.zeros_like(y[at][:, :1])
        inside[..., own.rows, own.columns] = 1
        here = known._replace(
            features=known.features[at],
            y_hat=known.y_hat[at],
            scale_features=known.scale_features[at],
        )
        window = _Window(
            release.model.tokenizer,
            scales,
            here,
            planes(pixels, y.device),
            anchor_weights,
            inside,
            costs,
            release.lmbda(quality),
            release.bit_weight(quality),
            quality,
        )
        y[at] = window.descend(y[at], steps)
    return y


@torch.no_grad()
def _known(release: Release, levels: Tensor, quality: int, device: torch.device) -> Known:
    """What the decoder knows of the whole picture before its first detail layer."""
    t, scales = release.model.tokenizer, release.model.scales
    tokens = Box(0, 0, *levels.shape[2:])
    area = tokens.times(LATENTS_PER_TOKEN)
    estimate = Estimate(release, t, quality, levels, tokens, area, device, bf16=False)
    log_gains = torch.from_numpy(log_gains_of(release.gain_offsets[quality]))
    return Known(
        estimate.features,
        estimate.y_hat,
        scales.features(centred(levels, t.config.levels).float()).to(device),
        torch.from_numpy(release.integer_anchor_weights[quality])
        .float()[None, :, None, None]
        .to(device),
        log_gains.float()[None, :, None, None].to(device),
    )


@dataclass(frozen=True)
class _Window:
    """A part of the picture that is searched at once.

    Attributes:
        tokenizer: the float networks.
        scales: the network that picks the tables, on the same device.
        known: what the decoder knows before the details, of this part.
        x: its pixels without padding, float32 [1, 3, up to 16H, up to 16W] in [0, 1].
        anchor_weights: the quality, float32 [1, anchors].
        inside: 1 where local tokens may move, 0 in the halo: float32 [1, 1, H, W].
        costs: of `DetailTables`.
        lmbda: bits per pixel for one unit of squared error.
        bit_weight: of the choice of symbols.
        quality: code, 0..255.
    """

    tokenizer: Tokenizer
    scales: EntropyParameters
    known: Known
    x: Tensor
    anchor_weights: Tensor
    inside: Tensor
    costs: Tensor
    lmbda: float
    bit_weight: float
    quality: int

    def descend(self, y: Tensor, steps: int) -> Tensor:
        """The best of the local tokens [1, C, H, W] found in so many steps, `y` among them."""
        gain = self.known.log_gain.exp()
        moved = torch.zeros_like(y)  # in steps of quantisation
        best = kept = direction = curvature = moved
        least, pace = math.inf, PACE
        for step in range(steps + 1):
            moved = moved.detach().requires_grad_(True)
            y_hat, relaxed, cost = self._costs(y + moved / gain)
            if cost < least:
                best, least = moved.detach(), cost
            if step == steps:
                break
            if step == 0:
                curvature = self._curvature(y_hat.detach())
            if cost < least * TOLERANCE:
                (gradient,) = torch.autograd.grad(relaxed, moved)
                kept = moved.detach()
                rounding = (y_hat.detach() - y) * gain - kept
                direction = (rounding - gradient / curvature) * self.inside
            else:
                pace /= 2
            rate = pace * (1 - step / (steps + 1))
            moved = kept + (rate * direction).clamp(-LARGEST_MOVE, LARGEST_MOVE)
        return y + best / gain

    def _curvature(self, y_hat: Tensor) -> Tensor:
        """Bits per squared step that an error of each channel costs: float32 [1, C, 1, 1].

        It is that of a tenth of the tokens moved at once, at random (Hutchinson's estimator, by
        differences), and no less than LEAST_CURVATURE.
        """
        gain = self.known.log_gain.exp()
        drawn = np.random.default_rng(0).random(y_hat.shape, np.float32) / PROBED_SHARE
        signs = np.where(drawn < 0.5, -PROBE, PROBE) * (drawn < 1)
        moved = torch.from_numpy(signs.astype(np.float32)).to(y_hat.device)  # always the same
        before, after = (self._gradient(y_hat + by / gain) for by in (-moved, moved))
        bent = ((after - before) / gain * moved).sum((2, 3), keepdim=True)
        squares = moved.square().sum((2, 3), keepdim=True).clamp_min(PROBE**2)
        low, high = LEAST_CURVATURE
        least = low + (high - low) * min(1.0, self.quality / STEADY_QUALITY)
        return (bent / (2 * squares)).abs().clamp_min(least)

    def _gradient(self, y_hat: Tensor) -> Tensor:
        """Of the distortion in bits, at y_hat."""
        y_hat = y_hat.requires_grad_(True)
        return torch.autograd.grad(self._distortion(y_hat), y_hat)[0]

    def _distortion(self, y_hat: Tensor) -> Tensor:
        """Of the decoded picture, in bits."""
        t = self.tokenizer
        layers = torch.tensor([t.config.layers], dtype=torch.int64, device=y_hat.device)
        height, width = self.x.shape[2:]
        x_hat = t.decoder(y_hat, self.anchor_weights, layers)[:, :, :height, :width].float()
        return self.lmbda * distortion(self.x, x_hat.clamp(0, 1), MS_SSIM_SHARE)

    def _costs(self, y: Tensor) -> tuple[Tensor, Tensor, float]:
        """y_hat, the cost in bits that has a gradient, and the cost as it would be coded."""
        t = self.tokenizer
        layers = torch.tensor([t.config.layers], dtype=torch.int64, device=y.device)
        noise = torch.zeros_like(y)
        bit_weight = torch.full((1,), self.bit_weight, device=y.device) if self.bit_weight else None
        y_hat, bits, coded = detail_pass(
            t,
            self.scales,
            self.known,
            y,
            layers,
            noise,
            self.costs,
            bit_weight,
            exact=True,
            search=True,
        )
        cost = self._distortion(y_hat)
        return y_hat, bits.sum() + cost, float(coded.sum() + cost.detach())
