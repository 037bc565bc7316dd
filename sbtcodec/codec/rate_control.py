"""The quality that fits: the best file below a size, or the smallest that reaches a score.

The encoder networks run once; each step of the search codes their output anew, at another of the
256 quality codes. Size and score rise with the code nearly always, not always, so codes beyond the
one that bisection finds are tried too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.arguments import number, positive, whole_number
from sbtcodec.codec.compressing import Compressing
from sbtcodec.codec.encoder import Analysis
from sbtcodec.container import quality_of
from sbtcodec.entropy.step_size import CODES
from sbtcodec.errors import ImageError, RateError
from sbtcodec.image.picture import Picture
from sbtcodec.image.transparency import score_of_seen
from sbtcodec.rdo.effort import DEFAULT_EFFORT, NONE, PLAIN_EFFORT, search_steps_of

GLOBALS_ONLY = -1  # the rung of the ladder below quality code 0
BEYOND = (2, 3)  # rungs tried past the found one; the search itself has tried the first

RGB = NDArray[np.uint8]
Score = Callable[[RGB, RGB], float]


@dataclass(frozen=True)
class Encoded:
    """A file that was searched for.

    Attributes:
        data: the bytes of the `.sbt` file.
        quality: its quality, 0 to 100; `None` if it holds the global tokens alone.
        tried: files that were coded on the way.
        reached: its size in bytes, its bits per pixel or its score: what the search was for.
    """

    data: bytes
    quality: float | None
    tried: int
    reached: float


def compress_to_size(
    codec: Compressing,
    image: RGB | Image.Image | Picture,
    max_bytes: int,
    *,
    effort: int = DEFAULT_EFFORT,
    keep_invisible: bool = False,
) -> Encoded:
    """The best file of at most `max_bytes`.

    Args:
        codec: the codec.
        image: as for `Codec.compress`.
        max_bytes: the size that the file never exceeds.
        effort: see `Codec.compress`.
        keep_invisible: see `Codec.compress`.

    Raises:
        ArgumentError: the size is not a whole number of 1 or more, or as for `Codec.compress`.
        RateError: even the global tokens alone take more.
        ImageError: as for `Codec.compress`.
    """
    most = whole_number("max_bytes", max_bytes, 1)
    search_steps_of(effort)
    analysis = codec.analyse(image, keep_invisible=keep_invisible)
    return _within(_Ladder(codec, analysis, effort), most)


def compress_to_bpp(
    codec: Compressing,
    image: RGB | Image.Image | Picture,
    max_bpp: float,
    *,
    effort: int = DEFAULT_EFFORT,
    keep_invisible: bool = False,
) -> Encoded:
    """The best file of at most `max_bpp` bits per pixel; see `compress_to_size`.

    Raises:
        ArgumentError: `max_bpp` is not a positive number, or as for `Codec.compress`.
        RateError: even the global tokens alone take more.
        ImageError: as for `Codec.compress`.
    """
    most = positive("max_bpp", max_bpp)
    search_steps_of(effort)
    analysis = codec.analyse(image, keep_invisible=keep_invisible)
    height, width = analysis.rgb.shape[:2]
    found = _within(_Ladder(codec, analysis, effort), int(most * width * height / 8))
    return replace(found, reached=8 * len(found.data) / (width * height))


def compress_to_score(
    codec: Compressing,
    image: RGB | Image.Image | Picture,
    score: Score,
    value: float,
    *,
    effort: int = DEFAULT_EFFORT,
    keep_invisible: bool = False,
) -> Encoded:
    """The smallest file whose decoded picture scores at least `value`.

    Args:
        codec: the codec.
        image: as for `Codec.compress`.
        score: a measure of the decoded picture: called with the original and with it, both uint8
            [H, W, 3]; more is better, and `nan` says that it cannot be measured. Of a picture with
            transparency it counts what is seen: the lesser of the scores over black and over white.
        value: the score to reach.
        effort: see `Codec.compress`.
        keep_invisible: see `Codec.compress`.

    Raises:
        ArgumentError: the value is not a number, or as for `Codec.compress`.
        RateError: no quality reaches it; the message says what the best does.
        ImageError: as for `Codec.compress`, or the image is too small for this score.
    """
    value = number("value", value, -math.inf, math.inf)
    search_steps_of(effort)
    analysis = codec.analyse(image, keep_invisible=keep_invisible)
    ladder = _Ladder(codec, analysis, effort, score)
    found = ladder.first(lambda ladder, rung: ladder.score(rung) >= value)
    if found == CODES:
        raise RateError(
            f"{value:g} was asked for, but no quality of this image scores more than "
            f"{ladder.best():.5g}; ask for no more than that"
        )
    below = [found - d for d in BEYOND if found - d >= GLOBALS_ONLY]
    enough = [found, *(rung for rung in below if ladder.score(rung) >= value)]
    chosen = min(enough, key=ladder.size)
    return ladder.encoded(chosen, ladder.score(chosen))


def _within(ladder: "_Ladder", max_bytes: int) -> Encoded:
    """The best file of at most so many bytes."""
    smallest = ladder.size(GLOBALS_ONLY)
    if smallest > max_bytes:
        raise RateError(
            f"the smallest file of this image has {smallest} bytes, but at most {max_bytes} are "
            f"allowed; allow {smallest} bytes, or make the image smaller"
        )
    # the last rung that fits is below the first that does not
    found = ladder.first(lambda ladder, rung: ladder.size(rung) > max_bytes) - 1
    beyond = [found + d for d in BEYOND if found + d < CODES]
    chosen = max([found, *(rung for rung in beyond if ladder.size(rung) <= max_bytes)])
    return ladder.encoded(chosen, ladder.size(chosen))


class _Ladder:
    """The files of one image: rung -1 is the global tokens alone, 0 to 255 the quality codes."""

    def __init__(
        self, codec: Compressing, analysis: Analysis, effort: int, measure: Score | None = None
    ) -> None:
        self.codec, self.analysis, self.effort, self.measure = codec, analysis, effort, measure
        self.files: dict[int, bytes] = {}
        self.scores: dict[int, float] = {}
        self.quick: _Ladder | None = None

    def size(self, rung: int) -> int:
        """Bytes of the file of a rung."""
        self._code(rung)
        return len(self.files[rung])

    def score(self, rung: int) -> float:
        """Score of the picture of a rung."""
        self._code(rung)
        return self.scores[rung]

    def best(self) -> float:
        """The best score of all rungs tried."""
        return max(self.scores.values())

    def first(self, holds: Callable[["_Ladder", int], bool]) -> int:
        """The first rung from which on `holds` is true; CODES if for none.

        By bisection. If a file is costly, that is done on quick ones, and the search among costly
        ones starts where it ended and widens from there.
        """
        start = None
        if search_steps_of(self.effort) != NONE:
            self.quick = _Ladder(self.codec, self.analysis, PLAIN_EFFORT, self.measure)
            start = min(self.quick.first(holds), CODES - 1)
        low, high, step = GLOBALS_ONLY, CODES, 1  # the rung is in low..high
        probe = (low + high) // 2 if start is None else start
        while low < high:
            if holds(self, probe):
                high = probe
            else:
                low = probe + 1
            if start is not None and high == CODES:
                probe = min(low - 1 + step, CODES - 1)
            elif start is not None and low == GLOBALS_ONLY:
                probe = max(high - step, GLOBALS_ONLY)
            else:
                probe = (low + high) // 2
            step *= 2
        return low

    def encoded(self, rung: int, reached: float) -> Encoded:
        """The result, if this rung is chosen."""
        quality = None if rung == GLOBALS_ONLY else quality_of(rung)
        tried = len(self.files) + (len(self.quick.files) if self.quick else 0)
        return Encoded(self.files[rung], quality, tried, reached)

    def _code(self, rung: int) -> None:
        """Code and measure a rung, once; only bytes and score are kept."""
        if rung in self.files:
            return
        alone = rung == GLOBALS_ONLY
        coding = self.codec.code(
            self.analysis, 0 if alone else quality_of(rung), globals_only=alone, effort=self.effort
        )
        self.files[rung] = coding.data
        if self.measure is None:
            return
        picture = self.analysis.picture
        x, x_hat = picture.rgb, replace(picture, rgb=self.codec.reconstruct(coding))
        self.scores[rung] = score_of_seen(self.measure, picture, x_hat)
        if math.isnan(self.scores[rung]):
            raise ImageError(
                f"the image has {x.shape[1]} x {x.shape[0]} pixels, too few for this measure; "
                "choose another, or a size or quality"
            )
