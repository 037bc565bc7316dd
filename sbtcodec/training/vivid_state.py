"""What a training run of a look holds: its recipe, one or two networks, and their optimisers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from sbtcodec.errors import WeightsError
from sbtcodec.models.looks import read_look
from sbtcodec.models.release import Release
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.layers import channels_last
from sbtcodec.tokenizer.look import Look, alone_like, look_like
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes
from sbtcodec.training import checkpoint
from sbtcodec.training.state import rate_factor_at
from sbtcodec.training.vivid_losses import Discriminator

LOOK, DISCRIMINATOR = "look", "discriminator"


@dataclass(frozen=True)
class VividTraining:
    """Recipe of a run.

    Attributes:
        minutes: length of the run.
        seed: of weights and crops.
        batch: crops in a step.
        side: theirs, in pixels.
        finest_width: channels of the decoder's branch at stride 2.
        blocks: at stride 16 of its predictor, beyond the model's.
        refining: blocks of the refiner of its predictor, beyond the model's.
        alone_share: share of the crops that are sent by global tokens alone.
        highest_code: quality code of details at most; low ones are more frequent.
        faithful_from: quality code from which on texture and the discriminator do not count; below
            it, they count the more the less a file says.
        squared_error: weight of the squared error of pixels in [0, 1].
        log_error: weight of the logarithm of each crop's squared error, in nats: of 4.3 dB each.
        perceptual: weight of the distance of VGG features.
        looked_at: crops of a step whose features are looked at, the first ones; 0 for all.
        texture: weight of `texture_distance`.
        folds: weight of `fold_traces`.
        carriers: weight of `carrier_traces`.
        colour: weight of `colours_apart`.
        adversarial: weight of the discriminator's opinion.
        discriminator_every: steps from one of the discriminator to the next.
        discriminator_from: share of the run after which the discriminator learns.
        adversarial_from: share of the run after which its opinion counts.
        learning_rate: peak of the look's AdamW.
        discriminator_rate: peak of the discriminator's.
        warmup_steps: steps of linear warm-up.
        decay_share: share of the run, at its end, over which the rates fall linearly to zero.
        ema: decay of the averaged weights.
        clip: largest norm of a gradient.
        faithful_share: of the faithful look that training begins with, in what is released; see
            `mixed`.
    """

    minutes: float = 120.0
    seed: int = 0
    batch: int = 4
    side: int = 256
    finest_width: int = 16
    blocks: int = 4
    refining: int = 2
    alone_share: float = 0.35
    highest_code: int = 255
    faithful_from: int = 153
    squared_error: float = 12.0
    log_error: float = 0.0
    perceptual: float = 6.0
    looked_at: int = 0
    texture: float = 0.6
    folds: float = 8000.0
    carriers: float = 10.0
    colour: float = 60.0
    adversarial: float = 0.12
    discriminator_every: int = 2
    discriminator_from: float = 0.08
    adversarial_from: float = 0.14
    learning_rate: float = 3e-4
    discriminator_rate: float = 4e-4
    warmup_steps: int = 50
    decay_share: float = 0.6
    ema: float = 0.997
    clip: float = 1.0
    faithful_share: float = 0.1

    @property
    def alone(self) -> bool:
        """Whether it learns pictures of global tokens alone, and nothing else."""
        return self.alone_share == 1 and not self.finest_width

    @property
    def needs_features(self) -> bool:
        """Whether a loss asks for features of a trunk."""
        return bool(self.perceptual or self.texture or self.adversarial)


@dataclass
class Learner:
    """One of the two networks, its optimiser and its averaged weights."""

    run: "VividRun"
    model: nn.Module
    optimisers: list[torch.optim.Optimizer]
    averaged: dict[str, Tensor] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """Of the run."""
        return self.run.step

    def rate_factor(self) -> float:
        """Of the run."""
        return self.run.rate_factor()


@dataclass
class VividRun:
    """All that a run holds; `digest` is that of the model whose files are shown, hexadecimal."""

    recipe: VividTraining
    networks: nn.ModuleDict
    device: torch.device
    digest: str
    step: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Make the optimisers, and begin the average."""
        c = self.recipe
        look = self.networks[LOOK]
        averaged = {k: v.detach().clone() for k, v in look.named_parameters()}
        self.look = Learner(self, look, [_adam(look, c.learning_rate)], averaged)
        self.discriminator = None
        if DISCRIMINATOR in self.networks:
            judge = self.networks[DISCRIMINATOR]
            self.discriminator = Learner(self, judge, [_adam(judge, c.discriminator_rate)])

    @property
    def optimisers(self) -> list[torch.optim.Optimizer]:
        """Of all networks."""
        learners = [k for k in (self.look, self.discriminator) if k is not None]
        return [optimiser for learner in learners for optimiser in learner.optimisers]

    @property
    def progress(self) -> float:
        """Share of the run's time that is over, 0..1."""
        return min(1.0, self.seconds / (60 * self.recipe.minutes))

    def rate_factor(self) -> float:
        """Learning rates relative to their peaks: warm-up, plateau, linear decay to zero."""
        return rate_factor_at(self.progress, self.step, self.recipe)

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        recipe = asdict(self.recipe)
        state = {"step": self.step, "seconds": self.seconds, "vivid": recipe, "of": self.digest}
        checkpoint.save(path, self.networks, self.look.averaged, self.optimisers, state)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            WeightsError: it is none, of other sizes, or of another model.
        """
        tensors, progress = checkpoint.load(path)
        if progress.get("of", self.digest) != self.digest:
            raise WeightsError(f"{path} is of a run for another model; take another folder")
        checkpoint.restore(tensors, self.networks, self.look.averaged, self.optimisers)
        self.step, self.seconds = progress["step"], progress["seconds"]


def sizes_of(recipe: VividTraining, config: TokenizerConfig) -> PredictorSizes:
    """Sizes of the predictor of a look."""
    return PredictorSizes.of(config).deeper(recipe.blocks, recipe.refining)


def faithful_start(recipe: VividTraining, release: Release) -> Look:
    """What the recipe's networks are before they are trained: they show what the model does."""
    tokenizer = release.model.tokenizer
    sizes = sizes_of(recipe, tokenizer.config)
    if recipe.alone:
        return alone_like(tokenizer, sizes)
    return look_like(tokenizer, recipe.finest_width, sizes)


def _adam(network: nn.Module, rate: float) -> torch.optim.Optimizer:
    made = torch.optim.AdamW(network.parameters(), rate, betas=(0.5, 0.99), weight_decay=0.0)
    for group in made.param_groups:
        group["peak"] = rate
    return made


def begun(
    recipe: VividTraining,
    release: Release,
    channels: Sequence[int],
    device: torch.device,
    *,
    warm_start: Path | None = None,
) -> VividRun:
    """A run that has not made a step: it shows what the model does.

    Args:
        recipe: of the run.
        release: the model whose files are to be shown.
        channels: of the blocks of the trunk, for a discriminator, if the recipe has one.
        device: where.
        warm_start: weights of a look to start from instead.

    Raises:
        WeightsError: these are none, or not of the recipe's sizes; or the recipe is of pictures of
            global tokens alone, which start from the model.
    """
    if recipe.alone and warm_start is not None:
        raise WeightsError(
            f"found {warm_start} to start from; networks for pictures of global tokens alone start"
            " from those of the model: give none"
        )
    torch.manual_seed(recipe.seed)
    look = faithful_start(recipe, release)
    if warm_start is not None:
        stored = read_look(warm_start, release.model.config.tokenizer).look
        try:
            look.load_state_dict(stored.state_dict())
        except RuntimeError as error:
            raise WeightsError(f"{warm_start} is not of this recipe's sizes: {error}") from error
    networks = nn.ModuleDict({LOOK: look})
    if recipe.adversarial:
        networks[DISCRIMINATOR] = Discriminator(channels)
    return VividRun(recipe, channels_last(networks.to(device)), device, release.digest.hex())
