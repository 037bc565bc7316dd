"""Training of a predictor: from kept tokens to a checkpoint, resumable at any time."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.tokenizer.layers import channels_last
from sbtcodec.tokenizer.model import Tokenizer
from sbtcodec.tokenizer.predictor import Predictor
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes
from sbtcodec.training.local_data import LocalData
from sbtcodec.training.local_tokens import Coding
from sbtcodec.training.loop import Measurement, learn
from sbtcodec.training.predictor import load_into
from sbtcodec.training.predictor_step import Batches, held_out_error, loss_of
from sbtcodec.training.run import CHECKPOINT
from sbtcodec.training.token_run import (
    LEAST_MATRIX,
    TokenRun,
    TokenTraining,
    adam_and_muon,
    update,
)


@dataclass(frozen=True, kw_only=True)
class PredictorTraining(TokenTraining):
    """Recipe of a run.

    Attributes:
        batch: squares in a step and process.
        length: of the run in steps, instead of minutes; 0 for minutes.
        scale: of the number of parameters, relative to the model's own predictor.
        pixels: whether the loss has the error of pixels, through the frozen decoder.
        bootstrap: whether it has that of local tokens, which draws the prediction to them.
    """

    batch: int = 16
    length: int = 0
    scale: float = 1.0
    pixels: bool = False
    bootstrap: bool = True


class PredictorRun(TokenRun[PredictorTraining, Predictor]):
    """All that a run holds."""

    @property
    def progress(self) -> float:
        """Share of the run that is over, 0..1."""
        length = self.recipe.length
        return min(1.0, self.step / length) if length else super().progress

    def sizes(self) -> dict[str, Any]:
        """Those of the predictor."""
        return {"predictor": self.model.sizes.to_json()}


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
    return adam_and_muon(others, matrices, recipe)


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
    if resume:
        run.restore(out / CHECKPOINT)
    batches = Batches(data, tokenizer, recipe.batch, recipe.seed)

    def step() -> dict[str, float]:
        batch = batches.batch(run.step, rank).to(run.device)
        kind = run.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
            decoder = tokenizer if recipe.pixels else None
            loss = loss_of(
                run.model, batch, data.coding, decoder=decoder, bootstrap=recipe.bootstrap
            )
        update(run, loss, world)
        return {"error": loss.item()}

    error = None
    if held_out is not None:
        value = partial(averaged_error, run, tokenizer, held_out, data.coding)
        error = Measurement("held_out_error", value, recipe.measure_minutes)
    return learn(run, step, out, steps=steps, measurement=error, rank=rank, world=world)


def averaged_error(
    run: PredictorRun, tokenizer: Tokenizer, held_out: LocalData, coding: Coding
) -> float:
    """`held_out_error` of the averaged weights."""
    model = Predictor(run.model.sizes, tokenizer.config).to(run.device)
    model.load_state_dict(run.averaged)
    return held_out_error(model, tokenizer, held_out, coding)
