"""A training run on one device, for a given time: photographs and steps stay there.

The host sets rates of learning and reads sums now and then, but waits for no step. Unlike `run`, it
does not resume: a borrowed device is gone afterwards, and what comes home are averaged weights.
"""

import sys
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from sbtcodec.models.config import ModelConfig
from sbtcodec.training.config import TrainingConfig
from sbtcodec.training.device_setup import DeviceOptions, prepared
from sbtcodec.training.device_step import CapturedStep, DeviceStep
from sbtcodec.training.run import LOG, log_line
from sbtcodec.training.split_weights import split

AHEAD = 2  # steps that the host may be ahead of the device
SECONDS_PER_LOG_LINE = 10.0
SECONDS_PER_EXPORT = 90.0  # if the run is cut off, at most this much is lost
SECONDS_TO_EXPORT = 2.0  # kept free at the end


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
        The files of averaged weights; `split_weights.join` makes a checkpoint of them.

    Raises:
        WeightsError: the warm start does not fit, or gradients are not finite.
        DatasetError: no photograph is large enough.
    """
    end = time.monotonic() + seconds - SECONDS_TO_EXPORT
    options = options or DeviceOptions()
    step = prepared(config, model_config, images, warm_start, options)
    out.mkdir(parents=True, exist_ok=True)
    step.run.config = replace(config, minutes=max(end - time.monotonic(), 0.001) / 60)
    return _loop(step, out, options.steps)


def _loop(step: DeviceStep, out: Path, steps: int | None) -> list[Path]:
    """Steps until the time is over."""
    run = step.run
    began = logged = saved = time.monotonic()
    pending: deque[torch.cuda.Event] = deque()
    captured: CapturedStep | None = None
    pixels = 0.0
    while run.progress < 1 and (steps is None or run.step < steps):
        c = run.config
        shape = c.small_crop if run.progress < c.small_share else c.large_crop
        before = run.step
        if captured is None or captured.shape != shape:
            captured = None  # its memory is given back first
            captured = CapturedStep(step, *shape)
        captured()
        if run.device.type == "cuda":
            pending.append(torch.cuda.Event(blocking=True))  # type: ignore[no-untyped-call]
            pending[-1].record()
            if len(pending) > AHEAD:
                pending.popleft().synchronize()
        pixels += shape[0] ** 2 * shape[1] * (run.step - before)
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
    if pixels:
        log_line(run, out / LOG, pixels, time.monotonic() - logged)
    return split(run.averaged, run.state(), out)
