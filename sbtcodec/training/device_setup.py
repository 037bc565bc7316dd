"""What a run on a device begins with: model, photographs, precision, compiled or not."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from sbtcodec.errors import ArgumentError, DatasetError, DeviceError
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.config import ModelConfig
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.training.config import TrainingConfig
from sbtcodec.training.device_kernels import fused_kernels
from sbtcodec.training.device_step import DeviceStep, Forward, in_float32
from sbtcodec.training.fine_channels import set_fine_channels_of
from sbtcodec.training.objective import drawn, forward_of, parts_of
from sbtcodec.training.resident import Photographs
from sbtcodec.training.revival import revive_run
from sbtcodec.training.run import FINE_CROPS, start_from
from sbtcodec.training.state import begun

COMPILED = ("no", "kernels", "whole")
PRECISIONS = ("none", "heads", "encoders", "all")
REVIVAL_CROPS = 12
# How far a compiled step may be from one that is not: rounding to bfloat16 happens elsewhere.
LOSS_APART, GRADIENT_APART = 0.02, 0.15


@dataclass(frozen=True)
class DeviceOptions:
    """How a device is used; what is learnt is the recipe's.

    Attributes:
        device: cpu or cuda.
        float32: what computes in float32 where the rest is in bfloat16, one of PRECISIONS: none;
            heads, which are the integer networks and the last layers before a rounding, whose
            gradients decide which way a token goes; encoders, with adapters, whole; or all.
        compiled: one of COMPILED: no; kernels of ours for chains of small operations, on CUDA; or
            the whole forward pass by torch.compile, which takes minutes. Neither is used if it
            fails or its gradients are not those of the networks as they are.
        steps: stop after this many steps, whatever the time.
    """

    device: str = "cuda"
    float32: str = "heads"
    compiled: str = "no"
    steps: int | None = None

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ArgumentError: `float32` is none of PRECISIONS, or `compiled` none of COMPILED.
            DeviceError: there is no such device.
        """
        for name, known in (("float32", PRECISIONS), ("compiled", COMPILED)):
            if getattr(self, name) not in known:
                raise ArgumentError(
                    f"{name}={getattr(self, name)!r}, expected one of {', '.join(known)}"
                )
        if self.device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("no CUDA device is available; use the device cpu")


def prepared(
    config: TrainingConfig,
    model_config: ModelConfig,
    images: list[NDArray[np.uint8]],
    warm_start: Path | None,
    options: DeviceOptions,
) -> DeviceStep:
    """Everything on the device, and no step made.

    Args:
        config: the recipe.
        model_config: the sizes.
        images: photographs, uint8 [H, W, 3]; those too small for a crop are left out.
        warm_start: released weights, or a checkpoint, to start from.
        options: how the device is used.

    Raises:
        WeightsError: the warm start does not fit.
        DatasetError: no photograph is large enough.
    """
    device = torch.device(options.device)
    torch.backends.cudnn.benchmark = True  # shapes are few, and stay
    torch.backends.cudnn.benchmark_limit = 4  # ways to do each convolution that are tried
    side, count = config.large_crop
    largest = max(side, config.small_crop[0] if config.small_share else 0)
    large = [image for image in images if min(image.shape[:2]) >= largest]
    if not large:
        raise DatasetError(
            f"none of {len(images)} photographs has {largest} pixels a side, which the crops need"
        )
    photographs = Photographs(large, device)
    generator = torch.Generator(device).manual_seed(config.seed * 1_000_003)
    run = begun(config, model_config, device, unread=True)
    before = model_config if warm_start is None else start_from(run, warm_start)
    if model_config.tokenizer.fine_channels and not before.tokenizer.fine_channels:
        set_fine_channels_of(run, photographs.crops(side, FINE_CROPS, generator))
    if config.revive:
        revive_run(run, photographs.crops(side, REVIVAL_CROPS, generator))
    forward = forward_of(run.model, config, globals_first=True)
    bf16 = fast_bf16(device.type) and options.float32 != "all"
    if bf16:
        for module in _held_back(run.model, options.float32):
            in_float32(module)
    step = DeviceStep(run, forward, photographs, generator, bf16=bf16)
    if options.compiled != "no":
        _compile(step, options.compiled, side, count)
    return step


def _held_back(model: CodecModel, float32: str) -> list[nn.Module]:
    """The modules that compute in float32 where the rest does not."""
    t = model.tokenizer
    local_encoder, global_encoder = t.encoders
    adapters = [a for a in (t.adapter, t.token_adapter, t.alone_adapter) if a is not None]
    integer = [m for net in (model.prior, model.scales) for _, m in net.convs()]
    if float32 == "none":
        return []
    if float32 == "encoders":
        return [*integer, local_encoder, global_encoder, *adapters]
    heads = [local_encoder.layers[-1], global_encoder.head, *[a.head for a in adapters]]
    if local_encoder.fine_channels is not None:
        heads += [local_encoder.fine_channels.of_pixels, local_encoder.fine_channels.of_tokens]
    return [*integer, *heads]


def _compile(step: DeviceStep, what: str, side: int, count: int) -> None:
    """Compile a step's forward pass; or leave it if it were another one then, which is told."""
    t, generator = step.run.model.config.tokenizer, step.generator
    x = step.photographs.crops(side, count, generator)
    draws = drawn(step.run.config, t, count, side, generator)
    undo = ExitStack()
    try:
        wanted = _loss_and_gradient(step, step.forward, x, *draws)
        if what == "kernels":
            undo.enter_context(fused_kernels())
            forward = step.forward
        else:
            forward = torch.compile(step.forward, dynamic=False)
        made = _loss_and_gradient(step, forward, x, *draws)
    except Exception as error:  # noqa: BLE001 - a compiler raises anything
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    else:
        loss, gradient = (abs(a / b - 1) for a, b in zip(made, wanted, strict=True))
        if loss <= LOSS_APART and gradient <= GRADIENT_APART:  # and not NaN
            plain = step.forward
            step.forward = forward

            def as_before() -> None:
                undo.close()
                step.forward = plain

            step.undo = as_before
            return
        reason = f"its loss is {loss:.1%} off, and the norm of its gradient {gradient:.1%}"
    undo.close()
    tqdm.write(f"the networks are not compiled: {reason}", sys.stderr)


def _loss_and_gradient(
    step: DeviceStep, forward: Forward, x: Tensor, quality: Tensor, layers: Tensor, noise: Tensor
) -> tuple[float, float]:
    """The loss of a batch, and the norm of its gradient; nothing is learnt."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=step.bf16):
        out = forward(x, quality, layers, noise)
    loss = parts_of(step.run.config, out, quality, layers, step.token_weight)["loss"]
    gradients = torch.autograd.grad(loss, step.learning, allow_unused=True)
    return float(loss.detach()), float(
        nn.utils.get_total_norm([g for g in gradients if g is not None])
    )
