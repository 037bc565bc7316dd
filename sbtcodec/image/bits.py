"""Samples of any number of bits: taken from packed rows, checked, and rounded to 8.

Letters: `H`, `W` the rows and columns of an image, `C` its channels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sbtcodec.errors import ImageError

_BLOCK = 2**20  # samples at a time, so that intermediate arrays stay in the cache


def unpacked(rows: NDArray[np.uint8], bits: int, count: int, order: str) -> NDArray[np.uint16]:
    """Return the samples of packed rows, the most significant bit first.

    Args:
        rows: uint8 [R, bytes], each row begins with a new byte.
        bits: of a sample, 1 to 16.
        count: samples in a row, no more than fit.
        order: "<" or ">", the byte order of samples of 16 bits.

    Returns:
        uint16 [R, count].
    """
    if bits == 8:
        return rows[:, :count].astype(np.uint16)
    if bits == 16:
        stored = np.ascontiguousarray(rows[:, : 2 * count]).view(order + "u2")
        return stored.astype(np.uint16)
    found = np.empty((len(rows), count), np.uint16)
    first_bit = np.arange(count, dtype=np.int64) * bits
    at, shift = first_bit >> 3, (24 - bits - (first_bit & 7)).astype(np.uint32)
    step = max(1, _BLOCK // count)
    for start in range(0, len(rows), step):
        block = np.pad(rows[start : start + step], ((0, 0), (0, 2))).astype(np.uint32)
        window = block[:, at] << 16 | block[:, at + 1] << 8 | block[:, at + 2]
        found[start : start + step] = (window >> shift) & (2**bits - 1)
    return found


def check_sixteen_bits(samples: NDArray[Any], name: str) -> None:
    """Raise `ImageError` if integers, of any dtype and shape, are not all in 0..65535.

    `name` stands for the image in it.
    """
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 65535:
        raise ImageError(
            f"{name} has samples from {low} to {high}, expected 0 to 65535;"
            " convert it to 8 or 16 bits first"
        )


def rounded_to_8(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Return unsigned samples of 1 to 16 bits, of any shape, with 255 for the greatest value."""
    most = 2**bits - 1
    table = ((np.arange(most + 1) * 255 + most // 2) // most).astype(np.uint8)
    return np.take(table, samples)


def associated_divided(
    colours: NDArray[np.uint16], alpha: NDArray[np.uint16], bits: int
) -> NDArray[np.uint16]:
    """Divide colours [H, W, C] by the alpha [H, W] that they are multiplied by; 0 where it is 0."""
    divisor = np.maximum(alpha, 1)[:, :, None].astype(np.uint64)
    whole = np.uint64(2**bits - 1)
    divided = (colours * whole + divisor // np.uint64(2)) // divisor
    return np.minimum(divided, whole).astype(np.uint16)
