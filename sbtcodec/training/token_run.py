"""What a run holds that learns one network from kept tokens: a generator's, or a predictor's."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from sbtcodec.training import checkpoint
from sbtcodec.training.muon import Muon
from sbtcodec.training.state import descend, follow, rate_factor_at

LEAST_MATRIX = 32  # rows and columns of what is a matrix to the optimiser

M = TypeVar("M", bound=nn.Module)
R = TypeVar("R", bound="TokenTraining")


@dataclass(frozen=True, kw_only=True)
class TokenTraining:
    """What the recipes of such runs have in common.

    Attributes:
        minutes: length of the run, in minutes of `clock`.
        seed: of weights, and of what is shown.
        batch: windows or squares in a step and process.
        learning_rate: peak of AdamW.
        matrix_learning_rate: peak of Muon, for matrices.
        warmup_steps: steps of linear warm-up.
        decay_share: share of the run, at its end, over which the rates fall linearly to zero.
        ema: decay of the averaged weights.
        clip: largest norm of the gradient.
        measure_minutes: between two measurements on held-out tokens.
    """

    minutes: float = 60.0
    seed: int = 0
    batch: int = 64
    learning_rate: float = 1e-3
    matrix_learning_rate: float = 2e-3
    warmup_steps: int = 60
    decay_share: float = 0.7
    ema: float = 0.998
    clip: float = 1.0
    measure_minutes: float = 5.0


@dataclass
class TokenRun(ABC, Generic[R, M]):
    """All that a run holds."""

    recipe: R
    model: M
    device: torch.device
    optimisers: list[torch.optim.Optimizer]
    averaged: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0

    @property
    def progress(self) -> float:
        """Share of the run that is over, 0..1."""
        return min(1.0, self.seconds / (60 * self.recipe.minutes))

    def rate_factor(self) -> float:
        """Learning rate relative to its peak: warm-up, plateau, linear decay to zero."""
        return rate_factor_at(self.progress, self.step, self.recipe)

    @abstractmethod
    def sizes(self) -> dict[str, Any]:
        """Those of the network, as a checkpoint has them, under the name of what it is."""

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        state = {"step": self.step, "seconds": self.seconds, "recipe": asdict(self.recipe)}
        checkpoint.save(path, self.model, self.averaged, self.optimisers, state | self.sizes())

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            WeightsError: it is none, or of other sizes.
        """
        tensors, progress = checkpoint.load(path)
        checkpoint.restore(tensors, self.model, self.averaged, self.optimisers)
        self.step, self.seconds = progress["step"], progress["seconds"]


def update(run: TokenRun[Any, Any], loss: Tensor, world: int) -> None:
    """One update of the weights and of their average; raises as `descend`."""
    descend(run, run.model, loss, world, clip=run.recipe.clip)
    follow(run, run.model, run.recipe.ema)


def adam_and_muon(
    others: list[nn.Parameter], matrices: list[nn.Parameter], recipe: TokenTraining
) -> list[torch.optim.Optimizer]:
    """AdamW for tables, kernels and vectors, Muon for matrices."""
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
        Muon(matrices, recipe.matrix_learning_rate),
    ]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return optimisers
