"""Values with a notation of their own on the command line: sizes, targets, crops and scales."""

import math
import re
from dataclasses import dataclass

import typer

from sbtcodec.grid import Box

# kB is 1000 bytes and KiB 1024, as the standards have it; case does not matter.
_UNITS = {"": 1, "b": 1}
_UNITS |= {prefix + end: 1000**n for n, prefix in enumerate("kmg", 1) for end in ("", "b")}
_UNITS |= {f"{prefix}ib": 1024**n for n, prefix in enumerate("kmg", 1)}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)

# For each metric of a target: above which value, and up to which, it makes sense.
_METRICS = {"ssimulacra2": (0.0, 100.0), "psnr": (0.0, 100.0), "ms-ssim": (0.0, 1.0)}
_SCALES = {"1": 1, "1/1": 1, "1/2": 2, "1/4": 4, "1/8": 8}


def size_in_bytes(text: str) -> int:
    """Return the bytes that "20kB", "20 KiB", "1.5MB" or "20000" stand for, rounded down, >= 1.

    Raises `typer.BadParameter`.
    """
    match = _SIZE.fullmatch(text)
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise typer.BadParameter(
            f"found {text!r}, expected a number of bytes such as 20000, 20kB, 20KiB or 1.5MB"
        )
    size = math.floor(float(match[1]) * unit)
    if size < 1:
        raise typer.BadParameter(f"found {text!r}, expected at least one byte")
    return size


@dataclass(frozen=True)
class Target:
    """A score to reach."""

    metric: str
    value: float


def target(text: str) -> Target:
    """Return the metric and the value of "ssimulacra2=70", "psnr=32" or "ms-ssim=0.95".

    Raises `typer.BadParameter`.
    """
    metric, equals, value = (part.strip() for part in text.lower().partition("="))
    if metric not in _METRICS or not equals:
        raise typer.BadParameter(
            f"found {text!r}, expected one of {', '.join(_METRICS)}, then = and a value,"
            " such as psnr=32"
        )
    low, high = _METRICS[metric]
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not low < number <= high:  # also for nan
        raise typer.BadParameter(
            f"found {value!r}, expected a number above {low:g}, at most {high:g}, for {metric}"
        )
    return Target(metric, number)


def crop(text: str) -> Box:
    """Return the box of "10,20,300,200": x, y, width, height, in pixels from the top left.

    Raises `typer.BadParameter`.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(re.fullmatch(r"\d{1,5}", part) for part in parts):
        raise typer.BadParameter(
            f"found {text!r}, expected four whole numbers X,Y,WIDTH,HEIGHT such as 10,20,300,200"
        )
    x, y, width, height = map(int, parts)
    if width < 1 or height < 1:
        raise typer.BadParameter(f"found {text!r}, expected a width and height of at least 1")
    return Box(y, x, y + height, x + width)


def scale(text: str) -> int:
    """Return the divisor of "1/2", "1/4", "1/8" or "1".

    Raises `typer.BadParameter`.
    """
    divisor = _SCALES.get(str(text).replace(" ", ""))  # the default comes as a number
    if divisor is None:
        raise typer.BadParameter(f"found {text!r}, expected 1, 1/2, 1/4 or 1/8")
    return divisor
