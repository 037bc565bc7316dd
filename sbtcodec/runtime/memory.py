"""Memory that is free: given back to the system between large pictures, kept between steps."""

import ctypes
import functools
from collections.abc import Callable

WORTH = 1 << 26
"""Bytes that are worth it: what small pictures leave is wanted again at once."""

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's malloc.h

_FIELDS = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd",
    "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip


class _Mallinfo2(ctypes.Structure):
    """What glibc says of its heaps."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


SPARE = 1 << 30
"""Bytes that training keeps: steps differ in what they take, and pieces of all sizes add up."""


def give_back(beyond: int = WORTH) -> None:
    """Give free memory back where the C library keeps much of it: glibc does, in small pieces.

    Takes milliseconds, and those that use the memory next as many; elsewhere it does nothing.

    Args:
        beyond: bytes that may stay free.
    """
    if (heaps := _heaps()) is not None:
        free, trim = heaps
        if free() >= beyond:
            trim()


def keep() -> None:
    """Keep free memory for what comes next, for the rest of the process; for training.

    A step takes and frees hundreds of large tensors. glibc asks the system for each and gives it
    back, which clears every page anew: a third of the time of a step whose products are fast.
    Elsewhere this does nothing. Loops call `give_back(SPARE)` now and then: where steps take other
    sizes each time, what is kept between the pieces in use grows by gigabytes.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    set_option.restype, set_option.argtypes = ctypes.c_int, [ctypes.c_int, ctypes.c_int]
    set_option(_MMAP_MAX, 0)
    set_option(_TRIM_THRESHOLD, -1)


@functools.cache
def _heaps() -> tuple[Callable[[], int], Callable[[], int]] | None:
    """Bytes that are free, and `malloc_trim`, of glibc 2.33 and later."""
    try:
        library = ctypes.CDLL(None)
        info, trim = library.mallinfo2, library.malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    info.restype, info.argtypes = _Mallinfo2, []
    trim.restype, trim.argtypes = ctypes.c_int, [ctypes.c_size_t]
    return (lambda: int(info().fordblks)), (lambda: int(trim(0)))
