"""Training of a predictor: from kept tokens to a checkpoint, resumable at any time."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.tokenizer.layers import channels_last
from sbtcodec.tokenizer.model import Tokenizer
from sbtcodec.training import checkpoint
from sbtcodec.training.local_data import LocalData
from sbtcodec.training.local_tokens import Coding
from sbtcodec.training.muon import Muon
from sbtcodec.training.predictor import Predictor, PredictorSizes, load_into
from sbtcodec.training.predictor_step import Batches, held_out_error, loss_of
from sbtcodec.training.processes import clock
from sbtcodec.training.run import CHECKPOINT, LOG, SECONDS_PER_CHECKPOINT, SECONDS_PER_LOG_LINE
from sbtcodec.training.state import descend, follow, rate_factor_at

LEAST_MATRIX = 32  # rows and columns of what is a matrix to the optimiser


@dataclass(frozen=True)
class PredictorTraining:
    """Recipe of a run.

    Attributes:
        minutes: length of the run, in minutes of `clock`.
        length: of the run in steps, instead of minutes; 0 for minutes.
        seed: of weights and squares.
        scale: of the number of parameters, relative to the model's own predictor.
        pixels: whether the loss is that of pixels, through the frozen decoder. Else it is that of
            local tokens, which draws the prediction to them.
        batch: squares in a step and process.
        learning_rate: peak of AdamW.
        matrix_learning_rate: peak of Muon, for matrices.
        warmup_steps: steps of linear warm-up.
        decay_share: share of the run, at its end, over which the rates fall linearly to zero.
        ema: decay of the averaged weights.
        clip: largest norm of the gradient.
        measure_minutes: between two measurements on held-out tokens.
    """

    minutes: float = 60.0
    length: int = 0
    seed: int = 0
    scale: float = 1.0
    pixels: bool = False
    batch: int = 16
    learning_rate: float = 1e-3
    matrix_learning_rate: float = 2e-3
    warmup_steps: int = 60
    decay_share: float = 0.7
    ema: float = 0.998
    clip: float = 1.0
    measure_minutes: float = 5.0


@dataclass
class PredictorRun:
    """All that a run holds."""

    recipe: PredictorTraining
    model: Predictor
    device: torch.device
    optimisers: list[torch.optim.Optimizer]
    averaged: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0

    @property
    def progress(self) -> float:
        """Share of the run that is over, 0..1."""
        r = self.recipe
        return min(1.0, self.step / r.length if r.length else self.seconds / (60 * r.minutes))

    def rate_factor(self) -> float:
        """Learning rate relative to its peak: warm-up, plateau, linear decay to zero."""
        return rate_factor_at(self.progress, self.step, self.recipe)

    def state(self) -> dict[str, Any]:
        """What a checkpoint says besides tensors."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "recipe": asdict(self.recipe),
            "predictor": self.model.sizes.to_json(),
        }


def begun(
    recipe: PredictorTraining,
    tokenizer: Tokenizer,
    device: torch.device,
    start: dict[str, Tensor] | None = None,
) -> PredictorRun:
    """A run that has not made a step.

    Args:
        recipe: how.
        tokenizer: whose tokens are learnt from.
        device: where.
        start: parameters of a predictor or of a whole model, freshly drawn ones if not given.

    Raises:
        WeightsError: the parameters do not fit the scale.
    """
    torch.manual_seed(recipe.seed)
    config = tokenizer.config
    model = channels_last(Predictor(PredictorSizes.of(config, recipe.scale), config).to(device))
    if start is not None:
        load_into(model, start)
    averaged = {k: v.detach().clone() for k, v in model.named_parameters()}
    return PredictorRun(recipe, model, device, optimisers_of(model, recipe), averaged)


def optimisers_of(model: nn.Module, recipe: PredictorTraining) -> list[torch.optim.Optimizer]:
    """Muon for matrices, AdamW for kernels, vectors and what reads global tokens."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for p in model.parameters():
        (matrices if p.ndim == 2 and min(p.shape) >= LEAST_MATRIX else others).append(p)
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
        Muon(matrices, recipe.matrix_learning_rate),
    ]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return optimisers


def train_predictor(
    recipe: PredictorTraining,
    tokenizer: Tokenizer,
    data: LocalData,
    *,
    out: Path,
    held_out: LocalData | None = None,
    start: dict[str, Tensor] | None = None,
    resume: bool = False,
    steps: int | None = None,
    device: str = "cpu",
    rank: int = 0,
    world: int = 1,
) -> Path:
    """Train, and leave `checkpoint.safetensors` and `log.jsonl` in `out`.

    Args:
        recipe: how.
        tokenizer: of the tokens; frozen, and on the device.
        data: what to learn from; with pixels, if the recipe takes those.
        out: folder of the run.
        held_out: tokens that are measured every now and then.
        start: parameters to start from, as in `begun`.
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
    run = begun(recipe, tokenizer, torch.device(device), start)
    out.mkdir(parents=True, exist_ok=True)
    path = out / CHECKPOINT
    if resume:
        tensors, progress = checkpoint.load(path)
        checkpoint.restore(tensors, run.model, run.averaged, run.optimisers)
        run.step, run.seconds = progress["step"], progress["seconds"]
    batches = Batches(data, tokenizer, recipe.batch, recipe.seed)
    bar = tqdm(total=100, unit="%", disable=None if rank == 0 else True, desc="training")
    logged = saved = time.monotonic()
    measured = run.seconds
    losses: list[float] = []
    while run.progress < 1 and (steps is None or run.step < steps):
        begin = clock(run.device)
        batch = batches.batch(run.step, rank).to(run.device)
        kind = run.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
            loss = loss_of(run.model, batch, data.coding, tokenizer if recipe.pixels else None)
        update(run, loss, world)
        losses.append(loss.item())
        run.step += 1
        run.seconds += clock(run.device) - begin
        now = time.monotonic()
        if world > 1:
            seconds = torch.tensor([run.seconds], dtype=torch.float64, device=run.device)
            dist.broadcast(seconds, 0)
            run.seconds = float(seconds)
        if rank == 0 and now - logged > SECONDS_PER_LOG_LINE:
            line = {"step": run.step, "minutes": round(run.seconds / 60, 2)}
            line |= {"error": round(sum(losses) / len(losses), 5)}
            if held_out is not None and run.seconds - measured >= 60 * recipe.measure_minutes:
                line["held_out_error"] = round(
                    averaged_error(run, tokenizer, held_out, data.coding), 5
                )
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


def update(run: PredictorRun, loss: Tensor, world: int) -> None:
    """One update of the weights and of their average; raises as `descend`."""
    descend(run, run.model, loss, world, clip=run.recipe.clip)
    follow(run, run.model, run.recipe.ema)


def averaged_error(
    run: PredictorRun, tokenizer: Tokenizer, held_out: LocalData, coding: Coding
) -> float:
    """`held_out_error` of the averaged weights."""
    model = Predictor(run.model.sizes, tokenizer.config).to(run.device)
    model.load_state_dict(run.averaged)
    return held_out_error(model, tokenizer, held_out, coding)
