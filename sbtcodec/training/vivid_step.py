"""One step of training the vivid look: what the decoder is shown, and updates of both networks."""

import torch
from torch import Tensor

from sbtcodec.models.release import Release
from sbtcodec.rdo.soft_symbols import leaky_clamp
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.tokenizer.layers import channels_last
from sbtcodec.training.config import SYMBOLS
from sbtcodec.training.objective import forward_of
from sbtcodec.training.state import descend, follow
from sbtcodec.training.step import TrainingPass
from sbtcodec.training.vivid_losses import (
    VggFeatures,
    feature_distance,
    fold_traces,
    judged_wrongly,
)
from sbtcodec.training.vivid_state import VividRun, VividTraining


class Crops:
    """What the decoder is shown of crops: as files have them, at the qualities of a step."""

    def __init__(self, release: Release, recipe: VividTraining, device: torch.device) -> None:
        """Take the frozen networks of a release."""
        self.release, self.recipe, self.device = release, recipe, device
        self.tokenizer = channels_last(release.model.tokenizer.to(device))
        self.coding: TrainingPass = forward_of(release.model, SYMBOLS)

    @torch.no_grad()
    def shown(self, x: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Code crops.

        Args:
            x: float32 [B, 3, H, W] in [0, 1].
            step: decides qualities and layers, with the seed.

        Returns:
            y_hat float32 [B, local_channels, H / 16, W / 16], anchor weights, layers int64 [B],
            and x_hat float32 [B, 3, H, W] of the faithful look, clamped.
        """
        c, count = self.recipe, len(x)
        rng = torch.Generator().manual_seed(c.seed * 10_000_019 + step)
        code = (torch.rand(count, generator=rng) ** 1.5 * c.highest_code).floor()
        alone = torch.rand(count, generator=rng) < c.alone_share
        t = self.tokenizer
        layers = torch.where(alone, 0, t.config.layers).to(self.device)
        code = code.to(self.device)
        noise = x.new_zeros(count, t.config.local_channels, x.shape[2] // 16, x.shape[3] // 16)
        # frozen integer networks are exact: in float32
        y_hat = self.coding.coded(x, code, layers, noise).y_hat
        weights = t.anchor_weights(code)
        faithful = t.decoder(y_hat, weights, layers).float().clamp(0, 1)
        return y_hat, weights, layers, faithful


def update(
    run: VividRun,
    x: Tensor,
    shown: tuple[Tensor, Tensor, Tensor, Tensor],
    features: VggFeatures,
) -> dict[str, float]:
    """One step of both networks.

    Args:
        run: is changed.
        x: crops, float32 [B, 3, H, W] in [0, 1].
        shown: of `Crops.shown`.
        features: of the trunk.

    Returns:
        What the losses were, by name.

    Raises:
        WeightsError: a gradient is not finite.
    """
    c, kind = run.recipe, run.device.type
    y_hat, weights, layers, faithful = shown
    bf16 = fast_bf16(kind)
    decoder, discriminator = run.decoder, run.discriminator
    with torch.autocast(kind, torch.bfloat16, enabled=bf16):
        made = decoder.model(y_hat, weights, layers)
    made = leaky_clamp(made.float(), 0.0, 1.0)
    with torch.no_grad():
        wanted = features(x)
    parts = {
        "vgg": feature_distance(features(made), wanted),
        "mse": (made - x).square().mean(),
        "folds": fold_traces(made, x),
    }
    loss = c.perceptual * parts["vgg"] + c.squared_error * parts["mse"] + c.folds * parts["folds"]
    if run.progress >= c.adversarial_from:
        discriminator.model.requires_grad_(requires_grad=False)
        with torch.autocast(kind, torch.bfloat16, enabled=bf16):
            parts["fooled"] = -discriminator.model(made, faithful).float().mean()
        discriminator.model.requires_grad_(requires_grad=True)
        loss = loss + c.adversarial * parts["fooled"]
    descend(decoder, decoder.model, loss, 1, clip=c.clip)
    follow(decoder, decoder.model, c.ema)
    if run.progress >= c.discriminator_from:
        with torch.autocast(kind, torch.bfloat16, enabled=bf16):
            parts["wrong"] = judged_wrongly(discriminator.model, x, made.detach(), faithful)
        descend(discriminator, discriminator.model, parts["wrong"], 1, clip=c.clip)
    return {key: value.item() for key, value in parts.items()}
