"""What a compression aims at: a quality, a size, a rate or a score."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sbtcodec.cli.values import Target
from sbtcodec.effort import DEFAULT_EFFORT

if TYPE_CHECKING:
    from sbtcodec.codec import Codec
    from sbtcodec.image.picture import Picture
    from sbtcodec.rate import Score

DEFAULT_QUALITY = 50.0


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


@dataclass(frozen=True)
class Aim:
    """One of `size`, `bpp`, `target` and `globals_only`; without them, `quality`.

    Attributes:
        quality: 0 to 100.
        globals_only: send the global tokens alone.
        size: most bytes of the file.
        bpp: most bits per pixel.
        target: score to reach.
        effort: 0 to 9.
    """

    quality: float = DEFAULT_QUALITY
    globals_only: bool = False
    size: int | None = None
    bpp: float | None = None
    target: Target | None = None
    effort: int = DEFAULT_EFFORT

    @property
    def search(self) -> str:
        """What is searched for, as one would ask for it; nothing if nothing is."""
        if self.size is not None:
            return f"size={self.size}"
        if self.bpp is not None:
            return f"bpp={self.bpp:g}"
        return "" if self.target is None else f"{self.target.metric}={self.target.value:g}"

    def make(self, codec: "Codec", picture: "Picture") -> Made:
        """Compress a picture.

        Raises `RateError` if no file has the size or reaches the score, `ImageError`.
        """
        if not self.search:
            data = codec.compress(
                picture, self.quality, globals_only=self.globals_only, effort=self.effort
            )
            return Made(data, None if self.globals_only else self.quality, {}, "")
        from sbtcodec import rate

        if self.size is not None:
            found = rate.compress_to_size(codec, picture, self.size, effort=self.effort)
        elif self.bpp is not None:
            found = rate.compress_to_bpp(codec, picture, self.bpp, effort=self.effort)
        else:
            assert self.target is not None
            measure, value = _measure(self.target.metric), self.target.value
            found = rate.compress_to_score(codec, picture, measure, value, effort=self.effort)
        level = "globals only" if found.quality is None else f"quality {found.quality:.1f}"
        note = f"  {level}"
        fields: dict[str, float | None] = {"tried": found.tried}
        if self.target is not None:
            note += f", {self.target.metric} {found.reached:.4g}"
            fields[self.target.metric] = round(found.reached, 5)
        return Made(found.data, found.quality, fields, note)


def _measure(metric: str) -> "Score":
    """Return the function of a metric's name."""
    from sbtcodec.evaluation import metrics

    return {"psnr": metrics.psnr, "ms-ssim": metrics.ms_ssim, "ssimulacra2": metrics.ssimulacra2}[
        metric
    ]
