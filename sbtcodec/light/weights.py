"""Sizes and weights of a model's float networks from its weights file, read without torch."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sbtcodec.errors import WeightsError
from sbtcodec.tokenizer.config import TokenizerConfig

Floats: TypeAlias = NDArray[np.float32]
Stored: TypeAlias = Mapping[str, NDArray[Any]]

PARTS = ("predictor", "refiners", "decoder")  # of the tokenizer, that decoding runs
ENCODER_SIZES = ("adapter_width", "adapter_attention", "alone_attention")


def read_stored(path: Path) -> tuple[TokenizerConfig, dict[str, NDArray[Any]]]:
    """Sizes and stored tensors of the float networks that decoding runs.

    Args:
        path: of a weights file; `docs/format.md` fixes the names of the tensors.

    Raises:
        WeightsError: the file is not one of released weights.
    """
    try:
        with safe_open(path, "np") as file:
            config = config_of(file.metadata())
            prefixes = tuple(f"tokenizer.{part}." for part in PARTS)
            names = list(file.keys())
            return config, {n: file.get_tensor(n) for n in names if n.startswith(prefixes)}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not hold released weights: {error}") from error


def config_of(metadata: Mapping[str, str]) -> TokenizerConfig:
    """Sizes of the tokenizer's decoding half, from the metadata of a weights file.

    Raises:
        KeyError, TypeError, ValueError: they are not those of a model.
    """
    known = {field.name for field in fields(TokenizerConfig)}
    sizes: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in json.loads(metadata["config"])["tokenizer"].items()
    }
    if unknown := sorted(sizes.keys() - known):
        raise ValueError(f"the sizes {', '.join(unknown)} are unknown")
    return TokenizerConfig(**sizes | dict.fromkeys(ENCODER_SIZES, 0) | {"encoder": False})


class Part:
    """The weights of one network, in natural units, by their names inside it."""

    def __init__(self, stored: Stored, name: str) -> None:
        """Those of `tokenizer.<name>`."""
        self._stored, self._prefix = stored, f"tokenizer.{name}."

    def part(self, name: str) -> "Part":
        """Those of one network inside of this one."""
        return Part(self._stored, f"{self._prefix.removeprefix('tokenizer.')}{name}")

    def __getitem__(self, name: str) -> Floats:
        """A tensor as float32, of its stored shape.

        Raises:
            WeightsError: it is missing or does not hold floats.
        """
        key = self._prefix + name
        try:
            found = self._stored[key]
        except KeyError as error:
            raise WeightsError(
                f"the weights have no {key}, which its networks need; reinstall sbtcodec"
            ) from error
        if found.dtype not in (np.float16, np.float32):
            raise WeightsError(
                f"{key} is stored as {found.dtype}, expected float16 or float32; reinstall sbtcodec"
            )
        return of_half(found) if found.dtype == np.float16 else found.astype(np.float32)


def of_half(array: NDArray[np.float16]) -> Floats:
    """The same finite numbers as float32; NumPy's own conversion takes eight times as long.

    Sign, exponent and mantissa go where float32 has them; a factor makes up for the other bias of
    the exponent, for subnormal numbers too.
    """
    bits = np.ascontiguousarray(array).view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= ~0x70000000  # copies of the sign
    numbers: Floats = bits.view(np.float32)
    numbers *= np.float32(2.0**112)
    return numbers
