"""Training of the generator: from kept tokens to a checkpoint, resumable at any time."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from sbtcodec.generation.config import GeneratorConfig
from sbtcodec.generation.transformer import Transformer
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.training import checkpoint
from sbtcodec.training.generator_step import held_out_bits, known_tokens, loss_of
from sbtcodec.training.muon import Muon
from sbtcodec.training.processes import clock
from sbtcodec.training.run import CHECKPOINT, LOG, SECONDS_PER_CHECKPOINT, SECONDS_PER_LOG_LINE
from sbtcodec.training.state import descend, follow, rate_factor_at
from sbtcodec.training.token_data import NO_CLASS, TokenData

LEAST_MATRIX = 32  # rows and columns of what is a matrix to the optimiser


@dataclass(frozen=True)
class GeneratorTraining:
    """Recipe of a run.

    Attributes:
        minutes: length of the run, in minutes of `clock`.
        seed: of weights, windows and what is shown of them.
        batch: windows in a step and process.
        plain_share: share of the windows from photographs without a class, where there are some.
        any_share: share of the windows that are shown without saying their class.
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
    plain_share: float = 0.35
    any_share: float = 0.1
    learning_rate: float = 1e-3
    matrix_learning_rate: float = 2e-3
    warmup_steps: int = 60
    decay_share: float = 0.7
    ema: float = 0.998
    clip: float = 1.0
    measure_minutes: float = 5.0


@dataclass
class GeneratorRun:
    """All that a run holds."""

    recipe: GeneratorTraining
    model: Transformer
    device: torch.device
    optimisers: list[torch.optim.Optimizer]
    averaged: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0

    @property
    def progress(self) -> float:
        """Share of the run's time that is over, 0..1."""
        return min(1.0, self.seconds / (60 * self.recipe.minutes))

    def rate_factor(self) -> float:
        """Learning rate relative to its peak: warm-up, plateau, linear decay to zero."""
        return rate_factor_at(self.progress, self.step, self.recipe)

    def state(self) -> dict[str, Any]:
        """What a checkpoint says besides tensors."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "recipe": asdict(self.recipe),
            "generator": self.model.config.to_json(),
        }


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
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
        Muon(matrices, recipe.matrix_learning_rate),
    ]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return optimisers


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
    path = out / CHECKPOINT
    if resume:
        tensors, progress = checkpoint.load(path)
        checkpoint.restore(tensors, run.model, run.averaged, run.optimisers)
        run.step, run.seconds = progress["step"], progress["seconds"]
    windows = Windows(data, config, recipe)
    bar = tqdm(total=100, unit="%", disable=None if rank == 0 else True, desc="training")
    logged = saved = time.monotonic()
    measured = run.seconds
    losses: list[float] = []
    while run.progress < 1 and (steps is None or run.step < steps):
        start = clock(run.device)
        levels, known, labels = (t.to(run.device) for t in windows.batch(run.step, rank))
        kind = run.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
            loss = loss_of(run.model, levels, known, labels)
        update(run, loss, world)
        losses.append(loss.item())
        run.step += 1
        run.seconds += clock(run.device) - start
        now = time.monotonic()
        if world > 1:
            seconds = torch.tensor([run.seconds], dtype=torch.float64, device=run.device)
            dist.broadcast(seconds, 0)
            run.seconds = float(seconds)
        if rank == 0 and now - logged > SECONDS_PER_LOG_LINE:
            line = {"step": run.step, "minutes": round(run.seconds / 60, 2)}
            line |= {"nats": round(sum(losses) / len(losses), 4)}
            if held_out is not None and run.seconds - measured >= 60 * recipe.measure_minutes:
                line["held_out_bits"] = round(averaged_bits(run, held_out), 4)
                measured = run.seconds
            with (out / LOG).open("a") as log:
                log.write(json.dumps(line) + "\n")
            bar.set_postfix(line)
            bar.update(int(100 * run.progress) - bar.n)
            logged, losses = time.monotonic(), []
        if rank == 0 and now - saved > SECONDS_PER_CHECKPOINT:
            checkpoint.save(path, run.model, run.averaged, run.optimisers, run.state())
            saved = now
    if rank == 0:
        checkpoint.save(path, run.model, run.averaged, run.optimisers, run.state())
    bar.close()
    return path


def update(run: GeneratorRun, loss: Tensor, world: int) -> None:
    """One update of the weights and of their average; raises as `descend`."""
    descend(run, run.model, loss, world, clip=run.recipe.clip)
    follow(run, run.model, run.recipe.ema)


def averaged_bits(run: GeneratorRun, held_out: TokenData) -> float:
    """`held_out_bits` of the averaged weights."""
    model = Transformer(run.model.config).to(run.device)
    model.load_state_dict(run.averaged)
    labels = torch.where(held_out.labels == NO_CLASS, run.model.config.no_class, held_out.labels)
    kind = run.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
        return held_out_bits(model, held_out.levels, labels)
