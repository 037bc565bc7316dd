"""A training run: from photographs to a checkpoint, resumable at any time.

bf16 autocast where the device is made for it; one process per GPU under `torchrun`.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from sbtcodec.models.config import ModelConfig
from sbtcodec.runtime.memory import SPARE, give_back
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.training import checkpoint
from sbtcodec.training.config import TrainingConfig
from sbtcodec.training.data import Prefetcher, batch, load_photographs
from sbtcodec.training.fine_channels import set_fine_channels_of
from sbtcodec.training.growth import grown
from sbtcodec.training.objective import draw, forward_of, loss_of
from sbtcodec.training.processes import Processes
from sbtcodec.training.revival import revive_run
from sbtcodec.training.state import Run, begun, follow_first, optimise

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"
SECONDS_PER_CHECKPOINT = 180.0
SECONDS_PER_LOG_LINE = 20.0
LONGEST_STEP = 30.0  # seconds; compiling takes longer, and is not training
FINE_CROPS = 96  # on which new fine channels are measured


def shapes(run: Run) -> Iterator[tuple[int, int]]:
    """(side, number) of crops, as the run goes on."""
    while True:
        c = run.config
        yield c.small_crop if run.progress < c.small_share else c.large_crop


def log_line(run: Run, path: Path, pixels: float, seconds: float) -> str:
    """Append the means since the last line to the log; the same line for people."""
    line: dict[str, float] = {k: round(sum(v) / len(v), 5) for k, v in run.sums.items()}
    line |= {
        "step": run.step,
        "minutes": round(run.seconds / 60, 2),
        "rate_factor": round(run.rate_factor(), 4),
        "token_weight": round(run.token_weight, 3),
        "crops256_per_second": round(pixels / 65536 / seconds, 2),
    }
    with path.open("a") as log:
        log.write(json.dumps(line) + "\n")
    run.sums.clear()
    return " ".join(f"{k}={v:g}" for k, v in line.items())


def train(
    config: TrainingConfig,
    model_config: ModelConfig,
    *,
    data: Path,
    out: Path,
    resume: bool = False,
    warm_start: Path | None = None,
    compiled: bool = True,
    steps: int | None = None,
    device: str = "auto",
) -> Path:
    """Train, and leave `checkpoint.safetensors` and `log.jsonl` in `out`.

    Args:
        config: the recipe.
        model_config: the sizes.
        data: folder of photographs.
        out: folder of the run.
        resume: go on from the checkpoint in `out`.
        warm_start: released weights, or a checkpoint, to start from with fresh optimisers.
        compiled: use torch.compile (a minute or more of warm-up, then a third faster); not for
            bfloat16 on a CPU, where torch 2.13 makes code that gives NaN, hardly faster.
        steps: stop after this many steps in all, whatever the time.
        device: auto, cpu or cuda.

    Returns:
        Path of the checkpoint.

    Raises:
        WeightsError: a checkpoint does not fit, or a gradient is not finite.
        DatasetError: no photographs.
    """
    processes = Processes.joined(device)
    rank, cuda = processes.rank, processes.device.type == "cuda"
    run = begun(config, model_config, processes.device)
    before = model_config
    out.mkdir(parents=True, exist_ok=True)
    path = out / CHECKPOINT
    if resume:
        tensors, progress = checkpoint.load(path)
        checkpoint.restore(tensors, run.model, run.averaged, run.optimisers)
        run.step, run.seconds = progress["step"], progress["seconds"]
        run.token_weight = progress["token_weight"]
    elif warm_start is not None:
        before = start_from(run, warm_start)
    images = load_photographs(data, max(config.small_crop[0], config.large_crop[0]))
    if config.revive and not resume:
        crops = batch(images, config.large_crop[0], 12, (config.seed, 0, 0)).to(run.device)
        revive_run(run, crops.float() / 255)
    if model_config.tokenizer.fine_channels and not before.tokenizer.fine_channels:
        crops = batch(images, config.large_crop[0], FINE_CROPS, (config.seed, 0, 0))
        set_fine_channels_of(run, pixel_rows(crops.to(run.device).float() / 255))
    compiled = compiled and (cuda or not fast_bf16("cpu"))
    forward = forward_of(run.model, config, globals_first=cuda or compiled)
    if compiled:
        forward.compile(dynamic=False)
    losses = losses_of(run, forward, Prefetcher(images, config.seed, rank), rank)
    _loop(run, losses, out, rank, processes.world, steps)
    processes.leave()
    return path


def losses_of(
    run: Run, forward: nn.Module, crops: Prefetcher, rank: int
) -> Iterator[tuple[Tensor, int]]:
    """The loss of each step, and the pixels that it saw."""
    for raw in crops.batches(run.step, shapes(run)):
        x = pixel_rows(raw.to(run.device).to(torch.float32).div_(255))
        quality, layers, noise = draw(run, x.shape[0], x.shape[2], rank)
        with torch.autocast(run.device.type, torch.bfloat16, enabled=fast_bf16(run.device.type)):
            result = forward(x, quality, layers, noise)
        yield loss_of(run, result, quality, layers), x.shape[0] * x.shape[2] * x.shape[3]


def start_from(run: Run, path: Path) -> ModelConfig:
    """Start from released weights, or from the averaged weights of a checkpoint.

    A larger model is grown from them.

    Args:
        run: has not begun; its weights, and their averages, are set in place.
        path: the file.

    Returns:
        The sizes of the model of the file.

    Raises:
        WeightsError: the file is neither, or of another architecture.
    """
    config, state, _ = checkpoint.weights_of(path)
    if config != run.model.config:
        state = grown(state, config, run.model.config, run.model)
    run.model.load_state_dict(state, strict=False)
    for name, value in run.averaged.items():
        value.copy_(state[name])
    return config


def _loop(
    run: Run,
    losses: Iterator[tuple[Tensor, int]],
    out: Path,
    rank: int,
    world: int,
    steps: int | None,
) -> None:
    """Steps until the time is over, with a log line and a checkpoint every now and then."""
    bar = tqdm(total=100, unit="%", disable=None if rank == 0 else True, desc="training")
    logged = saved = trimmed = time.monotonic()
    pixels = 0
    while run.progress < 1 and (steps is None or run.step < steps):
        start = time.monotonic()
        loss, seen = next(losses)
        optimise(run, loss, world)
        run.step += 1
        pixels += seen
        now = time.monotonic()
        run.seconds += min(now - start, LONGEST_STEP)
        if world > 1:
            follow_first(run)
        if now - trimmed > SECONDS_PER_LOG_LINE:
            give_back(SPARE)
            trimmed = now
        if rank == 0 and now - logged > SECONDS_PER_LOG_LINE:
            bar.set_postfix_str(log_line(run, out / LOG, pixels, now - logged)[:60])
            bar.update(int(100 * run.progress) - bar.n)
            logged, pixels = now, 0
        if rank == 0 and now - saved > SECONDS_PER_CHECKPOINT:
            checkpoint.save(out / CHECKPOINT, run.model, run.averaged, run.optimisers, run.state())
            saved = now
    if rank == 0:
        checkpoint.save(out / CHECKPOINT, run.model, run.averaged, run.optimisers, run.state())
    bar.close()
