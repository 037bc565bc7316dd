"""The part of a model that fixes the symbols of files: what its number stands for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.coder import DetailTables
from sbtcodec.entropy.exact import ExactEntropyParameters, ExactPrior
from sbtcodec.entropy.frequencies import Frequencies
from sbtcodec.errors import WeightsError
from sbtcodec.models.config import ModelConfig
from sbtcodec.models.digest import Array, symbols_digest
from sbtcodec.models.registry import Entry
from sbtcodec.tokenizer.config import TokenizerConfig


@dataclass(frozen=True)
class SymbolModel:
    """Integers alone, ready for coding.

    Attributes:
        number: of the model.
        digest: of what the number stands for, 32 bytes; the checks of every file begin with it.
        config: sizes of its tokens.
        prior: over global tokens.
        scales: which picks the tables of detail symbols.
        tables: distributions of detail symbols.
        octaves: powers of two for the prior's logits.
        integer_anchor_weights: int64 [256, anchors], interpolation weights of the anchors of
            the gains for each quality code; 64 is one.
        gain_offsets: int64 [256, local_channels], added to the scale accumulators; the gains
            themselves (1 / step size) are derived from them.
    """

    number: int
    digest: bytes
    config: TokenizerConfig
    prior: ExactPrior
    scales: ExactEntropyParameters
    tables: DetailTables
    octaves: Frequencies
    integer_anchor_weights: NDArray[np.int64]
    gain_offsets: NDArray[np.int64]

    @classmethod
    def of(cls, number: int, config: ModelConfig, stored: Mapping[str, Array]) -> "SymbolModel":
        """From the tensors of a weights file, as it stores them.

        Raises:
            KeyError: a tensor is missing.
            ValueError: one is of another kind.
            OverflowError: a sum could leave the range in which float32 counts exactly.
        """
        ends = np.cumsum(stored["tables.sizes"])[:-1]
        frequencies = stored["tables.frequencies"].astype(np.int64)
        octaves, anchor_weights, gain_offsets = (
            stored[f"tables.{key}"].astype(np.int64) for key in ("octaves", "hats", "gain_offsets")
        )
        return cls(
            number,
            symbols_digest(config, stored),
            config.tokenizer,
            ExactPrior(_within(stored, "prior."), config.tokenizer.levels),
            ExactEntropyParameters(
                _within(stored, "scales."), shapes=config.shapes, signs=config.scale_signs
            ),
            DetailTables(np.split(frequencies, ends)),
            octaves,
            anchor_weights,
            gain_offsets,
        )


def symbol_model_of(
    path: Path, entry: Entry, config: ModelConfig, stored: Mapping[str, Array]
) -> SymbolModel:
    """The symbols of a model that a manifest names.

    Args:
        path: of its weights, for messages.
        entry: of the manifest.
        config: sizes that the weights file says.
        stored: its tensors.

    Raises:
        WeightsError: they do not fit the program, or are those of another model.
    """
    try:
        model = SymbolModel.of(entry.number, config, stored)
    except (KeyError, IndexError, ValueError, OverflowError) as error:
        raise WeightsError(f"the weights {path} do not fit this program: {error}") from error
    if model.digest.hex() != entry.digest:
        raise WeightsError(
            f"{path} is not model {entry.number}: its digest is {model.digest.hex()[:12]}...,"
            f" the manifest says {entry.digest[:12]}...; reinstall sbtcodec"
        )
    return model


def _within(stored: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The tensors of a network, by their names in it."""
    return {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
