"""What a model's number stands for, as a digest: all that fixes symbols and what they mean.

The checks of every file begin with it (`docs/format.md`), so a model that would read other symbols,
or understand them differently, refuses the file. Encoder, decoder and card are not in it: they may
get better under the same number. It is computed over canonical bytes, whatever the layout of the
file that holds the tensors, and over the names that they have there, whatever the code calls them.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.frequencies import TOTAL
from sbtcodec.entropy.units import (
    ACTIVATION_MAX,
    ACTIVATION_ONE,
    ANCHOR_WEIGHT_ONE,
    KNOWN,
    LOGITS_PER_OCTAVE,
    MAX_SYMBOL,
    SCALE_MAX,
    SCALE_MIN,
    SUBGRIDS,
    SUMS_PER_INDEX,
    SUMS_PER_LOGIT,
    TABLES,
    VALUE_ONE,
    WEIGHT_ONE,
)
from sbtcodec.grid import LATENT_STRIDE, TILE, TOKEN_STRIDE
from sbtcodec.models.config import ModelConfig
from sbtcodec.tokenizer.config import WINDOW

# of the networks below; another one where the same tensors would mean something else
ARCHITECTURE = 1

SYMBOLS = ("prior.", "scales.", "tables.", "tokenizer.predictor.", "tokenizer.refiners.")
PICTURES = ("tokenizer.decoder.", "tokenizer.alone.")
DTYPES = {"float16": "<f2", "int16": "<i2", "int32": "<i4"}

Array = NDArray[Any]


def symbols_digest(config: ModelConfig, tensors: Mapping[str, Array]) -> bytes:
    """SHA-256 of what fixes the symbols of files and what they mean.

    Args:
        config: of the model.
        tensors: as a weights file stores them, by their names in it: float16, int16 or int32.

    Raises:
        ValueError: a tensor has another dtype.
    """
    t = config.tokenizer
    numbers = {
        "config.architecture": [ARCHITECTURE],
        "config.levels": list(t.levels),
        "config.groups": list(t.groups),
        "config.heads": [t.heads],
        "config.shapes": [config.shapes],
        **({"config.signs": [1]} if config.scale_signs else {}),
        "constants.activations": [ACTIVATION_ONE, ACTIVATION_MAX],
        "constants.weights": [WEIGHT_ONE],
        "constants.prior": [LOGITS_PER_OCTAVE, SUMS_PER_LOGIT, VALUE_ONE, KNOWN],
        "constants.subgrids": [parity for place in SUBGRIDS for parity in place],
        "constants.quality": [ANCHOR_WEIGHT_ONE],
        "constants.tables": [TABLES, SUMS_PER_INDEX, MAX_SYMBOL, TOTAL],
        "constants.scales": [round(100 * SCALE_MIN), round(100 * SCALE_MAX)],
        "constants.grid": [LATENT_STRIDE, TOKEN_STRIDE, TILE, WINDOW],
    }
    fixed = {name: np.array(values, dtype=np.int32) for name, values in numbers.items()}
    return _digest(fixed | {k: v for k, v in tensors.items() if k.startswith(SYMBOLS)})


def pictures_digest(config: ModelConfig, tensors: Mapping[str, Array]) -> bytes:
    """SHA-256 of all that a decoder runs: the same files, and the same pictures of them.

    Arguments and errors are those of `symbols_digest`.
    """
    decoder = {k: v for k, v in tensors.items() if k.startswith(PICTURES)}
    if config.tokenizer.alone is not None:
        heads = config.tokenizer.alone.heads
        decoder["config.alone_heads"] = np.array([heads], dtype=np.int32)
    symbols = np.frombuffer(symbols_digest(config, tensors), dtype="<i2")
    return _digest(decoder | {"symbols": symbols})


def canonical(tensors: Mapping[str, Array]) -> Iterable[bytes]:
    """The bytes that are digested, tensor by tensor in the order of their names.

    Raises:
        ValueError: a tensor is neither float16 nor int16 nor int32.
    """
    for name in sorted(tensors):
        array = tensors[name]
        dtype = array.dtype.name
        if dtype not in DTYPES:
            raise ValueError(f"{name} is {dtype}, expected one of {', '.join(DTYPES)}")
        yield name.encode("ascii") + b"\0" + dtype.encode("ascii") + b"\0"
        yield np.array([array.ndim, *array.shape], dtype="<u4").tobytes()
        # which turns a negative zero, which averaging of weights leaves, into the zero that it is
        yield np.add(array, array.dtype.type(0), dtype=DTYPES[dtype], order="C").tobytes()


def _digest(tensors: Mapping[str, Array]) -> bytes:
    digest = hashlib.sha256()
    for piece in canonical(tensors):
        digest.update(piece)
    return digest.digest()
