"""Local tokens of squares of photographs, in 8 bits, and what their errors are worth."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.models.release import Release
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.tokenizer.config import STEPS_ALONE
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.training.sensitivity import root_of, sensitivity

MARGIN = 1.15  # of the largest number of a channel that the coding was chosen on
LARGEST = 127
PROBED = 12  # squares that the decoder is linearised on

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Coding:
    """How local tokens are kept, and what an error of theirs is worth; C coarse channels.

    Attributes:
        mean: float32 [C].
        step: float32 [C]; what is more than 127 of them from the mean is cut off.
        rounding: float32 [C], the mean squared error that this makes, relative to the variance.
        root: float32 [C, C]; the squared length of `root` times an error is the form of
            `sbtcodec.training.sensitivity`, as a share of what the mean of each channel leaves.
        scale: float32 [1]: what that is, in squared samples in [0, 1].
        pixel_variance: float32 [1], of samples in [0, 1] around the mean of their square.
    """

    mean: Tensor
    step: Tensor
    rounding: Tensor
    root: Tensor
    scale: Tensor
    pixel_variance: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """The attributes by name."""
        return {f.name: getattr(self, f.name).contiguous() for f in fields(self)}

    def coded(self, y: Tensor) -> NDArray[np.int8]:
        """Float32 [n, C, H, W] as int8 [n, H, W, C]."""
        steps = (y.permute(0, 2, 3, 1) - self.mean) / self.step
        coded: NDArray[np.int8] = steps.round().clamp(-LARGEST, LARGEST).to(torch.int8).numpy()
        return coded

    def decoded(self, kept: NDArray[np.int8]) -> Tensor:
        """The inverse of `coded`: float32 [n, C, H, W], the channels of a place side by side."""
        y: Tensor = torch.from_numpy(kept).float() * self.step + self.mean
        return y.permute(0, 3, 1, 2)

    def error(self, y_hat: Tensor, y: Tensor) -> Tensor:
        """What errors are worth: float32 [n], of float32 [n, C, H, W] each.

        The form of `sbtcodec.training.sensitivity`, as a share of what the mean of each channel
        would leave: 1 for a prediction that says nothing, 0 for an exact one. Model 9 has 0.05.
        """
        d = (y_hat.float() - y).permute(0, 2, 3, 1)
        return (d @ self.root.to(d.device).T).square().sum(3).mean((1, 2))


@torch.inference_mode()
def local_tokens(release: Release, squares: RGB, device: str) -> tuple[NDArray[np.uint8], Tensor]:
    """Tokens of squares uint8 [n, side, side, 3], the side a multiple of 32.

    Returns:
        levels of files of global tokens alone, uint8 [n, dims, H, W], and coarse local tokens of
        the encoder, float32 [n, coarse_channels, 2H, 2W].
    """
    tokenizer = release.model.tokenizer
    local_encoder, global_encoder = tokenizer.encoders
    x = torch.tensor(squares, device=device).permute(0, 3, 1, 2).float() / 255
    kind = torch.device(device).type
    with torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
        y = local_encoder(pixel_rows(x)).float()
        steps = torch.full((len(x),), STEPS_ALONE, device=device)
        chosen = tokenizer.fitted(y, global_encoder(y), steps)
    levels: NDArray[np.uint8] = chosen.levels.to("cpu", torch.uint8).numpy()
    return levels, y[:, : tokenizer.config.coarse_channels].cpu()


def coding_of(release: Release, squares: Sequence[tuple[int, RGB]], device: str) -> Coding:
    """Choose the coding, and measure what it costs and what errors are worth.

    Args:
        release: the model.
        squares: the side of each, and its pixels uint8 [side, side, 3].
        device: where to compute.
    """
    tokenizer = release.model.tokenizer
    channels = tokenizer.config.coarse_channels
    found, metrics, variances = [], [], []
    for number, (_, rgb) in enumerate(squares):
        levels, y = local_tokens(release, rgb[None], device)
        found.append(y[0].flatten(1).T)
        variances.append(float(np.var(rgb / 255, axis=(0, 1)).mean()))
        if number % max(1, len(squares) // PROBED) == 0:
            values = tokenizer.fsq.to_values(torch.from_numpy(levels).to(device).float())
            with torch.no_grad():
                predicted = tokenizer.predicted(pixel_rows(values))[:, :channels]
            metrics.append(sensitivity(tokenizer, predicted, number))
    rows = torch.cat(found)
    mean = rows.mean(0)
    away = rows - mean
    step = (away.abs().amax(0) * MARGIN / LARGEST).clamp_min(1e-6)
    metric = torch.stack(metrics).mean(0)
    worth = torch.einsum("nc,cd,nd->", away.double(), metric, away.double()) / len(away)
    rounded = (away / step).round().clamp(-LARGEST, LARGEST) * step
    return Coding(
        mean=mean,
        step=step,
        rounding=(rounded - away).square().mean(0) / away.square().mean(0).clamp_min(1e-12),
        root=root_of(metric / worth).float(),
        scale=worth.float().reshape(1),
        pixel_variance=torch.tensor([float(np.mean(variances))]),
    )
