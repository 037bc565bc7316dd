"""Tokens of images, and what could be said of the local ones without the bootstrap.

Letters: C channels of a local token, H W rows and columns of one image's latents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.inside import Inside
from sbtcodec.evaluation.metrics import Rgb


@dataclass(frozen=True)
class Photo:
    """An image with its tokens.

    Attributes:
        rgb: uint8 [rows, columns, 3].
        y: the encoder's local tokens, float32 [1, C, H, W].
        z: values of the global tokens, float32 [1, dims, H / 2, W / 2].
        predicted: local tokens predicted from the global ones alone, float32 [1, C, H, W].
    """

    rgb: Rgb
    y: Tensor
    z: Tensor
    predicted: Tensor


def photo_of(inside: Inside, rgb: Rgb) -> Photo:
    """Run the networks on an image."""
    y = inside.local_tokens(rgb)
    z = inside.global_tokens(y)
    return Photo(rgb, y, z, inside.predicted(z))


def channel_means(photos: Sequence[Photo]) -> Tensor:
    """Mean of every channel of the encoder's local tokens, all images together: [1, C, 1, 1]."""
    rows = torch.cat([p.y[0].flatten(1) for p in photos], 1)
    return rows.mean(1)[None, :, None, None]


def linear_predictions(photos: Sequence[Photo]) -> list[Tensor]:
    """The best that a linear map of 3x3 global tokens can say, fitted on these very images.

    Returns:
        For each image, local tokens float32 [1, C, H, W].
    """
    inputs = [_neighbourhoods(p.z) for p in photos]
    targets = [F.pixel_unshuffle(p.y, 2)[0].flatten(1).T.double() for p in photos]
    # gelsd: few images may leave directions undetermined
    fit = torch.linalg.lstsq(torch.cat(inputs), torch.cat(targets), driver="gelsd").solution
    found = []
    for photo, rows in zip(photos, inputs, strict=True):
        latents = (rows @ fit).T.reshape(1, -1, *photo.z.shape[2:])
        found.append(F.pixel_shuffle(latents.float(), 2))
    return found


def _neighbourhoods(z: Tensor) -> Tensor:
    """3x3 global tokens around each, and a one: float64 [tokens, 9 dims + 1]."""
    rows = F.unfold(F.pad(z, (1, 1, 1, 1), mode="replicate").double(), 3)[0].T
    return torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
