"""Fine channels begin as the best linear ones: what is left of pixels, in as few numbers.

Reduced-rank regression: of what encoder and decoder leave of a square's pixels, the part that is
linear in the pixels and in the square's local tokens, and of that the principal components.
"""

import math

import torch
from torch import Tensor

from sbtcodec.entropy.integer_net import IntegerConv
from sbtcodec.entropy.units import SCALE_MIN, SCALE_STEP, SUM_ONE, SUMS_PER_INDEX
from sbtcodec.grid import LATENT_STRIDE
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.tokenizer.layers import Pointwise
from sbtcodec.training.config import TrainingConfig
from sbtcodec.training.state import Run

RIDGE = 1e-3  # of the mean variance
CROPS = 8  # at once
# Bits that squared error of a step is worth where rate and distortion are in balance, as measured.
BALANCE = 7.0


@torch.no_grad()
def set_fine_channels(model: CodecModel, x: Tensor, config: TrainingConfig) -> None:
    """Set encoder, decoder, gains and entropy parameters of the fine channels, in place.

    Args:
        model: its fine channels are fresh, everything else has learned.
        x: crops to measure on, float32 [B, 3, H, W] in [0, 1].
        config: says what errors cost, and so how large steps are.
    """
    t = model.tokenizer
    c = t.config
    encoder, channels = t.encoders[0], t.decoder.fine_channels
    assert encoder.fine_channels is not None
    assert channels is not None
    given, left = _measured(model, x)
    mean, rest = given.mean(0), left.mean(0)
    f, e = given - mean, left - rest
    covariance = f.T @ f / len(f)
    ridge = (
        RIDGE * covariance.diagonal().mean() * torch.eye(len(f.T), dtype=f.dtype, device=f.device)
    )
    linear = (e.T @ f / len(f)) @ torch.linalg.inv(covariance + ridge)
    _, vectors = torch.linalg.eigh(linear @ covariance @ linear.T)
    basis = vectors[:, -c.fine_channels :].flip(1)  # [3 * 16 * 16, fine channels]
    weight = basis.T @ linear
    of_tokens = encoder.fine_channels.of_tokens
    of_pixels, to_pixels = encoder.fine_channels.of_pixels[-1], channels[0]
    assert isinstance(of_pixels, Pointwise)
    assert isinstance(to_pixels, Pointwise)
    pixels = 3 * LATENT_STRIDE**2
    of_pixels.weight.copy_(weight[:, :pixels])
    of_tokens.weight.copy_(weight[:, pixels:])
    of_pixels.bias.zero_()
    of_tokens.bias.copy_(basis.T @ rest - weight @ mean)
    to_pixels.weight.copy_(basis)
    to_pixels.bias.zero_()
    # The finest step costs as much in errors as it should; the others follow the root of lambda.
    error = 255**2 / len(basis) * LATENT_STRIDE**2  # of a square, for one unit of a channel
    finest = math.log(BALANCE / (config.lmbda_max * error)) / 2
    falls = 0.5 * math.log(config.lmbda_max / config.lmbda_min)
    rise = torch.linspace(-falls, 0, c.gain_anchors, device=x.device)
    t.log_gains[:, c.coarse_channels :] = (rise - finest)[:, None]
    deviation = (f @ weight.T).std(0).clamp_min(1e-6)
    sums = deviation.log().sub(math.log(SCALE_MIN)) / SCALE_STEP * SUMS_PER_INDEX / SUM_ONE
    for number in range(2 * c.coarse_layers, t.steps):
        group = c.group_slice(number // 2)
        head = model.scales.heads[number]
        assert isinstance(head, IntegerConv)
        head.weight.zero_()
        head.bias[: group.stop - group.start] = sums[
            group.start - c.coarse_channels : group.stop - c.coarse_channels
        ].float()


def _measured(model: CodecModel, x: Tensor) -> tuple[Tensor, Tensor]:
    """Of each square: pixels less 1/2 and coarse local tokens; and what the decoder leaves.

    float64 [N, 3 * 16 * 16 + coarse channels] and [N, 3 * 16 * 16], channels before places.
    """
    t = model.tokenizer
    local_encoder = t.encoders[0]
    quality = torch.full((CROPS,), 255.0, device=x.device)
    given, left = [], []
    for part in torch.split(x, CROPS):
        weights = t.anchor_weights(quality[: len(part)])
        layers = torch.full((len(part),), t.config.layers, device=x.device)
        y = local_encoder(part)[:, : t.config.coarse_channels]
        none = torch.zeros_like(y[:, :1]).expand(-1, t.config.fine_channels, -1, -1)
        error = part - t.decoder(torch.cat([y, none], 1), weights, layers)
        squares, errors = (
            torch.nn.functional.pixel_unshuffle(p.contiguous(), LATENT_STRIDE)
            for p in (part - 0.5, error)
        )
        rows = torch.cat([squares, y], 1)
        given.append(rows.permute(0, 2, 3, 1).flatten(0, 2).double())
        left.append(errors.permute(0, 2, 3, 1).flatten(0, 2).double())
    return torch.cat(given), torch.cat(left)


def set_fine_channels_of(run: Run, x: Tensor) -> None:
    """`set_fine_channels` of the model of a run that has not begun, averages included."""
    set_fine_channels(run.model, x, run.config)
    run.average_anew()
