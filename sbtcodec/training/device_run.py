"""A training run on one device, for a given time: photographs and steps stay there.

The host sets rates of learning and reads sums now and then, but waits for no step. Unlike `run`, it
does not resume: a borrowed device is gone afterwards, and what comes home are averaged weights.
"""

import sys
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from sbtcodec.errors import ArgumentError, DatasetError, DeviceError
from sbtcodec.latents.estimate import fast_bf16
from sbtcodec.models.config import CodecModel, ModelConfig
from sbtcodec.tokenizer.layers import channels_last
from sbtcodec.training.config import TrainingConfig
from sbtcodec.training.device_step import CapturedStep, DeviceStep, in_float32
from sbtcodec.training.objective import fitted_up_to
from sbtcodec.training.parts import split
from sbtcodec.training.resident import Photographs
from sbtcodec.training.run import LOG, log_line, start_from
from sbtcodec.training.state import Run, make_optimisers
from sbtcodec.training.step import TrainingPass

AHEAD = 2  # steps that the host may be ahead of the device
SECONDS_PER_LOG_LINE = 10.0
SECONDS_PER_EXPORT = 90.0  # if the run is cut off, at most this much is lost
SECONDS_TO_EXPORT = 2.0  # kept free at the end
PRECISIONS = ("none", "heads", "encoders", "all")


@dataclass(frozen=True)
class DeviceOptions:
    """How a device is used; what is learnt is the recipe's.

    Attributes:
        device: cpu or cuda.
        float32: what computes in float32 where the rest is in bfloat16, one of PRECISIONS: none;
            integer networks and the last layers before a rounding, whose gradients decide which way
            a token goes; the encoders and adapters, whole; or all.
        compiled: use torch.compile first, which takes a minute or more.
        steps: stop after this many steps, whatever the time.
    """

    device: str = "cuda"
    float32: str = "heads"
    compiled: bool = False
    steps: int | None = None

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ArgumentError: `float32` is none of PRECISIONS.
            DeviceError: there is no such device.
        """
        if self.float32 not in PRECISIONS:
            raise ArgumentError(
                f"float32={self.float32!r}, expected one of {', '.join(PRECISIONS)}"
            )
        if self.device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("no CUDA device is available; use the device cpu")


def train_on_device(
    config: TrainingConfig,
    model_config: ModelConfig,
    images: list[NDArray[np.uint8]],
    *,
    out: Path,
    seconds: float,
    warm_start: Path | None = None,
    options: DeviceOptions | None = None,
) -> list[Path]:
    """Train for a time, and leave averaged weights and `log.jsonl` in `out`.

    Args:
        config: the recipe; its minutes are not used, and its crops should be many: 64 to 256.
        model_config: the sizes.
        images: photographs, uint8 [H, W, 3]; those too small for a crop are left out.
        out: folder of the run.
        seconds: from this call to its end, everything included.
        warm_start: released weights, or a checkpoint, to start from.
        options: how the device is used.

    Returns:
        The files of averaged weights; `parts.join` makes a checkpoint of them.

    Raises:
        WeightsError: the warm start does not fit, or gradients are not finite.
        DatasetError: no photograph is large enough.
    """
    began = time.monotonic()
    options = options or DeviceOptions()
    device = torch.device(options.device)
    run = _begun(config, model_config, device, warm_start)
    side = max(config.small_crop[0] if config.small_share else 0, config.large_crop[0])
    large = [image for image in images if min(image.shape[:2]) >= side]
    if not large:
        raise DatasetError(f"none of {len(images)} photographs has {side} pixels a side")
    generator = torch.Generator(device).manual_seed(config.seed * 1_000_003)
    forward: nn.Module = TrainingPass(
        run.model,
        with_ms_ssim=config.ms_ssim_share > 0,
        fitted=fitted_up_to(config),
        alone=config.globals_share >= 1,
    )
    bf16 = fast_bf16(device.type) and options.float32 != "all"
    if bf16:
        for module in _held_back(run.model, options.float32):
            in_float32(module)
    if options.compiled:
        forward.compile(dynamic=False)
    step = DeviceStep(run, forward, Photographs(large, device), generator, bf16=bf16)
    out.mkdir(parents=True, exist_ok=True)
    left = seconds - SECONDS_TO_EXPORT - (time.monotonic() - began)
    run.config = replace(config, minutes=max(left, 0.001) / 60)
    return _loop(run, step, out, options.steps)


def _begun(
    config: TrainingConfig, model_config: ModelConfig, device: torch.device, warm_start: Path | None
) -> Run:
    """A run that has not made a step."""
    torch.manual_seed(config.seed)
    model = channels_last(CodecModel(model_config).to(device))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not config.only or name.startswith(config.only))
    averaged = {k: v.detach().clone() for k, v in model.named_parameters()}
    run = Run(config, model, device, make_optimisers(model, config, unread=True), averaged)
    if warm_start is not None:
        start_from(run, warm_start)
    return run


def _held_back(model: CodecModel, float32: str) -> list[nn.Module]:
    """The modules that compute in float32 where the rest does not."""
    t = model.tokenizer
    local_encoder, global_encoder = t.encoders
    adapters = [a for a in (t.adapter, t.token_adapter, t.alone_adapter) if a is not None]
    integer = [m for net in (model.prior, model.scales) for _, m in net.convs()]
    if float32 == "none":
        return []
    if float32 == "encoders":
        return [*integer, *local_encoder.layers, global_encoder, *adapters]
    heads = [local_encoder.layers[-1], global_encoder.head, *[a.head for a in adapters]]
    return [*integer, *heads]


def _loop(run: Run, step: DeviceStep, out: Path, steps: int | None) -> list[Path]:
    """Steps until the time is over."""
    began = logged = saved = time.monotonic()
    pending: deque[torch.cuda.Event] = deque()
    captured: CapturedStep | None = None
    pixels = 0.0
    while run.progress < 1 and (steps is None or run.step < steps):
        c = run.config
        shape = c.small_crop if run.progress < c.small_share else c.large_crop
        if captured is None or captured.shape != shape:
            captured = None  # its memory is given back first
            captured = CapturedStep(step, *shape)
        captured()
        if run.device.type == "cuda":
            pending.append(torch.cuda.Event(blocking=True))  # type: ignore[no-untyped-call]
            pending[-1].record()
            if len(pending) > AHEAD:
                pending.popleft().synchronize()
        pixels += shape[0] ** 2 * shape[1]
        now = time.monotonic()
        run.seconds = now - began
        if now - logged > SECONDS_PER_LOG_LINE:
            step.read()
            tqdm.write(log_line(run, out / LOG, pixels, now - logged), sys.stderr)
            logged, pixels = now, 0.0
        if now - saved > SECONDS_PER_EXPORT:
            split(run.averaged, run.state(), out)
            saved = now
    step.read()
    if step.run.sums and pixels:
        log_line(run, out / LOG, pixels, time.monotonic() - logged)
    return split(run.averaged, run.state(), out)
