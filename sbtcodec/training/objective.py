"""What one step of training minimises: the draws that it is shown, and the loss."""

import math

import torch
from torch import Tensor

from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.prices import WORTH
from sbtcodec.rdo.ms_ssim import mixed
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.training.config import TrainingConfig
from sbtcodec.training.state import Run
from sbtcodec.training.step import Pass, TrainingPass

TOKEN_PACE = 0.002  # of the logarithm of the token weight, for a bit of excess in a step
TOKEN_WEIGHTS = (0.05, 30.0)
FLOOR = 60.0  # squared error below which an image's logarithm hardly gains any more


def parts_of(
    c: TrainingConfig, out: Pass, quality: Tensor, layers: Tensor, token_weight: float | Tensor
) -> dict[str, Tensor]:
    """The training loss, and what it is made of: means of a batch, float32 of no dimensions.

    Args:
        c: the recipe.
        out: of the forward pass, B images.
        quality: float32 [B], quality codes in [0, 255].
        layers: int64 [B], detail layers that are sent.
        token_weight: weight of the token rate.
    """
    mse = out.mse
    is_global = layers == 0
    share = torch.where(is_global, c.ms_ssim_share_globals, c.ms_ssim_share)
    distortion = mixed(mse, out.ms_ssim_loss, share)
    lmbda, weight = trade_of(c, quality)
    detail = weight * (lmbda * distortion + out.detail_bpp)
    coarse = c.log_globals * torch.log(distortion + FLOOR) if c.log_globals else distortion
    base = c.lmbda_globals * coarse + c.bootstrap_weight * out.bootstrap
    token_bpp = out.token_bits / 1024  # one token per 32x32 pixels
    loss = torch.where(is_global, base, detail) + token_weight * token_bpp
    n = is_global.sum().clamp_min(1)
    m = (~is_global).sum().clamp_min(1)
    return {
        "loss": loss.mean(),
        "token_bits": out.token_bits.mean(),
        "mse_globals": (mse * is_global).sum() / n,
        "ms_ssim_loss": out.ms_ssim_loss.mean(),
        "bootstrap": (out.bootstrap * is_global).sum() / n,
        "mse_detail": (mse * ~is_global).sum() / m,
        "bpp_detail": (out.detail_bpp * ~is_global).sum() / m,
    }


def loss_of(run: Run, out: Pass, quality: Tensor, layers: Tensor) -> Tensor:
    """The training loss, and its parts added to the run's sums."""
    parts = parts_of(run.config, out, quality, layers, run.token_weight)
    run.note(parts)
    # hold the token rate: the weight follows the excess, slowly
    excess = run.sums["token_bits"][-1] - run.config.target_token_bits
    low, high = TOKEN_WEIGHTS
    run.token_weight = min(high, max(low, run.token_weight * math.exp(TOKEN_PACE * excess)))
    return parts["loss"]


def trade_of(c: TrainingConfig, quality: Tensor) -> tuple[Tensor, Tensor]:
    """Of quality codes float32 [B] in [0, 255]: lambda, and the weight of the loss, [B] each."""
    low, high = math.log(c.lmbda_min), math.log(c.lmbda_max)
    lmbda = torch.exp(low + (high - low) * quality / 255)
    return lmbda, (lmbda / c.lmbda_globals).pow(-c.balance)


def forward_of(
    model: CodecModel, config: TrainingConfig, *, globals_first: bool = False
) -> TrainingPass:
    """The forward pass of a model that computes what the recipe's loss needs.

    With `globals_first`, batches are those of `drawn`: see `TrainingPass`.
    """
    return TrainingPass(
        model,
        with_ms_ssim=config.ms_ssim_share > 0,
        fitted=fitted_up_to(config),
        alone=config.globals_share >= 1,
        noisy_rate=config.noisy_rate,
        bit_weights=config.bit_weights,
        globals_first=config.globals_share if globals_first else None,
    )


def fitted_up_to(config: TrainingConfig) -> float:
    """Quality code up to which details profit from fitted tokens; see `details_profit`."""
    low, high = math.log(config.lmbda_min), math.log(config.lmbda_max)
    return 255 * (math.log(WORTH * config.lmbda_globals) - low) / (high - low)


def draw(run: Run, count: int, side: int, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Qualities, layer counts and noise of one step; they depend on seed, rank and step alone."""
    g = torch.Generator().manual_seed((run.config.seed * 1_000_003 + rank) * 10_000_019 + run.step)
    quality, layers, noise = drawn(run.config, run.model.config.tokenizer, count, side, g)
    return quality.to(run.device), layers.to(run.device), noise.to(run.device)


def drawn(
    c: TrainingConfig, t: TokenizerConfig, count: int, side: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """What the forward pass takes beside crops, made on the generator's device.

    Args:
        c: the recipe.
        t: sizes of the float networks.
        count: crops.
        side: theirs, in pixels.
        generator: of the numbers.

    Returns:
        Quality codes float32 [count] in [0, 255); layers int64 [count]; noise float32
        [count, local_channels, side / 16, side / 16] in [-0.5, 0.5).
    """
    g, at = generator, generator.device
    quality = torch.rand(count, generator=g, device=at) * 255
    first = torch.rand(1, generator=g, device=at)
    kind = (torch.arange(count, device=at) + first) / count  # stratified
    some = torch.randint(1, max(2, t.layers), (count,), generator=g, device=at)
    layers = torch.where(kind < c.globals_share + c.partial_share, some, t.layers)
    layers = torch.where(kind < c.globals_share, 0, layers)
    shape = (count, t.local_channels, side // 16, side // 16)
    return quality, layers, torch.rand(shape, generator=g, device=at) - 0.5
