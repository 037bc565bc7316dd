"""The file that an aim is for, and what is said of how it came about."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sbtcodec.codec.rate_target import Aim
from sbtcodec.container import code_of, quality_of

if TYPE_CHECKING:
    from sbtcodec.codec.codec import Codec
    from sbtcodec.image.picture import Picture


@dataclass(frozen=True)
class Made:
    """A file, and how it came about.

    Attributes:
        data: the bytes of the `.sbt` file.
        quality: 0 to 100; None if it holds the global tokens alone.
        fields: what was searched for and reached, for machines.
        note: the same for people.
    """

    data: bytes
    quality: float | None
    fields: dict[str, float | None]
    note: str


def make(aim: Aim, codec: "Codec", picture: "Picture") -> Made:
    """Compress a picture.

    Raises `RateError` if no file has the size or reaches the score, `ImageError`.
    """
    if not aim.search:
        data = codec.compress(
            picture,
            aim.quality,
            globals_only=aim.globals_only,
            effort=aim.effort,
            keep_invisible=aim.keep_invisible,
        )
        # as the file has it, which info tells too
        quality = None if aim.globals_only else quality_of(code_of(aim.quality))
        return Made(data, quality, {}, "")
    from sbtcodec.evaluation.metrics import measure_of

    measure = None if aim.target is None else measure_of(aim.target.metric)
    found = aim.found(codec, picture, measure)
    level = "globals only" if found.quality is None else f"quality {found.quality:.1f}"
    note = f"  {level}"
    fields: dict[str, float | None] = {"tried": found.tried}
    if aim.target is not None:
        note += f", {aim.target.metric} {found.reached:.4g}"
        fields[aim.target.metric] = round(found.reached, 5)
    return Made(found.data, found.quality, fields, note)
