"""Values with a notation of their own on the command line: sizes, targets, parts and scales."""

import re
from dataclasses import dataclass

import typer

from sbtcodec.codec.rate_target import ScoreTarget, size_of, target_of
from sbtcodec.errors import ArgumentError
from sbtcodec.generation.config import MAX_SAMPLE_SIDE
from sbtcodec.grid import Box

_SCALES = {"1": 1, "1/1": 1, "1/2": 2, "1/4": 4, "1/8": 8}


@dataclass(frozen=True)
class Sides:
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class Margins:
    """Pixels around a picture."""

    left: int
    top: int
    right: int
    bottom: int


def size_in_bytes(text: str) -> int:
    """Return the bytes that "20kB", "20 KiB", "1.5MB" or "20000" stand for, rounded down, >= 1.

    Raises `typer.BadParameter`.
    """
    try:
        return size_of(text)
    except ArgumentError as error:
        raise typer.BadParameter(str(error)) from error


def target(text: str) -> ScoreTarget:
    """Return the metric and the value of "ssimulacra2=70", "psnr=32" or "ms-ssim=0.95".

    Raises `typer.BadParameter`.
    """
    try:
        return target_of(text)
    except ArgumentError as error:
        raise typer.BadParameter(str(error)) from error


def crop(text: str) -> Box:
    """Return the box of "10,20,300,200": x, y, width, height, in pixels from the top left.

    Raises `typer.BadParameter`.
    """
    x, y, width, height = _four_numbers(text, "X,Y,WIDTH,HEIGHT such as 10,20,300,200")
    if width < 1 or height < 1:
        raise typer.BadParameter(f"found {text!r}, expected a width and height of at least 1")
    return Box(y, x, y + height, x + width)


def sides(text: str) -> Sides:
    """Return the width and height of "512x384".

    Raises `typer.BadParameter`.
    """
    found = re.fullmatch(r"\s*(\d{1,5})\s*[xX\u00d7]\s*(\d{1,5})\s*", text)
    if found is None:
        raise typer.BadParameter(f"found {text!r}, expected WIDTHxHEIGHT such as 512x384")
    width, height = map(int, found.groups())
    if not (1 <= width <= MAX_SAMPLE_SIDE and 1 <= height <= MAX_SAMPLE_SIDE):
        raise typer.BadParameter(f"found {text!r}, expected sides of 1 to {MAX_SAMPLE_SIDE} pixels")
    return Sides(width, height)


def margins(text: str) -> Margins:
    """Return the pixels at the left, top, right and bottom of "0,0,128,64".

    Raises `typer.BadParameter`.
    """
    numbers = _four_numbers(text, "LEFT,TOP,RIGHT,BOTTOM such as 0,0,128,64")
    if not any(numbers):
        raise typer.BadParameter(f"found {text!r}, expected at least one of them to be 1 or more")
    return Margins(*numbers)


def _four_numbers(text: str, notation: str) -> list[int]:
    """Return the numbers of "0,0,128,64"; raises `typer.BadParameter`."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(re.fullmatch(r"\d{1,5}", part) for part in parts):
        raise typer.BadParameter(f"found {text!r}, expected four whole numbers {notation}")
    return [int(part) for part in parts]


def scale(text: str) -> int:
    """Return the divisor of "1/2", "1/4", "1/8" or "1".

    Raises `typer.BadParameter`.
    """
    divisor = _SCALES.get(str(text).replace(" ", ""))  # the default comes as a number
    if divisor is None:
        raise typer.BadParameter(f"found {text!r}, expected 1, 1/2, 1/4 or 1/8")
    return divisor
