"""Networks that give features of pictures, and computing with them, in several processes."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sbtcodec.errors import ImageError, SbtError
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.evaluation.preparation import Preparation
from sbtcodec.runtime.batches import batches
from sbtcodec.runtime.cores import usable_cores

BATCH = 16
"""Pictures that a network sees at a time, if they are of one size."""

Features: TypeAlias = NDArray[np.float32]
Sizes: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PictureFeatures:
    """What is found of some pictures.

    Attributes:
        features: float32 [n, d].
        sizes: int64 [n, 2], width and height of each before it was cut.
    """

    features: Features
    sizes: Sizes

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name, as they are kept."""
        return {"features": self.features, "sizes": self.sizes}


class FeatureModel(Protocol):
    """A network that gives features of pictures."""

    def __call__(self, pictures: NDArray[np.uint8]) -> Features:
        """Features float32 [n, d] of pictures uint8 [n, H, W, 3] of one size."""
        ...


class FeatureNetwork(Protocol):
    """A network that is not loaded yet, as it is sent to other processes: pickled, and a key.

    Attributes:
        key: what tells it from all others: its name, the package that runs it, its weights.
        description: the same for the records.
        min_side: shortest side of a picture, in pixels.
    """

    def __hash__(self) -> int: ...  # noqa: D105  see above

    @property
    def key(self) -> str: ...  # noqa: D102  see above

    @property
    def description(self) -> str: ...  # noqa: D102

    @property
    def min_side(self) -> int: ...  # noqa: D102

    def load(self) -> FeatureModel:
        """Load it; raises `SbtError`."""
        ...


@contextmanager
def computed(
    parts: Sequence[Sequence[Path]], network: FeatureNetwork, preparation: Preparation, jobs: int
) -> Iterator[Iterator[tuple[int, PictureFeatures]]]:
    """Indices of parts with what was computed of them, as it comes.

    Args:
        parts: files of pictures.
        network: gives the features.
        preparation: how each file becomes pixels.
        jobs: processes, each with a network of its own; with one it is this process.

    Raises:
        DatasetError: a picture cannot be read: it is named.
        ImageError: a picture is too small.
        SbtError: of other kinds, for the network and the codec.
    """
    compute = partial(_compute, network, preparation)
    if jobs == 1 or len(parts) < 2:
        yield ((index, compute(paths)) for index, paths in enumerate(parts))
        return
    jobs = min(jobs, len(parts))
    # A fork of a process with torch's threads can wait for ever.
    pool = ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=_begin, initargs=(usable_cores() // jobs,)
    )
    try:
        tasks = {pool.submit(compute, paths): index for index, paths in enumerate(parts)}
        yield ((tasks[done], done.result()) for done in as_completed(tasks))
    except BrokenProcessPool as error:
        raise SbtError(
            "a process that computed features was ended, by lack of memory perhaps; "
            "what is done is kept, go on with fewer jobs"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(threads: int) -> None:
    """Set up a process: with its share of the cores, and gone without a word at Ctrl-C."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(max(1, threads))


@cache
def _loaded(network: FeatureNetwork) -> FeatureModel:
    return network.load()


def _compute(
    network: FeatureNetwork, preparation: Preparation, paths: Sequence[Path]
) -> PictureFeatures:
    model = _loaded(network)
    features: list[Features] = []
    sizes: list[tuple[int, int]] = []

    def prepared() -> Iterator[Rgb]:
        for path in paths:
            rgb, size = preparation(path)
            if min(rgb.shape[:2]) < network.min_side:
                raise ImageError(
                    f"{path} is {rgb.shape[1]}x{rgb.shape[0]} pixels; "
                    f"each side takes {network.min_side}"
                )
            sizes.append(size)
            yield rgb

    for _, same in groupby(prepared(), key=_shape):
        features.extend(model(np.stack(batch)) for batch in batches(same, BATCH))
    return PictureFeatures(np.concatenate(features), np.array(sizes, np.int64))


def _shape(rgb: Rgb) -> tuple[int, ...]:
    return rgb.shape
