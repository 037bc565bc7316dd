"""What a compression is to reach: a quality, a size, a rate or a score; one of them.

Nothing here imports torch before a file is made.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sbtcodec.arguments import flag, number, positive, shown, whole_number
from sbtcodec.errors import ArgumentError
from sbtcodec.rdo.effort import DEFAULT_EFFORT, search_steps_of

if TYPE_CHECKING:
    from sbtcodec.codec.compressing import Compressing
    from sbtcodec.codec.rate_control import Encoded, Score
    from sbtcodec.image.picture import Picture

DEFAULT_QUALITY = 50.0
# For each metric of a target: above which value, and up to which, it makes sense.
METRICS = {"ssimulacra2": (0.0, 100.0), "psnr": (0.0, 100.0), "ms-ssim": (0.0, 1.0)}

# kB is 1000 bytes and KiB 1024, as the standards have it; case does not matter.
_UNITS = {"": 1, "b": 1}
_UNITS |= {prefix + end: 1000**n for n, prefix in enumerate("kmg", 1) for end in ("", "b")}
_UNITS |= {f"{prefix}ib": 1024**n for n, prefix in enumerate("kmg", 1)}
_SIZE = re.compile(r"\s*(\d{1,20}(?:\.\d{1,20})?)\s*([a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class ScoreTarget:
    """A score to reach."""

    metric: str
    value: float


@dataclass(frozen=True)
class RateTarget:
    """One of `size`, `bpp`, `target` and `globals_only`; without them, `quality`.

    Attributes:
        quality: 0 to 100.
        globals_only: send the global tokens alone.
        size: most bytes of the file.
        bpp: most bits per pixel.
        target: score to reach.
        effort: 0 to 9.
        keep_invisible: encode the colours of what is wholly transparent as they are.
    """

    quality: float = DEFAULT_QUALITY
    globals_only: bool = False
    size: int | None = None
    bpp: float | None = None
    target: ScoreTarget | None = None
    effort: int = DEFAULT_EFFORT
    keep_invisible: bool = False

    @property
    def search(self) -> str:
        """What is searched for, as one would ask for it; nothing if nothing is."""
        if self.size is not None:
            return f"size={self.size}"
        if self.bpp is not None:
            return f"bpp={self.bpp:g}"
        return "" if self.target is None else f"{self.target.metric}={self.target.value:g}"

    def found(self, codec: "Compressing", picture: "Picture", measure: "Score | None") -> "Encoded":
        """Search for the file of a picture.

        `measure` is that of the target, if there is one: `sbtcodec.evaluation.metrics.measure_of`.

        Raises `RateError` if no file has the size or reaches the score, `ImageError`.
        """
        from sbtcodec.codec import rate_control

        effort, keep = self.effort, self.keep_invisible
        if self.size is not None:
            return rate_control.compress_to_size(
                codec, picture, self.size, effort=effort, keep_invisible=keep
            )
        if self.bpp is not None:
            return rate_control.compress_to_bpp(
                codec, picture, self.bpp, effort=effort, keep_invisible=keep
            )
        assert self.target is not None and measure is not None
        value = self.target.value
        return rate_control.compress_to_score(
            codec, picture, measure, value, effort=effort, keep_invisible=keep
        )


def rate_target_of(
    quality: float,
    *,
    globals_only: bool,
    effort: int,
    size: int | str | None,
    bpp: float | None,
    target: str | tuple[str, float] | None,
    keep_invisible: bool = False,
) -> RateTarget:
    """Return the rate target of arguments; a quality is asked for if it is not the default.

    Raises `ArgumentError` if one is wrong, or more than one thing is asked for.
    """
    search_steps_of(effort)
    quality = number("quality", quality, 0, 100)
    given = {
        "quality": quality != DEFAULT_QUALITY,
        "globals_only": flag("globals_only", globals_only),
        "size": size is not None,
        "bpp": bpp is not None,
        "target": target is not None,
    }
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise ArgumentError(f"{' and '.join(names)} exclude each other; give one of them")
    if isinstance(size, str):
        size = size_of(size)
    return RateTarget(
        quality,
        bool(globals_only),
        None if size is None else whole_number("size", size, 1),
        None if bpp is None else positive("bpp", bpp),
        None if target is None else target_of(target),
        effort,
        bool(keep_invisible),
    )


def size_of(text: str) -> int:
    """Return the bytes that "20kB", "20 KiB", "1.5MB" or "20000" stand for, rounded down, >= 1.

    Raises `ArgumentError`.
    """
    match = _SIZE.fullmatch(text)
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ArgumentError(
            f"found {shown(text)}, expected a number of bytes such as 20000, 20kB, 20KiB or 1.5MB"
        )
    size = math.floor(float(match[1]) * unit)
    if size < 1:
        raise ArgumentError(f"found {shown(text)}, expected at least one byte")
    return size


def target_of(target: str | tuple[str, float]) -> ScoreTarget:
    """Return the target of "ssimulacra2=70", "psnr=32" or "ms-ssim=0.95", or of such a pair.

    Raises `ArgumentError`.
    """
    if isinstance(target, str):
        metric, equals, value = (part.strip() for part in target.lower().partition("="))
    elif isinstance(target, Sequence) and len(target) == 2:
        metric, equals, value = str(target[0]).lower(), "=", str(target[1])
    else:
        metric = equals = value = ""
    if metric not in METRICS or not equals:
        raise ArgumentError(
            f"found {shown(target)}, expected one of {', '.join(METRICS)}, then = and a value,"
            " such as psnr=32"
        )
    low, high = METRICS[metric]
    try:
        score = float(value)
    except ValueError:
        score = math.nan
    if not low < score <= high:  # also for nan
        raise ArgumentError(
            f"found {shown(value)}, expected a number above {low:g}, at most {high:g}, for {metric}"
        )
    return ScoreTarget(metric, score)
