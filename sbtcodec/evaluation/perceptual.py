"""A perceptual distance: how far apart two images are in the features of a VGG-16 trunk.

What it is: the unlearned baseline of Zhang et al. 2018 (arXiv 1801.03924), with every channel
weighted alike, on the trunk of the edge detector HED. What it is not: LPIPS or DISTS. Those have
weights learned from human judgements, on networks trained to classify; their numbers and those of
`VggDistance` must not be compared.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.errors import ImageError
from sbtcodec.evaluation.metrics import Rgb, check_pair
from sbtcodec.models.vgg_trunk import MEAN_BGR, after_blocks, read_trunk

MIN_SIDE = 8
"""Shortest side of an image: it is halved three times."""

_EPSILON = 1e-10


class VggDistance:
    """The mean squared difference of two images' normalised VGG-16 features; 0 when identical.

    The trunk is blocks 1 to 4 of VGG-16 (LPIPS has a fifth), 3x3 convolutions with one pixel of
    zeros around, a ReLU after each and 2x2 maximum pooling between blocks. Its input is B, G, R in
    0..255 less the means 104.00699, 116.66877 and 122.67892. The features after each block are
    divided by their length over the channels, place by place. The distance of a block is the
    squared length of the difference of the two images' features, averaged over all places: twice
    one minus their mean cosine, 0 to 2. The result is the mean over the four blocks.

    Takes about 0.4 GB of memory and 0.3 tera-operations for each megapixel of the larger image.

    Example:
        >>> distance = VggDistance(Path("vgg16_hed.safetensors"))  # doctest: +SKIP
        >>> distance(x, x_hat)  # doctest: +SKIP
        0.183
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        """Load a trunk.

        Args:
            path: a safetensors file with `convB_I.weight` [out, in, 3, 3] and `convB_I.bias` [out],
                block B from 1 to 4 and I from 1 on, of any floating type; others are ignored.
            device: where to compute, `cpu` or `cuda`.

        Raises:
            SbtError: the file is missing or does not hold such a trunk.
        """
        self.device = torch.device(device)
        self.blocks = read_trunk(path, self.device)

    def __call__(self, x: Rgb, x_hat: Rgb) -> float:
        """The distance of two images uint8 `[H, W, 3]`; see `to`."""
        return self.to(x)(x_hat)

    def to(self, x: Rgb) -> Callable[[Rgb], float]:
        """The distance to one image, whose features are computed once for many others.

        Args:
            x: the original, uint8 `[H, W, 3]`.

        Returns:
            A function of a decoded image, uint8 `[H, W, 3]`.

        Raises:
            ImageError: an image is not uint8 `[H, W, 3]`, has a side under 8 pixels, or the two
                differ in size.
        """
        check_pair(x, x)
        if min(x.shape[:2]) < MIN_SIDE:
            msg = f"the image is {x.shape[1]}x{x.shape[0]} pixels; each side takes {MIN_SIDE}"
            raise ImageError(msg)
        wanted = self._features(x)

        def distance(x_hat: Rgb) -> float:
            check_pair(x, x_hat)
            pairs = zip(wanted, self._features(x_hat), strict=True)
            return float(np.mean([float((a - b).square().sum(1).mean()) for a, b in pairs]))

        return distance

    @torch.inference_mode()
    def _features(self, rgb: Rgb) -> list[Tensor]:
        """Normalised features after each block, float32 [1, C, H / 2^b, W / 2^b]."""
        found = self.activations(np.array(rgb)[None])
        return [h / (h.square().sum(1, keepdim=True).sqrt() + _EPSILON) for h in found]

    @torch.inference_mode()
    def activations(self, pictures: NDArray[np.uint8]) -> list[Tensor]:
        """Features after each block, as they are: float32 [n, C, H / 2^b, W / 2^b].

        Args:
            pictures: uint8 [n, H, W, 3], of at least MIN_SIDE pixels each way.
        """
        mean = torch.tensor(MEAN_BGR, device=self.device)
        pixels = torch.from_numpy(pictures).to(self.device).flip(3).float() - mean
        return after_blocks(self.blocks, pixels.permute(0, 3, 1, 2))  # channels_last
