"""Photographs in a device's memory, and training crops cut there: nothing waits for the host.

The crops are those of `data.crop`, many at once. All of them are read as squares of twice their
side and reduced by two matrix products, which also leave alone what is not to be reduced.
Letters: B crops, S their side in pixels.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.errors import DatasetError
from sbtcodec.training.data import (
    COLOURED_SHARE,
    CONTRAST,
    LUMA,
    PERMUTED_SHARE,
    RESIZED_SHARE,
    SATURATION,
)

LOBES = 3  # of the Lanczos window, as Pillow's
ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))  # of channels


class Squares(NamedTuple):
    """Where crops are cut; all int64 [B].

    Attributes:
        photograph: its number.
        top: first row.
        left: first column.
        source: side in pixels of the photograph, from S to 2 S.
    """

    photograph: Tensor
    top: Tensor
    left: Tensor
    source: Tensor


class Colours(NamedTuple):
    """What other colours crops get.

    Attributes:
        wanted: bool [B], whether any.
        order: int64 [B], of ORDERS.
        saturation: float32 [B].
        contrast: float32 [B].
    """

    wanted: Tensor
    order: Tensor
    saturation: Tensor
    contrast: Tensor


class Photographs:
    """Photographs as bytes on a device."""

    def __init__(self, images: list[NDArray[np.uint8]], device: torch.device) -> None:
        """Copy uint8 [H, W, 3] images of any sizes to `device`.

        Raises:
            DatasetError: there are none.
        """
        if not images:
            raise DatasetError("there is no photograph to train on; expected one or more")
        sizes = [image.shape[:2] for image in images]
        ends = np.cumsum([h * w for h, w in sizes])
        self.count, self.device = len(images), device
        self.smallest_side = min(min(size) for size in sizes)
        self.pixels = torch.empty(int(ends[-1]), 3, dtype=torch.uint8, device=device)
        for image, end in zip(images, ends.tolist(), strict=True):
            rows = torch.from_numpy(np.array(image).reshape(-1, 3))
            self.pixels[end - len(rows) : end] = rows.to(device)
        self.starts, self.heights, self.widths = (
            torch.tensor(values, dtype=torch.int64, device=device)
            for values in ([0, *ends[:-1].tolist()], *zip(*sizes, strict=True))
        )
        self.orders = torch.tensor(ORDERS, dtype=torch.int64, device=device)
        self.luma = torch.from_numpy(LUMA).to(device)

    def drawn(self, side: int, count: int, generator: torch.Generator) -> tuple[Squares, Colours]:
        """Where crops are cut and what colours they get, by numbers of a generator of the device.

        Args:
            side: of the crops; at most `smallest_side`.
            count: of crops.
            generator: on the same device.
        """
        share = torch.rand(9, count, generator=generator, device=self.device)
        photograph = _below(self.count, share[0])
        height, width = self.heights[photograph], self.widths[photograph]
        largest = torch.minimum(height, width).clamp_max(2 * side)
        source = torch.where(
            share[1] < RESIZED_SHARE, side + _below(largest - side + 1, share[2]), side
        )
        top, left = _below(height - source + 1, share[3]), _below(width - source + 1, share[4])
        # one number for both decisions: a share of the lowest share
        permuted = (share[5] < COLOURED_SHARE * PERMUTED_SHARE).long()
        (s_low, s_high), (c_low, c_high) = SATURATION, CONTRAST
        colours = Colours(
            share[5] < COLOURED_SHARE,
            _below(len(ORDERS), share[6]) * permuted,
            s_low + (s_high - s_low) * share[7],
            c_low + (c_high - c_low) * share[8],
        )
        return Squares(photograph, top, left, source), colours

    def crops(self, side: int, count: int, generator: torch.Generator) -> Tensor:
        """Random crops as the networks take them: float32 [B, 3, S, S] in [0, 1].

        Args:
            side: S; at most `smallest_side`.
            count: B.
            generator: on the same device.
        """
        squares, colours = self.drawn(side, count, generator)
        x = self.recoloured(self.cut(squares, side), colours)
        mirrored = torch.rand(count, 1, 1, 1, generator=generator, device=self.device) < 0.5
        x = torch.where(mirrored, x.flip(3), x) / 255
        return x.contiguous(memory_format=torch.channels_last)

    def cut(self, squares: Squares, side: int) -> Tensor:
        """Squares of photographs, reduced to `side`: whole numbers, float32 [B, 3, S, S]."""
        offsets = torch.arange(2 * side, device=self.device)
        inside = torch.minimum(offsets, squares.source[:, None] - 1)  # the rest weighs nothing
        rows, columns = squares.top[:, None] + inside, squares.left[:, None] + inside
        first = (
            self.starts[squares.photograph][:, None]
            + rows * self.widths[squares.photograph][:, None]
        )
        at = first[:, :, None] + columns[:, None, :]
        values = self.pixels[at].permute(0, 3, 1, 2).float()  # [B, 3, 2 S, 2 S]
        weights = _weights(squares.source, side)[:, None]
        across = (values @ weights.mT).round().clamp(0, 255)
        return (weights @ across).round().clamp(0, 255)

    def recoloured(self, x: Tensor, colours: Colours) -> Tensor:
        """The same crops, [B, 3, S, S] in [0, 255], in the colours that are wanted of some."""
        order = self.orders[colours.order][:, :, None, None].expand_as(x)
        permuted = x.gather(1, order)
        luma = (permuted * self.luma[:, None, None]).sum(1, keepdim=True)
        mean = luma.mean((2, 3), keepdim=True)
        saturation, contrast = (
            t[:, None, None, None] for t in (colours.saturation, colours.contrast)
        )
        made = mean + contrast * (luma + saturation * (permuted - luma) - mean)
        return torch.where(colours.wanted[:, None, None, None], made.round().clamp(0, 255), x)


def _below(limit: int | Tensor, share: Tensor) -> Tensor:
    """Whole numbers from 0 to `limit` - 1, by shares of one: int64."""
    return (share * limit).long().clamp(max=limit - 1)


def _weights(source: Tensor, side: int) -> Tensor:
    """Lanczos weights that reduce `source` places, int64 [B], to `side`: float32 [B, S, 2 S]."""
    scale = (source.float() / side)[:, None, None]
    centres = torch.arange(side, device=source.device)[:, None] + 0.5
    places = torch.arange(2 * side, device=source.device) + 0.5
    at = places / scale - centres
    weights = torch.sinc(at) * torch.sinc(at / LOBES) * (at.abs() < LOBES)
    weights = weights * (places < source[:, None, None])
    return weights / weights.sum(2, keepdim=True)
