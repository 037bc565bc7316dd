"""Training by parts: what decoder and encoder share learns from kept tokens, all else is frozen.

Predictor, refiners, entropy parameters and prior; no pixel is computed. The error of local tokens
counts by what the decoder makes of it: its sensitivity to each channel, measured once.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from sbtcodec.entropy.prior import centred
from sbtcodec.entropy.token_rate import token_bits
from sbtcodec.grid import LATENT_STRIDE
from sbtcodec.latents.estimate import fast_bf16
from sbtcodec.models.config import CodecModel
from sbtcodec.rdo.soft_quantisation import detail_pass, known_from_tokens
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.tokenizer.model import Tokenizer
from sbtcodec.tokenizer.token_adapter import STEPS_ALONE, STEPS_BEFORE_DETAILS
from sbtcodec.training.data import batch
from sbtcodec.training.kept_tokens import Crops, computed, load, save
from sbtcodec.training.objective import draw, fitted_up_to, trade_of
from sbtcodec.training.state import Run

TOKENS = "tokens.safetensors"
VERSIONS = 4  # of each photograph
MEASURED = 4  # crops that sensitivities are measured on
MIDDLE = 128.0  # the quality code at which sensitivities are measured
NUDGE = 0.3  # steps
TOKEN_WEIGHT = 0.02  # of the prior, whose parameters learn from nothing else
PIXELS = LATENT_STRIDE**2  # of a latent


@torch.no_grad()
def sensitivities(model: CodecModel, x: Tensor, seed: int) -> Tensor:
    """Squared error of pixels (8-bit units, summed over a latent's area) for that of each channel.

    Args:
        model: its decoder and encoder.
        x: pictures float32 [B, 3, 16H, 16W] in [0, 1].
        seed: of the noise that is added to a channel.

    Returns:
        float32 [1, local_channels, 1, 1].
    """
    t = model.tokenizer
    y = t.encoders[0](x).float()
    weights = t.anchor_weights(torch.full((len(x),), MIDDLE, device=x.device))
    layers = torch.full((len(x),), t.config.layers, device=x.device)
    whole = t.decoder(y, weights, layers).float()
    steps = NUDGE / t.log_gains_at(weights).exp()
    generator = torch.Generator().manual_seed(seed)
    found = []
    for channel in range(y.shape[1]):
        noise = torch.randn(y[:, 0].shape, generator=generator).to(y.device)
        moved = y.clone()
        moved[:, channel] += noise * steps[:, channel]
        error = (t.decoder(moved, weights, layers).float() - whole).square().sum() * 255**2 / 3
        found.append(error / (moved - y).square().sum())
    return torch.stack(found).view(1, -1, 1, 1)


class PartsPass(nn.Module):
    """The loss of crops of kept tokens, differentiable for the shared networks."""

    sensitivity: Tensor

    def __init__(self, model: CodecModel, sensitivity: Tensor) -> None:
        """Wrap a model; nothing is copied."""
        super().__init__()
        self.model = model
        self.register_buffer("sensitivity", sensitivity, persistent=False)

    def error(self, y_hat: Tensor, y: Tensor) -> Tensor:
        """Squared error of pixels as far as a linear decoder makes it, 8-bit units: [B]."""
        return ((y_hat - y).square() * self.sensitivity).sum(1).mean((1, 2)) / PIXELS

    def globals_alone(self, y: Tensor, levels: Tensor) -> Tensor:
        """Error of what global tokens alone predict, [B]; arguments as in `details`."""
        t = self.model.tokenizer
        return self.error(t.predicted(t.fsq.to_values(levels.float())), y)

    def details(
        self, y: Tensor, levels: Tensor, quality: Tensor, layers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Error and bits per pixel of the detail layers, [B] each; the rate is of rounded symbols.

        Args:
            y: float32 [B, C, H, W].
            levels: int64 [B, dims, H / 2, W / 2].
            quality: float32 [B], codes in [0, 255].
            layers: int64 [B], detail layers that are sent.
        """
        t, scales = self.model.tokenizer, self.model.scales
        weights = t.anchor_weights(quality)
        integers = centred(levels, t.config.levels).float()
        values = t.fsq.to_values(levels.float())
        known = known_from_tokens(t, scales, values, integers, weights)
        with torch.no_grad():
            sent = t.adapted(y, known.y_hat.detach(), weights, known.log_gain.exp()).float()
        found, bits, _ = detail_pass(t, scales, known, sent, layers, None)
        return self.error(found, y), bits.mean((1, 2)) / PIXELS

    def token_bits(self, levels: Tensor) -> Tensor:
        """Bits of a global token, [B]."""
        counts = self.model.tokenizer.config.levels
        logits = self.model.prior(centred(levels, counts).float())
        return token_bits(logits, levels, levels.float()).mean((1, 2))


def chosen_levels(t: Tokenizer, y: Tensor, steps: Tensor) -> Tensor:
    """Levels of global tokens as files have them, as the predictor is by now.

    Args:
        t: the float networks.
        y: float32 [B, C, H, W].
        steps: int64 [B], of the adapters of global tokens; they do not grow.

    Returns:
        int64 [B, dims, H / 2, W / 2].
    """
    z = t.encoders[1](y)
    found = []
    for count in sorted(set(steps.tolist()), reverse=True):
        its = steps == count
        found.append(t.fitted(y[its], z[its], steps[its], count).levels)
    return torch.cat(found)


def parts_loss(run: Run, forward: PartsPass, crops: Crops, rank: int) -> Tensor:
    """The loss of the next step, and its parts added to the run's sums."""
    c, t = run.config, run.model.tokenizer
    _, count = c.large_crop
    quality, layers, _ = draw(run, count, LATENT_STRIDE * crops.side, rank)
    steps = torch.where(quality <= fitted_up_to(c), STEPS_BEFORE_DETAILS, 0)
    steps = torch.where(layers == 0, STEPS_ALONE, steps)
    order = (-steps).argsort(stable=True)  # those of global tokens alone come first
    quality, layers, steps = quality[order], layers[order], steps[order]
    alone = int((layers == 0).sum())
    y = crops.at(run.step, count).to(run.device)
    kind = run.device.type
    # in a context of its own: the next would take over weights that were cast without a gradient
    with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
        levels = chosen_levels(t, y, steps)
    lmbda, weight = trade_of(c, quality[alone:])
    with torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
        mse_globals = forward.globals_alone(y[:alone], levels[:alone]) if alone else y.new_zeros(0)
        mse, bpp = forward.details(y[alone:], levels[alone:], quality[alone:], layers[alone:])
        bits = forward.token_bits(levels).mean()
    detail = (weight * (lmbda * mse + bpp)).sum()
    loss = (detail + c.lmbda_globals * mse_globals.sum()) / count + TOKEN_WEIGHT * bits
    run.note(
        {
            "loss": loss,
            "token_bits": bits,
            "mse_globals": mse_globals.sum() / max(1, alone),
            "mse_detail": mse.mean(),
            "bpp_detail": bpp.mean(),
        }
    )
    return loss


def part_losses(
    run: Run, images: list[NDArray[np.uint8]], out: Path, rank: int, world: int
) -> Iterator[tuple[Tensor, int]]:
    """The loss of each step, and the pixels that its crops stand for.

    Local tokens are kept in `out`; a run that goes on reads them there.
    """
    c, t = run.config, run.model.tokenizer
    encoder = hashlib.sha256()
    for name, value in sorted(run.model.state_dict().items()):
        if not name.startswith(c.only):
            encoder.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    path, digest = out / TOKENS, f"{encoder.hexdigest()} {len(images)} {c.seed}"
    kept = load(path, digest) if rank == 0 else None
    if rank == 0 and kept is None:
        kept = computed(t, images, VERSIONS, c.seed)
        save(path, kept, digest)
    if world > 1:
        dist.barrier()  # until the first rank has them
        kept = kept or load(path, digest)
    assert kept is not None
    side, count = c.large_crop
    x = pixel_rows(batch(images, side, MEASURED, (c.seed, 0, 0)).float() / 255)
    forward = PartsPass(run.model, sensitivities(run.model, x.to(run.device), c.seed))
    crops = Crops(kept, side // LATENT_STRIDE, (c.seed, rank))
    while True:
        yield parts_loss(run, forward, crops, rank), count * side * side
