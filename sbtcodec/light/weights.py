"""Weights of a model's float networks, as its weights file stores them, in natural units."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sbtcodec.errors import WeightsError

Floats: TypeAlias = NDArray[np.float32]
Stored: TypeAlias = Mapping[str, NDArray[Any]]


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
