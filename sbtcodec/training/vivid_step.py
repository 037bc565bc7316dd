"""One step of training the vivid look: what it is shown, and updates of both networks."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sbtcodec.grid import Box
from sbtcodec.models.release import Release
from sbtcodec.rdo.soft_symbols import leaky_clamp
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.tokenizer.bootstrap import padded
from sbtcodec.tokenizer.config import STEPS_ALONE
from sbtcodec.tokenizer.layers import channels_last, pixel_rows
from sbtcodec.tokenizer.look import Look
from sbtcodec.tokenizer.noise import PERIOD, noise_at
from sbtcodec.training.config import SYMBOLS
from sbtcodec.training.objective import forward_of
from sbtcodec.training.spectrum_losses import carrier_traces
from sbtcodec.training.state import descend, follow
from sbtcodec.training.step import TrainingPass
from sbtcodec.training.trunk_losses import VggFeatures, feature_distance, texture_distance
from sbtcodec.training.vivid_losses import (
    colours_apart,
    fold_traces,
    judged_wrongly,
    logarithm_of_error,
    weighted,
)
from sbtcodec.training.vivid_state import VividRun, VividTraining

LOW_QUALITIES = 2.5  # power of an even draw that gives qualities: half of them are below 18


class Arrived(NamedTuple):
    """What a decoder has of crops; those of global tokens alone come first.

    Attributes:
        values: of the global tokens of crops of these alone, float32 [A, dims, H / 2, W / 2].
        detailed: local tokens of the others, [B - A, local_channels, H, W].
        weights: of the anchors of the quality, [B, gain_anchors].
        layers: detail layers, int64 [B].
        faithful: what the networks of all files show, float32 [B, 3, 16H, 16W] in 0..1, where a
            discriminator has a say.
        noise: as at some place of a picture, [B, C, H, W].
        shares: how much it counts that they look real, float32 [B] in 0..1.
    """

    values: Tensor
    detailed: Tensor
    weights: Tensor
    layers: Tensor
    faithful: Tensor | None
    noise: Tensor
    shares: Tensor


def shown_by(look: Look, arrived: Arrived) -> Tensor:
    """Pictures of a look, float32 [B, 3, 16H, 16W], about 0..1, not clamped."""
    y_hat = arrived.detailed
    if len(arrived.values):
        assert look.predictor is not None
        alone = look.predictor(arrived.values)
        alone = padded(alone, y_hat.shape[1] - alone.shape[1])
        y_hat = pixel_rows(torch.cat([alone, y_hat]))
    shown: Tensor = look.decoder(y_hat, arrived.weights, arrived.layers, noise=arrived.noise)
    return shown.float()


class Crops:
    """What a decoder has of crops: as files would say, at the qualities of a step."""

    def __init__(self, release: Release, recipe: VividTraining, device: torch.device) -> None:
        """Take the frozen networks of a release."""
        self.release, self.recipe, self.device = release, recipe, device
        self.tokenizer = channels_last(release.model.tokenizer.to(device))
        self.coding: TrainingPass = forward_of(release.model, SYMBOLS)

    @torch.no_grad()
    def arrived(self, x: Tensor, step: int) -> Arrived:
        """Code crops.

        Args:
            x: float32 [B, 3, H, W] in [0, 1].
            step: decides qualities and layers, with the seed.
        """
        c, count, t = self.recipe, len(x), self.tokenizer
        rng = torch.Generator().manual_seed(c.seed * 10_000_019 + step)
        drawn = torch.rand(count, generator=rng) ** LOW_QUALITIES
        code = (drawn * c.highest_code).floor().to(self.device)
        alone = int((torch.rand(count, generator=rng) < c.alone_share).sum())
        layers = torch.full((count,), t.config.layers, device=self.device)
        layers[:alone] = 0
        shares = (1 - code / c.faithful_from).clamp_min(0)
        shares[:alone] = 1
        none = x.new_zeros(count, t.config.local_channels, x.shape[2] // 16, x.shape[3] // 16)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast_bf16(self.device.type)):
            weights = t.anchor_weights(code)
            if alone == count and not c.adversarial:
                values, y_hat = self.values_alone(x), none[:0]
            else:
                coded = self.coding.coded(x, code, layers, none)
                values, y_hat = coded.values[:alone], coded.y_hat
            faithful = None
            if c.adversarial:
                faithful = t.decoder(y_hat, weights, layers).float().clamp(0, 1)
        detailed = pixel_rows(y_hat[alone:])
        corners = torch.randint(PERIOD, (count, 2), generator=rng).tolist()
        height, width = none.shape[2:]
        boxes = [Box(top, left, top + height, left + width) for top, left in corners]
        noise = torch.cat([noise_at(box, self.device) for box in boxes])
        return Arrived(values, detailed, weights, layers, faithful, noise, shares)

    def values_alone(self, x: Tensor) -> Tensor:
        """Values of the global tokens of files of these alone, [B, dims, H / 32, W / 32]."""
        local_encoder, global_encoder = self.tokenizer.encoders
        y = local_encoder(x).float()
        steps = torch.full((len(x),), STEPS_ALONE, device=self.device)
        return self.tokenizer.fitted(y, global_encoder(y), steps, len(x)).values


def update(run: VividRun, x: Tensor, arrived: Arrived, features: VggFeatures) -> dict[str, float]:
    """One step of both networks.

    Args:
        run: is changed.
        x: crops, float32 [B, 3, H, W] in [0, 1].
        arrived: of these, of `Crops`.
        features: of the trunk.

    Returns:
        What the losses were, by name.

    Raises:
        WeightsError: a gradient is not finite.
    """
    c, kind = run.recipe, run.device.type
    bf16 = fast_bf16(kind)
    look, discriminator = run.look, run.discriminator
    assert isinstance(look.model, Look)
    with torch.autocast(kind, torch.bfloat16, enabled=bf16):
        made = shown_by(look.model, arrived)
    made = leaky_clamp(made, 0.0, 1.0)
    seen = looked_at(c, features, made, x, arrived)
    losses: dict[str, tuple[float, Callable[[], Tensor]]] = {
        "vgg": (c.perceptual, lambda: feature_distance(seen.found, seen.wanted)),
        "texture": (c.texture, seen.texture),
        "mse": (c.squared_error, lambda: (made - x).square().mean()),
        "log": (c.log_error, lambda: logarithm_of_error(made, x)),
        "folds": (c.folds, lambda: fold_traces(made, x)),
        "carriers": (c.carriers, lambda: carrier_traces(made, x)),
        "colour": (c.colour, lambda: colours_apart(made, x)),
    }
    if discriminator is not None and run.progress >= c.adversarial_from:
        judge = discriminator.model
        losses["fooled"] = c.adversarial, lambda: seen.fooled(judge)
    parts = {name: measured() for name, (weight, measured) in losses.items() if weight}
    loss = torch.stack([losses[name][0] * part for name, part in parts.items()]).sum()
    descend(look, look.model, loss, 1, clip=c.clip)
    follow(look, look.model, c.ema)
    due = run.progress >= c.discriminator_from and run.step % c.discriminator_every == 0
    if discriminator is not None and due:
        parts["wrong"] = seen.judged_wrongly(discriminator.model)
        descend(discriminator, discriminator.model, parts["wrong"], 1, clip=c.clip)
    return {key: value.item() for key, value in parts.items()}


class LookedAt(NamedTuple):
    """Crops of a step whose features are looked at.

    Attributes:
        made: float32 [B, 3, H, W].
        x: the photographs, the same shape.
        faithful: the same of the faithful look, where a discriminator has a say.
        shares: how much it counts that they look real, float32 [B].
        found: features of what was made; empty where no loss asks for them.
        wanted: of the photographs.
    """

    made: Tensor
    x: Tensor
    faithful: Tensor | None
    shares: Tensor
    found: list[Tensor]
    wanted: list[Tensor]

    def texture(self) -> Tensor:
        """How far statistics of features are apart."""
        return weighted(texture_distance(self.found, self.wanted), self.shares)

    def fooled(self, judge: nn.Module) -> Tensor:
        """How little a discriminator takes them for photographs; it learns nothing by that."""
        judge.requires_grad_(requires_grad=False)
        answers = self._answers(judge, self.made, self.found)
        judge.requires_grad_(requires_grad=True)
        return weighted(-answers.mean((1, 2, 3)), self.shares)

    def judged_wrongly(self, judge: nn.Module) -> Tensor:
        """How often a discriminator is wrong; gradients are its own alone."""
        real = self._answers(judge, self.x, self.wanted)
        fake = self._answers(judge, self.made.detach(), [h.detach() for h in self.found])
        return judged_wrongly(real, fake, self.shares)

    def _answers(self, judge: nn.Module, shown: Tensor, features: list[Tensor]) -> Tensor:
        kind = shown.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
            answers: Tensor = judge(shown, self.faithful, features)
        return answers.float()


def looked_at(
    recipe: VividTraining,
    features: VggFeatures,
    made: Tensor,
    x: Tensor,
    arrived: Arrived,
) -> LookedAt:
    """The crops whose features a recipe looks at; arguments are those of `update`."""
    some = slice(recipe.looked_at or None)
    faithful = None if arrived.faithful is None else arrived.faithful[some]
    found: list[Tensor] = []
    wanted: list[Tensor] = []
    if recipe.needs_features:
        with torch.no_grad():
            wanted = features(x[some])
        found = features(made[some])
    return LookedAt(made[some], x[some], faithful, arrived.shares[some], found, wanted)
