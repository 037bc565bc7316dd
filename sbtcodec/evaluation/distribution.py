"""How far two sets of pictures are apart: Frechet and kernel distance of their features.

The features here are those of a VGG-16 trunk (see `perceptual`), so that the numbers are ours: they
must not be compared with FID and KID, whose features are those of an Inception network.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.errors import ImageError, WeightsError
from sbtcodec.evaluation.download import sha256_of
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.evaluation.perceptual import MIN_SIDE, VggDistance
from sbtcodec.runtime.batches import batches

Features = NDArray[np.float64]

BLOCKS = (2, 3)  # whose means are the features: the last two of four
COMPONENTS = 64
"""Principal components in which the Frechet distance is taken: 500 pictures fix no more."""

BATCH = 8

BLOCK = 256
"""Rows of the kernel's matrices that are there at a time: those of 50 000 pictures fill 20 GB."""


@dataclass(frozen=True)
class VggNetwork:
    """A VGG-16 trunk as a network of features, not loaded yet; see `FeatureNetwork`.

    Attributes:
        trunk: its file, see `VggDistance`.
        device: where it runs, `cpu` or `cuda`.
    """

    trunk: Path
    device: str = "cpu"

    @property
    def min_side(self) -> int:
        """Shortest side of a picture, in pixels."""
        return MIN_SIDE

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the trunk's file, in hexadecimal.

        Raises:
            WeightsError: there is no such file.
        """
        try:
            return sha256_of(self.trunk)
        except OSError as error:
            raise WeightsError(
                f"the VGG-16 trunk {self.trunk} cannot be read ({error.strerror}), expected a "
                "safetensors file; pass trunk=PATH"
            ) from error

    @property
    def key(self) -> str:
        """What tells it from other networks."""
        return f"{self.description}, torch {torch.__version__}, {self.device}"

    @property
    def description(self) -> str:
        """Network, weights and features, for the records."""
        return (
            f"VGG-16 trunk {self.digest[:8]}, means of blocks 3 and 4, float32; sbtcodec's own "
            "distances, which are not FID and KID"
        )

    def load(self) -> "LoadedTrunk":
        """Load the trunk; raises `SbtError` if the file does not hold one."""
        return LoadedTrunk(VggDistance(self.trunk, self.device))


@dataclass(frozen=True, eq=False)
class LoadedTrunk:
    """A trunk that gives features of pictures."""

    trunk: VggDistance

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features float32 [n, 768] of pictures uint8 [n, H, W, 3], see `features_of`."""
        return features_of(self.trunk, pictures).astype(np.float32)


def features_of(trunk: VggDistance, pictures: Iterable[Rgb]) -> Features:
    """Features of pictures: means over all places of the last two blocks of the trunk.

    Args:
        trunk: the network.
        pictures: uint8 [H, W, 3], all of one size.

    Returns:
        float64 [n, 768], not normalised.

    Raises:
        ImageError: there are none.
    """
    found = [_means(trunk, np.stack(batch)) for batch in batches(pictures, BATCH)]
    if not found:
        raise ImageError("there are no pictures to take features of")
    return np.concatenate(found).astype(np.float64)


@torch.inference_mode()
def _means(trunk: VggDistance, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    means: list[Tensor] = []
    for index, h in enumerate(trunk.activations(pictures)):
        if index in BLOCKS:
            means.append(h.mean((2, 3)))
    return torch.cat(means, 1).cpu().numpy()


def frechet_distance(a: Features, b: Features, components: int = COMPONENTS) -> float:
    """Squared Frechet distance of normal distributions fitted to two sets of features.

    Heusel et al., arXiv 1706.08500, equation 6, in the first principal components of the second
    set, and in units of its variance there: 1 is a shift of the mean by as much as all that varies
    in it.

    Args:
        a: float [n, d], of the pictures to judge.
        b: float [m, d], of those to judge by.
        components: how many.

    Raises:
        ImageError: a set has not more pictures than components.
    """
    if min(len(a), len(b)) <= components:
        raise ImageError(
            f"the sets have {len(a)} and {len(b)} pictures, expected more than {components}"
        )
    mean = b.mean(0)
    _, spread, axes = np.linalg.svd(b - mean, full_matrices=False)
    unit = np.sqrt(np.square(spread[:components]).sum() / (len(b) - 1))
    a, b = ((x - mean) @ axes[:components].T / unit for x in (a, b))
    covariance_a, covariance_b = np.cov(a.T), np.cov(b.T)
    # the trace of the root of the product, through a symmetric matrix of the same eigenvalues
    values, vectors = np.linalg.eigh(covariance_b)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ covariance_a @ root).clip(0)).sum()
    apart = np.square(a.mean(0) - b.mean(0)).sum()
    return float(apart + np.trace(covariance_a) + np.trace(covariance_b) - 2 * shared)


def kernel_distance(a: Features, b: Features) -> float:
    """Squared maximum mean discrepancy of two sets of features, without bias.

    With the polynomial kernel (x . y / d + 1)^3 of KID (Binkowski et al., arXiv 1801.01401, section
    4); features are those of `features_of`, less the mean of the second set and in units of its
    variance, which is one for all features: one that never fires there would count without bounds.
    It can be negative where the sets are alike.

    Args:
        a: float [n, d].
        b: float [m, d].
    """
    mean = b.mean(0)
    unit = np.sqrt(b.var(0).mean())
    a, b = (a - mean) / unit, (b - mean) / unit

    def kernel(inner: Features) -> Features:
        x: Features = inner / a.shape[1] + 1
        return x * x * x  # many times as fast as x**3

    def total(x: Features, y: Features) -> float:
        starts = range(0, len(x), BLOCK)
        return float(sum(kernel(x[start : start + BLOCK] @ y.T).sum() for start in starts))

    def own(x: Features) -> float:
        return float(kernel(np.square(x).sum(1)).sum())

    n, m = len(a), len(b)
    within_a = (total(a, a) - own(a)) / (n * (n - 1))
    within_b = (total(b, b) - own(b)) / (m * (m - 1))
    return within_a + within_b - 2 * total(a, b) / (n * m)
