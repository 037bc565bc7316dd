"""What one step of training minimises: the draws that it is shown, and the loss."""

import math

import torch
from torch import Tensor

from sbtcodec.rdo.ms_ssim import mixed
from sbtcodec.rdo.token_search import WORTH
from sbtcodec.training.config import TrainingConfig
from sbtcodec.training.state import Run
from sbtcodec.training.step import Pass

FLOOR = 60.0  # squared error below which an image's logarithm hardly gains any more


def loss_of(run: Run, out: Pass, quality: Tensor, layers: Tensor) -> Tensor:
    """The training loss, and its parts added to the run's sums."""
    c = run.config
    mse = out.mse
    is_global = layers == 0
    share = torch.where(is_global, c.ms_ssim_share_globals, c.ms_ssim_share)
    distortion = mixed(mse, out.ms_ssim_loss, share)
    low, high = math.log(c.lmbda_min), math.log(c.lmbda_max)
    lmbda = torch.exp(low + (high - low) * quality / 255)
    weight = (lmbda / c.lmbda_globals).pow(-c.balance)
    detail = weight * (lmbda * distortion + out.detail_bpp)
    coarse = c.log_globals * torch.log(distortion + FLOOR) if c.log_globals else distortion
    base = c.lmbda_globals * coarse + c.bootstrap_weight * out.bootstrap
    token_bpp = out.token_bits / 1024  # one token per 32x32 pixels
    loss = torch.where(is_global, base, detail) + run.token_weight * token_bpp
    n = is_global.sum().clamp_min(1)
    m = (~is_global).sum().clamp_min(1)
    parts = {
        "loss": loss.mean(),
        "token_bits": out.token_bits.mean(),
        "mse_globals": (mse * is_global).sum() / n,
        "ms_ssim_loss": out.ms_ssim_loss.mean(),
        "bootstrap": (out.bootstrap * is_global).sum() / n,
        "mse_detail": (mse * ~is_global).sum() / m,
        "bpp_detail": (out.detail_bpp * ~is_global).sum() / m,
    }
    for key, value in parts.items():
        run.sums.setdefault(key, []).append(value.item())
    # hold the token rate: the weight follows the excess, slowly
    excess = run.sums["token_bits"][-1] - c.target_token_bits
    run.token_weight = min(30.0, max(0.05, run.token_weight * math.exp(0.002 * excess)))
    return loss.mean()


def fitted_up_to(config: TrainingConfig) -> float:
    """Quality code up to which details profit from fitted tokens; see `details_profit`."""
    low, high = math.log(config.lmbda_min), math.log(config.lmbda_max)
    return 255 * (math.log(WORTH * config.lmbda_globals) - low) / (high - low)


def draw(run: Run, count: int, side: int, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Qualities, layer counts and noise of one step; they depend on seed, rank and step alone."""
    c, t = run.config, run.model.config.tokenizer
    g = torch.Generator().manual_seed((c.seed * 1_000_003 + rank) * 10_000_019 + run.step)
    quality = torch.rand(count, generator=g) * 255
    kind = (torch.arange(count) + torch.rand(1, generator=g)) / count  # stratified
    some = torch.randint(1, max(2, t.layers), (count,), generator=g)
    layers = torch.where(kind < c.globals_share + c.partial_share, some, t.layers)
    layers = torch.where(kind < c.globals_share, 0, layers)
    noise = torch.rand(count, t.local_channels, side // 16, side // 16, generator=g) - 0.5
    return quality.to(run.device), layers.to(run.device), noise.to(run.device)
