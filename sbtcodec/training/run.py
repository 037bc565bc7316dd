"""A training run: from photographs to a checkpoint, resumable at any time.

bf16 autocast where the device is faster in it; one process per GPU under `torchrun`.
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from sbtcodec.errors import WeightsError
from sbtcodec.estimate import fast_bf16
from sbtcodec.model import CodecModel, ModelConfig
from sbtcodec.release import read_state
from sbtcodec.tokenizer.layers import channels_last
from sbtcodec.training import checkpoint
from sbtcodec.training.config import TrainingConfig
from sbtcodec.training.data import Prefetcher, batch, load_photographs
from sbtcodec.training.growth import grown
from sbtcodec.training.muon import Muon
from sbtcodec.training.revival import revive
from sbtcodec.training.step import Pass, TrainingPass

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"
SECONDS_PER_CHECKPOINT = 180.0
SECONDS_PER_LOG_LINE = 20.0


@dataclass
class Run:
    """All that a run holds; `train` drives it."""

    config: TrainingConfig
    model: CodecModel
    device: torch.device
    optimisers: list[torch.optim.Optimizer]
    averaged: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    token_weight: float = 0.1
    sums: dict[str, list[float]] = field(default_factory=dict)

    @property
    def progress(self) -> float:
        """Share of the run's time that is over, 0..1."""
        return min(1.0, self.seconds / (60 * self.config.minutes))

    def rate_factor(self) -> float:
        """Learning rate relative to its peak: warm-up, plateau, linear decay to zero."""
        c = self.config
        decay = min(1.0, (1.0 - self.progress) / c.decay_share)
        return min(1.0, (self.step + 1) / c.warmup_steps) * max(decay, 0.002)

    def state(self) -> dict[str, Any]:
        """What a checkpoint says besides tensors."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "token_weight": self.token_weight,
            "config": self.config.to_json(),
            "model": self.model.config.to_json(),
        }


def make_optimisers(model: CodecModel, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """AdamW; or Muon for the matrices of the float networks and AdamW for the rest."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        is_matrix = name.startswith("tokenizer.") and p.ndim == 2 and min(p.shape) >= 32
        use = matrices if is_matrix and config.matrix_learning_rate else others
        use.append(p)
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    ]
    if matrices:
        optimisers.append(Muon(matrices, config.matrix_learning_rate))
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return optimisers


def loss_of(run: Run, out: Pass, quality: Tensor, layers: Tensor) -> Tensor:
    """The training loss, and its parts added to the run's sums."""
    c = run.config
    mse = out.mse
    distortion = (1 - c.structure) * mse + c.structure * c.structure_unit * out.dissimilarity
    low, high = math.log(c.lmbda_min), math.log(c.lmbda_max)
    lmbda = torch.exp(low + (high - low) * quality / 255)
    weight = (lmbda / c.lmbda_globals).pow(-c.balance)
    is_global = layers == 0
    detail = weight * (lmbda * distortion + out.detail_bpp)
    base = c.lmbda_globals * distortion + c.bootstrap_weight * out.bootstrap
    token_bpp = out.token_bits / 1024  # one token per 32x32 pixels
    loss = torch.where(is_global, base, detail) + run.token_weight * token_bpp
    n = is_global.sum().clamp_min(1)
    m = (~is_global).sum().clamp_min(1)
    parts = {
        "loss": loss.mean(),
        "token_bits": out.token_bits.mean(),
        "mse_globals": (mse * is_global).sum() / n,
        "dissimilarity": out.dissimilarity.mean(),
        "bootstrap": (out.bootstrap * is_global).sum() / n,
        "mse_detail": (mse * ~is_global).sum() / m,
        "bpp_detail": (out.detail_bpp * ~is_global).sum() / m,
    }
    for key, value in parts.items():
        run.sums.setdefault(key, []).append(value.item())
    # hold the token rate: the weight follows the excess, slowly
    excess = run.sums["token_bits"][-1] - c.target_token_bits
    run.token_weight = min(30.0, max(0.05, run.token_weight * math.exp(0.002 * excess)))
    return loss.mean()


def draw(run: Run, count: int, side: int, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Qualities, layer counts and noise of one step; they depend on seed, rank and step alone."""
    c, t = run.config, run.model.config.tokenizer
    g = torch.Generator().manual_seed((c.seed * 1_000_003 + rank) * 10_000_019 + run.step)
    quality = torch.rand(count, generator=g) * 255
    kind = (torch.arange(count) + torch.rand(1, generator=g)) / count  # stratified
    some = torch.randint(1, max(2, t.layers), (count,), generator=g)
    layers = torch.where(kind < c.globals_share + c.partial_share, some, t.layers)
    layers = torch.where(kind < c.globals_share, 0, layers)
    noise = torch.rand(count, t.local_channels, side // 16, side // 16, generator=g) - 0.5
    return quality.to(run.device), layers.to(run.device), noise.to(run.device)


def optimise(run: Run, loss: Tensor, world: int) -> None:
    """One update of the weights and of their average."""
    for optimiser in run.optimisers:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [p for p in run.model.parameters() if p.grad is not None]
    if world > 1:
        for p in parameters:
            dist.all_reduce(p.grad)
            assert p.grad is not None
            p.grad /= world
    norm = nn.utils.clip_grad_norm_(parameters, run.config.clip)
    run.sums.setdefault("gradient_norm", []).append(float(norm))
    factor = run.rate_factor()
    for optimiser in run.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        optimiser.step()
    decay = min(run.config.ema, (1 + run.step) / (10 + run.step))
    current = dict(run.model.named_parameters())
    names = list(run.averaged)
    torch._foreach_lerp_(
        [run.averaged[n] for n in names], [current[n].detach() for n in names], 1 - decay
    )


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
        compiled: use torch.compile (a minute or more of warm-up, then a third faster).
        steps: stop after this many steps in all, whatever the time.
        device: auto, cpu or cuda.

    Returns:
        Path of the checkpoint.

    Raises:
        WeightsError: a checkpoint does not fit.
        DatasetError: no photographs.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    where = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else "cpu"
    if world > 1:
        dist.init_process_group("nccl" if cuda else "gloo")
    torch.manual_seed(config.seed)
    model = channels_last(CodecModel(model_config).to(where))
    averaged = {k: v.detach().clone() for k, v in model.named_parameters()}
    run = Run(config, model, torch.device(where), make_optimisers(model, config), averaged)
    out.mkdir(parents=True, exist_ok=True)
    path = out / CHECKPOINT
    if resume:
        tensors, progress = checkpoint.load(path)
        checkpoint.restore(tensors, model, averaged, run.optimisers)
        run.step, run.seconds = progress["step"], progress["seconds"]
        run.token_weight = progress["token_weight"]
    elif warm_start is not None:
        _warm_start(run, warm_start)
    images = load_photographs(data, max(config.small_crop[0], config.large_crop[0]))
    if config.revive and not resume:
        crops = batch(images, config.large_crop[0], 12, (config.seed, 0, 0)).to(run.device)
        revived = revive(model, crops.float() / 255)
        tqdm.write(f"{revived} local channels carried nothing and were made anew", sys.stderr)
        for name, value in model.named_parameters():
            averaged[name].copy_(value.detach())
    forward: nn.Module = TrainingPass(model, structure=config.structure > 0)
    if compiled:
        forward.compile(dynamic=False)
    _loop(run, forward, Prefetcher(images, config.seed, rank), out, rank, world, steps)
    if world > 1:
        dist.destroy_process_group()
    return path


def _warm_start(run: Run, path: Path) -> None:
    """Start from released weights, or from the averaged weights of a checkpoint.

    A model with further token dimensions is grown from them.

    Raises:
        WeightsError: the file is neither, or of another architecture.
    """
    try:
        config, state, _ = read_state(path)
    except WeightsError:
        tensors, progress = checkpoint.load(path)
        config = ModelConfig.from_json(progress["model"])
        state = {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}
    if config != run.model.config:
        state = grown(state, config, run.model.config, run.model)
    run.model.load_state_dict(state, strict=False)
    for name, value in run.averaged.items():
        value.copy_(state[name])


def _loop(
    run: Run,
    forward: nn.Module,
    crops: Prefetcher,
    out: Path,
    rank: int,
    world: int,
    steps: int | None,
) -> None:
    """Steps until the time is over, with a log line and a checkpoint every now and then."""
    bar = tqdm(total=100, unit="%", disable=None if rank == 0 else True, desc="training")
    logged = saved = time.monotonic()
    pixels = 0.0
    bf16 = fast_bf16(run.device.type)
    for raw in crops.batches(run.step, shapes(run)):
        if run.progress >= 1 or (steps is not None and run.step >= steps):
            break
        start = time.monotonic()
        x = raw.to(run.device).to(torch.float32).div_(255)
        x = x.contiguous(memory_format=torch.channels_last)
        quality, layers, noise = draw(run, x.shape[0], x.shape[2], rank)
        with torch.autocast(run.device.type, torch.bfloat16, enabled=bf16):
            result = forward(x, quality, layers, noise)
        optimise(run, loss_of(run, result, quality, layers), world)
        run.step += 1
        pixels += x.shape[0] * x.shape[2] * x.shape[3]
        now = time.monotonic()
        # compiling is not training: a step of a new shape may take minutes
        run.seconds += min(now - start, 5.0)
        if rank == 0 and now - logged > SECONDS_PER_LOG_LINE:
            bar.set_postfix_str(log_line(run, out / LOG, pixels, now - logged)[:60])
            bar.update(int(100 * run.progress) - bar.n)
            logged, pixels = now, 0.0
        if rank == 0 and now - saved > SECONDS_PER_CHECKPOINT:
            checkpoint.save(out / CHECKPOINT, run.model, run.averaged, run.optimisers, run.state())
            saved = now
    if rank == 0:
        checkpoint.save(out / CHECKPOINT, run.model, run.averaged, run.optimisers, run.state())
    bar.close()
