"""Metrics that are measured where they are asked for, and that no codec here was made for.

Models of human vision are ColorVideoVDP and FLIP, whose packages are those of the extra `vision`;
LPIPS and DISTS are in `learned`. `x` is the original and `x_hat` the decoded image, both uint8
`[H, W, 3]` in 0..255, sRGB.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sbtcodec.errors import SbtError
from sbtcodec.evaluation import learned
from sbtcodec.evaluation.extras import import_extra
from sbtcodec.evaluation.metrics import Rgb, check_pair

CVVDP_DISPLAY = "standard_4k"
"""The screen that ColorVideoVDP takes an image to be seen on, its own default.

30 inches, 3840 x 2160, 200 cd/m², in an office of 250 lux, from 0.75 m: 75 pixels a degree.
"""

CVVDP_MIN_SIDE = 2
"""Shortest side for ColorVideoVDP: of a single row it cannot make a pyramid of scales."""

FLIP_PIXELS_PER_DEGREE = 67
"""FLIP's own, rounded: an image seen from 0.7 m on a 4K screen 0.7 m wide."""

Measure: TypeAlias = Callable[[Rgb, Rgb], float]


@dataclass(frozen=True)
class VisionMetric:
    """A metric that is loaded, with what its numbers depend on.

    Attributes:
        key: `cvvdp`, `flip`, `lpips` or `dists`.
        settings: package, version and viewing conditions, for the records.
        measure: the score of an original and a decoded image.
    """

    key: str
    settings: str
    measure: Measure


def load_vision_metrics(names: Sequence[str]) -> tuple[VisionMetric, ...]:
    """The metrics of these names, those of `VISION_NAMES`, ready to measure on the CPU.

    Raises:
        SbtError: there is no such metric, or its package is missing or does not load.
        WeightsError: weights that it needs are missing or damaged.
    """
    for name in names:
        if name not in _LOADERS:
            msg = f"no metric is called {name!r}; there are {', '.join(_LOADERS)}"
            raise SbtError(msg)
    return tuple(_LOADERS[name]() for name in dict.fromkeys(names))


def _cvvdp() -> VisionMetric:
    """ColorVideoVDP of Mantiuk et al. 2024, in just-objectionable differences (JOD).

    10 when identical; of two images a JOD apart, three viewers of four prefer the better. An image
    with a side under 2 pixels cannot be measured: `nan`.
    """
    package = import_extra("pycvvdp")
    import torch

    model = package.cvvdp(display_name=CVVDP_DISPLAY, device=torch.device("cpu"), quiet=True)

    def measure(x: Rgb, x_hat: Rgb) -> float:
        check_pair(x, x_hat)
        if min(x.shape[:2]) < CVVDP_MIN_SIDE:
            return math.nan
        with torch.inference_mode():
            # It takes the decoded image first, and the order matters; uint8 is in 0..255.
            score, _ = model.predict(np.array(x_hat), np.array(x), dim_order="HWC")
        return float(score)

    version = metadata.version("cvvdp")
    return VisionMetric("cvvdp", f"CVVDP: cvvdp {version}, display {CVVDP_DISPLAY}", measure)


def _flip() -> VisionMetric:
    """LDR-FLIP of Andersson et al. 2020, mean over the image: 0 when identical, at most 1."""
    package = import_extra("flip_evaluator")

    def measure(x: Rgb, x_hat: Rgb) -> float:
        check_pair(x, x_hat)
        _, mean, _ = package.evaluate(_unit(x), _unit(x_hat), "LDR", applyMagma=False)
        return float(mean)

    version = metadata.version("flip-evaluator")
    conditions = f"LDR, {FLIP_PIXELS_PER_DEGREE} pixels per degree, mean"
    return VisionMetric("flip", f"FLIP: flip-evaluator {version}, {conditions}", measure)


def _unit(image: Rgb) -> npt.NDArray[np.float32]:
    """The image as float32 `[H, W, 3]` in 0..1, which is all that FLIP takes."""
    return image.astype(np.float32) / np.float32(255)


_LOADERS: dict[str, Callable[[], VisionMetric]] = {
    "cvvdp": _cvvdp,
    "flip": _flip,
    "lpips": lambda: VisionMetric("lpips", *learned.lpips()),
    "dists": lambda: VisionMetric("dists", *learned.dists()),
}

VISION_NAMES = tuple(_LOADERS)
"""Names of the metrics, as given to `--metrics`."""
