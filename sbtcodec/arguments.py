"""Arguments of the Python interface: checked early, refused in one sentence each."""

import math
import os
from numbers import Integral, Real
from pathlib import Path
from typing import TypeAlias

from sbtcodec.errors import ArgumentError

# Whatever has the buffer protocol, an open mmap say; Python 3.11 has no name for it.
Buffer: TypeAlias = bytes | bytearray | memoryview
PathLike: TypeAlias = str | os.PathLike[str]

_LARGE = 10**20
_MOST_SHOWN = 80  # characters


def number(name: str, value: float, low: float, high: float) -> float:
    """Return a number from `low` to `high`, of Python or NumPy.

    Raises `ArgumentError`.
    """
    if not _is(Real, value):
        raise ArgumentError(f"{name} is {shown(value)}, expected a number from {low} to {high}")
    if not low <= value <= high:  # also for nan
        raise ArgumentError(f"{name} is {shown(value)}, expected {low} to {high}")
    return float(value)


def positive(name: str, value: float) -> float:
    """Return a number above 0, of Python or NumPy.

    Raises `ArgumentError`.
    """
    if not _is(Real, value) or not 0 < value < math.inf:
        raise ArgumentError(f"{name} is {shown(value)}, expected a positive number")
    return float(value)


def whole_number(name: str, value: int, low: int, high: int | None = None) -> int:
    """Return a whole number from `low` to `high`, of Python or NumPy; True and 1.0 are none.

    Raises `ArgumentError`.
    """
    expected = f"of {low} or more" if high is None else f"from {low} to {high}"
    if not _is(Integral, value):
        raise ArgumentError(f"{name} is {shown(value)}, expected a whole number {expected}")
    if value < low or (high is not None and value > high):
        expected = f"{low} or more" if high is None else f"{low} to {high}"
        raise ArgumentError(f"{name} is {shown(value)}, expected {expected}")
    return int(value)


def flag(name: str, value: bool) -> bool:
    """Return True or False, also of NumPy; texts such as "False" are neither.

    Raises `ArgumentError`.
    """
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise ArgumentError(f"{name} is {shown(value)}, expected True or False")


def content_of(data: object) -> bytes:
    """Return the bytes of a file's content: bytes as they are, other buffers copied.

    Raises `ArgumentError`.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, (str, os.PathLike)):
        raise ArgumentError(
            f"found the path {shown(data)}, expected the bytes of an .sbt file;"
            " read it first, with pathlib.Path(path).read_bytes()"
        )
    try:
        with memoryview(data) as view:  # type: ignore[arg-type]
            return view.tobytes()
    except TypeError as error:
        advice = "pass file.read()" if hasattr(data, "read") else "pass bytes"
        raise ArgumentError(
            f"found {shown(data)}, expected the bytes of an .sbt file; {advice}"
        ) from error
    except (ValueError, BufferError) as error:  # it was closed, say
        raise ArgumentError(
            f"found {shown(data)} that cannot be read ({error}); pass it before it is closed"
        ) from error


def path_of(name: str, value: object) -> Path:
    """Return a path given as text or as a path.

    Raises `ArgumentError`.
    """
    if isinstance(value, (str, os.PathLike)):
        path = os.fspath(value)
        if isinstance(path, str):
            return Path(path)
    raise ArgumentError(f"{name} is {shown(value)}, expected a path: text, or a pathlib.Path")


def shown(value: object) -> str:
    """Return a value as it is shown in a sentence: short, or its type where that tells more."""
    if isinstance(value, int) and abs(value) >= _LARGE:  # of which Python may refuse the digits
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, Real):
        return str(value)
    if value is None or isinstance(value, (str, os.PathLike)):
        text = repr(value)
        return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."
    return f"a {type(value).__name__}"


def _is(kind: type, value: object) -> bool:
    """Whether a value is a number of this kind; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)
