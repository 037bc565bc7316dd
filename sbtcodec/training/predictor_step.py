"""A step of the predictor: its squares, and what it minimises.

The loss is the error of local tokens, weighted by what it costs in pixels (`Coding.error`): it
draws prediction and local tokens together, as in the training of a whole model, where both move.
Beside it or in its place there can be the error of pixels through the frozen decoder.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sbtcodec.errors import DatasetError
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.tokenizer.model import Tokenizer
from sbtcodec.training.local_data import LocalData, Squares
from sbtcodec.training.local_tokens import Coding
from sbtcodec.training.sensitivity import picture_of

GROUP = 16  # squares that are measured together


@dataclass(frozen=True)
class Batch:
    """Squares of one size.

    Attributes:
        values: of global tokens, float32 [B, dims, H, W].
        y: coarse local tokens, float32 [B, C, 2H, 2W].
        pixels: float32 [B, 3, 32H, 32W] in [0, 1], where they are kept.
    """

    values: Tensor
    y: Tensor
    pixels: Tensor | None

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        pixels = None if self.pixels is None else self.pixels.to(device)
        return Batch(self.values.to(device), self.y.to(device), pixels)


class Batches:
    """Squares of a step: from the seed, the process and the number of the step alone."""

    def __init__(self, data: LocalData, tokenizer: Tokenizer, count: int, seed: int) -> None:
        """Serve `count` squares of `data` a step, all of one size."""
        self.data, self.tokenizer, self.count, self.seed = data, tokenizer, count, seed
        sizes = np.array([len(s.photographs) for s in data.squares], np.float64)
        self.shares = sizes / sizes.sum()

    def batch(self, step: int, rank: int) -> Batch:
        """Each size as often as its share of the squares."""
        rng = np.random.default_rng((self.seed, rank, step))
        squares = self.data.squares[int(rng.choice(len(self.shares), p=self.shares))]
        # in the order of the files
        rows = np.sort(rng.integers(0, len(squares.photographs), self.count))
        return taken(squares, rows, self.data.coding, self.tokenizer)


def taken(squares: Squares, rows: NDArray[np.int64], coding: Coding, tokenizer: Tokenizer) -> Batch:
    """Some rows of squares, on the CPU."""
    counts = tokenizer.fsq.counts.cpu()
    levels = torch.from_numpy(np.array(squares.levels[rows]))
    values = (2 * levels.float() + 1) / counts - 1
    pixels = None
    if squares.pixels is not None:
        pixels = torch.from_numpy(np.array(squares.pixels[rows])).permute(0, 3, 1, 2).float() / 255
    return Batch(pixel_rows(values), coding.decoded(np.array(squares.y[rows])), pixels)


def loss_of(
    model: nn.Module,
    batch: Batch,
    coding: Coding,
    *,
    decoder: Tokenizer | None = None,
    bootstrap: bool = True,
) -> Tensor:
    """The sum of a batch's mean errors, each a share of what a prediction leaves that says nothing.

    Args:
        model: the predictor.
        batch: on its device.
        coding: of the local tokens.
        decoder: the frozen model whose pictures are compared; pictures are not, without.
        bootstrap: compare local tokens.

    Raises:
        DatasetError: pictures are to be compared, and pixels were not kept.
    """
    y_hat = model(batch.values)
    loss: Tensor = y_hat.new_zeros(())
    if bootstrap:
        loss = loss + coding.error(y_hat, batch.y).mean()
    if decoder is None:
        return loss
    if batch.pixels is None:
        raise DatasetError("these tokens were kept without pixels; compute them anew, with pixels")
    error = (picture_of(decoder, y_hat).float() - batch.pixels).square().mean()
    return loss + error / coding.pixel_variance.to(error.device)[0]


@torch.inference_mode()
def held_out_error(
    model: nn.Module, tokenizer: Tokenizer, data: LocalData, coding: Coding
) -> float:
    """The mean of `Coding.error` over all squares; errors are worth what `coding` says."""
    device = next(model.parameters()).device
    total = 0.0
    for squares in data.squares:
        for rows in np.split(
            np.arange(len(squares.photographs)), range(GROUP, len(squares.photographs), GROUP)
        ):
            batch = taken(squares, rows, data.coding, tokenizer).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=fast_bf16(device.type)):
                y_hat = model(batch.values)
            total += float(coding.error(y_hat, batch.y).sum())
    return total / len(data)
