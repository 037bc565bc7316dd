"""Training of the generator: from kept tokens to a checkpoint, resumable at any time."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sbtcodec.generation.config import GeneratorConfig
from sbtcodec.generation.transformer import Transformer
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.training.generator_step import held_out_bits, known_tokens, loss_of
from sbtcodec.training.loop import Measurement, learn
from sbtcodec.training.run import CHECKPOINT
from sbtcodec.training.token_data import NO_CLASS, TokenData
from sbtcodec.training.token_run import (
    LEAST_MATRIX,
    TokenRun,
    TokenTraining,
    adam_and_muon,
    update,
)


@dataclass(frozen=True, kw_only=True)
class GeneratorTraining(TokenTraining):
    """Recipe of a run.

    Attributes:
        plain_share: share of the windows from photographs without a class, where there are some.
        any_share: share of the windows that are shown without saying their class.
    """

    plain_share: float = 0.35
    any_share: float = 0.1


class GeneratorRun(TokenRun[GeneratorTraining, Transformer]):
    """All that a run holds."""

    def sizes(self) -> dict[str, Any]:
        """Those of the transformer."""
        return {"generator": self.model.config.to_json()}


def begun(recipe: GeneratorTraining, config: GeneratorConfig, device: torch.device) -> GeneratorRun:
    """A run of freshly drawn weights that has not made a step."""
    torch.manual_seed(recipe.seed)
    model = Transformer(config).to(device)
    averaged = {k: v.detach().clone() for k, v in model.named_parameters()}
    return GeneratorRun(recipe, model, device, optimisers_of(model, recipe), averaged)


def optimisers_of(model: nn.Module, recipe: GeneratorTraining) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of layers and heads, AdamW for tables and vectors."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        inner = "layers." in name or name.endswith(("head.enter", "head.expand", "head.project"))
        use = inner and p.ndim == 2 and min(p.shape) >= LEAST_MATRIX
        (matrices if use else others).append(p)
    return adam_and_muon(others, matrices, recipe)


class Windows:
    """Windows of a step: from the seed, the process and the number of the step alone."""

    def __init__(self, data: TokenData, config: GeneratorConfig, recipe: GeneratorTraining) -> None:
        """Serve windows of `data`."""
        self.data, self.config, self.recipe = data, config, recipe
        self.plain = torch.nonzero(data.labels == NO_CLASS)[:, 0]
        self.labelled = torch.nonzero(data.labels != NO_CLASS)[:, 0]

    def batch(self, step: int, rank: int) -> tuple[Tensor, Tensor, Tensor]:
        """Levels int64 [B, 64, dims], known bool [B, 64], labels int64 [B]."""
        c, count = self.config, self.recipe.batch
        sequence = np.random.SeedSequence((self.recipe.seed, rank, step))
        rng = torch.Generator().manual_seed(int(sequence.generate_state(1)[0]))
        share = self.recipe.plain_share if len(self.plain) else 0.0
        plain = torch.rand(count, generator=rng) < (share if len(self.labelled) else 1.0)
        draws = torch.rand(count, generator=rng, dtype=torch.float64)
        chosen = torch.empty(count, dtype=torch.int64)
        for some, of in ((plain, self.plain), (~plain, self.labelled)):
            if some.any():
                chosen[some] = of[(draws[some] * len(of)).long()]
        labels = self.data.labels[chosen].where(~plain, torch.tensor(c.no_class))
        hidden = torch.rand(count, generator=rng) < self.recipe.any_share
        labels = labels.where(~hidden, torch.tensor(c.any))
        return self.data.levels[chosen].long(), known_tokens(c, count, rng), labels


def train_generator(
    recipe: GeneratorTraining,
    config: GeneratorConfig,
    data: TokenData,
    *,
    out: Path,
    held_out: TokenData | None = None,
    resume: bool = False,
    steps: int | None = None,
    device: str = "cpu",
    rank: int = 0,
    world: int = 1,
) -> Path:
    """Train, and leave `checkpoint.safetensors` and `log.jsonl` in `out`.

    Args:
        recipe: how.
        config: the sizes.
        data: what to learn from.
        out: folder of the run.
        held_out: tokens with the same classes, measured every now and then.
        resume: go on from the checkpoint in `out`.
        steps: stop after this many steps in all, whatever the time.
        device: where.
        rank: of this process.
        world: number of processes, whose group has been set up.

    Returns:
        Path of the checkpoint.

    Raises:
        WeightsError: a checkpoint does not fit, or a gradient is not finite.
    """
    run = begun(recipe, config, torch.device(device))
    out.mkdir(parents=True, exist_ok=True)
    if resume:
        run.restore(out / CHECKPOINT)
    windows = Windows(data, config, recipe)

    def step() -> dict[str, float]:
        levels, known, labels = (t.to(run.device) for t in windows.batch(run.step, rank))
        kind = run.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
            loss = loss_of(run.model, levels, known, labels)
        update(run, loss, world)
        return {"nats": loss.item()}

    bits = None
    if held_out is not None:
        value = partial(averaged_bits, run, held_out)
        bits = Measurement("held_out_bits", value, recipe.measure_minutes)
    return learn(run, step, out, steps=steps, measurement=bits, rank=rank, world=world)


def averaged_bits(run: GeneratorRun, held_out: TokenData) -> float:
    """`held_out_bits` of the averaged weights."""
    model = Transformer(run.model.config).to(run.device)
    model.load_state_dict(run.averaged)
    labels = torch.where(held_out.labels == NO_CLASS, run.model.config.no_class, held_out.labels)
    kind = run.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
        return held_out_bits(model, held_out.levels, labels)
