"""Pictures that a generator draws, as predictors show them, against photographs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.generator import samples
from benchmarks.token_sources import photographs
from sbtcodec.evaluation.distribution import features_of, frechet_distance
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.evaluation.perceptual import VggDistance
from sbtcodec.generation.config import GUIDANCE, SIDE, STEPS
from sbtcodec.generation.generator import Generator
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.tokenizer.model import Tokenizer
from sbtcodec.training.sensitivity import picture_of

REAL = 500  # photographs that are compared with
SEED = 1


def picture(tokenizer: Tokenizer, y_hat: Tensor) -> Rgb:
    """The picture uint8 [16H, 16W, 3] of local tokens that were predicted.

    Args:
        tokenizer: whose decoder.
        y_hat: float [1, coarse_channels, H, W].
    """
    x_hat = picture_of(tokenizer, y_hat)[0]
    pixels = (x_hat * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


class Samples:
    """Global tokens that were drawn once, whose pictures any predictor can complete."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        windows: NDArray[np.uint8],
        trunk: VggDistance,
        real: Iterator[Rgb],
    ) -> None:
        """Take the features of photographs.

        Args:
            tokenizer: whose tokens they are, and whose decoder shows them.
            windows: global tokens, uint8 [N, SIDE * SIDE, dims]; more than COMPONENTS of
                `sbtcodec.evaluation.distribution`.
            trunk: whose features are compared.
            real: photographs uint8 [H, W, 3], as many at least.
        """
        self.tokenizer, self.windows, self.trunk = tokenizer, windows, trunk
        self.real = features_of(trunk, real)

    @torch.inference_mode()
    def pictures(self, predictor: nn.Module) -> Iterator[Rgb]:
        """Pictures uint8 [32 SIDE, 32 SIDE, 3], one of each window."""
        for window in self.windows:
            levels = window.reshape(1, SIDE, SIDE, -1).transpose(0, 3, 1, 2)
            values = self.tokenizer.fsq.to_values(torch.from_numpy(levels.copy()).float())
            yield picture(self.tokenizer, predictor(pixel_rows(values)))

    def distance(self, predictor: nn.Module) -> float:
        """The Frechet distance between these pictures and the photographs; less is better.

        Args:
            predictor: float [1, dims, H, W] to float [1, coarse_channels, 2H, 2W].
        """
        return frechet_distance(features_of(self.trunk, self.pictures(predictor)), self.real)


def drawn_samples(tokenizer: Tokenizer, trunk: VggDistance, held_out: Path, count: int) -> Samples:
    """What the released generator draws, of all classes alike.

    Args:
        tokenizer: of the release.
        trunk: whose features are compared.
        held_out: folder of folders of photographs that nothing was trained on.
        count: how many windows.

    Raises:
        SbtError: there is no generator, or there are no photographs.
    """
    generator = Generator.load(device="cpu")
    windows = samples(generator, count, GUIDANCE, STEPS, SEED)
    return Samples(tokenizer, windows, trunk, photographs(held_out, REAL))
