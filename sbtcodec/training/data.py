"""Training crops: photographs kept in memory as bytes, cut and resized by a background thread."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from sbtcodec.errors import DatasetError
from sbtcodec.image.listing import DATASET_SUFFIXES
from sbtcodec.image.opening import open_image

LONGEST_SIDE = 1024  # larger photographs are reduced: their pixels are mostly camera noise
RESIZED_SHARE = 0.5  # of the crops; the data are mostly JPEG, and reducing removes its artefacts
# Saturated colours are rare in photographs, and networks that saw few of them code them badly.
COLOURED_SHARE = 0.4  # of the crops get other colours
PERMUTED_SHARE = 0.25  # of those have their channels permuted
SATURATION = (0.7, 2.2)
CONTRAST = (0.75, 1.35)
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def photograph_paths(folder: Path) -> list[Path]:
    """Image files below `folder`, sorted.

    Raises:
        DatasetError: the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; expected a folder of photographs")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in DATASET_SUFFIXES)
    if not paths:
        raise DatasetError(f"{folder} holds no image")
    return paths


def load_photographs(folder: Path, smallest_side: int) -> list[NDArray[np.uint8]]:
    """Every image of `folder` whose sides are at least `smallest_side`: uint8 [H, W, 3].

    Raises:
        DatasetError: the folder is missing or holds no such image.
    """
    images = []
    for path in tqdm(photograph_paths(folder), desc="loading photographs", disable=None):
        with open_image(path) as image:
            rgb = image.convert("RGB")
        rgb.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        if min(rgb.size) >= smallest_side:
            images.append(np.asarray(rgb))
    if not images:
        raise DatasetError(
            f"{folder} holds no image of at least {smallest_side}x{smallest_side} pixels"
        )
    return images


def crop(rgb: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random square of `side` pixels: half of them reduced, half mirrored, some recoloured."""
    h, w = rgb.shape[:2]
    source = side
    if rng.random() < RESIZED_SHARE:
        source = int(rng.integers(side, min(2 * side, h, w) + 1))
    top, left = int(rng.integers(0, h - source + 1)), int(rng.integers(0, w - source + 1))
    square: NDArray[np.uint8] = rgb[top : top + source, left : left + source]
    if source != side:
        square = np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.LANCZOS))
    if rng.random() < COLOURED_SHARE:
        square = recoloured(square, rng)
    return square[:, ::-1] if rng.random() < 0.5 else square


def recoloured(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The same uint8 [H, W, 3] with another saturation and contrast, and perhaps other channels."""
    if rng.random() < PERMUTED_SHARE:
        rgb = rgb[:, :, rng.permutation(3)]
    saturation, contrast = np.float32(rng.uniform(*SATURATION)), np.float32(rng.uniform(*CONTRAST))
    pixels = rgb.astype(np.float32)
    luma = (pixels @ LUMA)[:, :, None]
    mean = luma.mean()
    pixels = mean + contrast * (luma + saturation * (pixels - luma) - mean)
    made: NDArray[np.uint8] = pixels.round().clip(0, 255).astype(np.uint8)
    return made


def batch(images: list[NDArray[np.uint8]], side: int, count: int, seed: tuple[int, ...]) -> Tensor:
    """Crops number `seed`: uint8 [count, 3, side, side], the same for the same seed."""
    rng = np.random.default_rng(seed)
    crops = [crop(images[int(rng.integers(len(images)))], side, rng) for _ in range(count)]
    stacked = torch.from_numpy(np.stack(crops))
    return stacked.permute(0, 3, 1, 2)


class Prefetcher:
    """Makes the next batch in a thread while the current one is used (Pillow frees the lock)."""

    def __init__(self, images: list[NDArray[np.uint8]], seed: int, rank: int) -> None:
        """Serve crops of `images`; `seed`, `rank` and the step number determine them."""
        self.images, self.seed, self.rank = images, seed, rank
        self.pool = ThreadPoolExecutor(1)

    def batches(self, step: int, shape: Iterator[tuple[int, int]]) -> Iterator[Tensor]:
        """Batches from `step` on; `shape` yields (side, count) for each."""
        side, count = next(shape)
        future = self.pool.submit(batch, self.images, side, count, (self.seed, self.rank, step))
        while True:
            ready = future.result()
            step += 1
            side, count = next(shape)
            future = self.pool.submit(batch, self.images, side, count, (self.seed, self.rank, step))
            yield ready
