"""What errors and bits are worth to each other at each quality, as a model was trained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.step_size import log_gains_of
from sbtcodec.entropy.units import ANCHOR_WEIGHT_ONE
from sbtcodec.models.symbol_model import SymbolModel

# Of a release that does not state its recipe.
LMBDA_MIN, LMBDA_MAX = 0.00006, 0.08
LMBDA_GLOBALS = 0.0008
WORTH = 2.0  # times the weight of errors without details: up to there, details profit


@dataclass(frozen=True)
class Prices:
    """Those of one model; only an encoder looks at them.

    Attributes:
        symbols: of the model.
        log_gains: that were learned, float64 [anchors, local_channels].
        recipe: how it was trained (`sbtcodec.training.config`); empty if its file does not say.
    """

    symbols: SymbolModel
    log_gains: NDArray[np.float64]
    recipe: Mapping[str, Any]

    def lmbda(self, quality: int) -> float:
        """Bits per pixel that the model gives for one unit of squared error (8-bit samples).

        Log-linear between the lowest and the highest anchor, as in training. Where a release has
        enlarged steps beyond the lowest anchor, the squared step size tells.

        Args:
            quality: code, 0..255.
        """
        low, high = (
            math.log(self.recipe.get(key, default))
            for key, default in (("lmbda_min", LMBDA_MIN), ("lmbda_max", LMBDA_MAX))
        )
        place = self._place(quality)
        weights = self.symbols.integer_anchor_weights[quality] / ANCHOR_WEIGHT_ONE
        learned = weights @ self.log_gains
        used = log_gains_of(self.symbols.gain_offsets[quality])
        return math.exp(low + place * (high - low) + 2 * float((used - learned).mean()))

    @property
    def lmbda_of_globals(self) -> float:
        """Bits per pixel that the model gives for a unit of squared error without details."""
        return float(self.recipe.get("lmbda_globals", LMBDA_GLOBALS))

    def bit_weight(self, quality: int) -> float:
        """Squared steps that a bit is worth where a detail symbol is chosen, as in training.

        Args:
            quality: code, 0..255.
        """
        low, high = self.recipe.get("bit_weights", (0.0, 0.0))
        return float(low + self._place(quality) * (high - low))

    def details_profit(self, quality: int) -> bool:
        """Whether better global tokens make files with details better, at a code of 0..255."""
        return self.lmbda(quality) <= WORTH * self.lmbda_of_globals

    def _place(self, quality: int) -> float:
        """Of a quality code between the lowest anchor, 0, and the highest, 1."""
        weights = self.symbols.integer_anchor_weights[quality] / ANCHOR_WEIGHT_ONE
        return float(weights @ np.arange(len(weights))) / max(1, len(weights) - 1)
