"""One picture to its file: as the rate target asks, and verified if that is asked for."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sbtcodec.cli.common.advice import with_options
from sbtcodec.codec.rate_target import RateTarget
from sbtcodec.container import code_of, quality_of
from sbtcodec.errors import InvalidFileError, SbtError

if TYPE_CHECKING:
    from sbtcodec.codec.codec import Codec
    from sbtcodec.codec.light_codec import LightCodec
    from sbtcodec.image.picture import Picture


@dataclass(frozen=True)
class EncodedFile:
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


def encode_picture(
    rate_target: RateTarget, codec: "Codec | LightCodec", picture: "Picture"
) -> EncodedFile:
    """Compress a picture.

    Raises `RateError` if no file has the size or reaches the score, `ImageError`.
    """
    if not rate_target.search:
        data = codec.compress(
            picture,
            rate_target.quality,
            globals_only=rate_target.globals_only,
            effort=rate_target.effort,
            keep_invisible=rate_target.keep_invisible,
        )
        # as the file has it, which info tells too
        quality = None if rate_target.globals_only else quality_of(code_of(rate_target.quality))
        return EncodedFile(data, quality, {}, "")
    from sbtcodec.evaluation.metrics import measure_of

    measure = None if rate_target.target is None else measure_of(rate_target.target.metric)
    found = rate_target.found(codec, picture, measure)
    level = "globals only" if found.quality is None else f"quality {found.quality:.1f}"
    note = f"  {level}"
    fields: dict[str, float | None] = {"tried": found.tried}
    if rate_target.target is not None:
        note += f", {rate_target.target.metric} {found.reached:.4g}"
        fields[rate_target.target.metric] = round(found.reached, 5)
    return EncodedFile(found.data, found.quality, fields, note)


@dataclass(frozen=True)
class FileEncoder:
    """How files are encoded, on this machine or by the workers of a collection.

    Attributes:
        rate_target: what they rate_target at.
        verify: decode each before it is written.
        look: how pictures are meant to be seen, as `Picture` has it.
    """

    rate_target: RateTarget
    verify: bool = False
    look: str | None = None

    def __call__(self, codec: "Codec | LightCodec", picture: "Picture") -> EncodedFile:
        """Compress a picture.

        Raises `RateError` if no file has the size or reaches the score, `ImageError`, and
        `InvalidFileError` if the file does not decode.
        """
        if self.look is not None:
            picture = replace(picture, look=self.look)
        if not self.verify:
            return encode_picture(self.rate_target, codec, picture)
        encoded = encode_picture(self.rate_target, codec, replace(picture, passing=False))
        psnr = _verified(codec, encoded.data, picture)
        shown = round(psnr, 4) if math.isfinite(psnr) else None
        return replace(
            encoded,
            fields=encoded.fields | {"psnr": shown},
            note=encoded.note + verified_note(psnr),
        )


def verified_note(psnr: float) -> str:
    """What is said of a file that was verified, whose PSNR in dB this is."""
    return f"  verified, PSNR {psnr:.2f} dB"


def _verified(codec: "Codec | LightCodec", data: bytes, picture: "Picture") -> float:
    """Decode fresh bytes, and return the PSNR in dB of what is seen.

    Raises `InvalidFileError` if they do not give a whole picture of the size of the original.
    """
    from sbtcodec.evaluation.metrics import psnr
    from sbtcodec.image.transparency import score_of_seen

    try:
        decoded = codec.decode(
            data, realism=0, max_pixels=picture.rgb.shape[0] * picture.rgb.shape[1]
        )
    except SbtError as error:
        reason = with_options(str(error))
    else:
        if decoded.notice is None and decoded.rgb.shape == picture.rgb.shape:
            return score_of_seen(psnr, picture, decoded.picture)
        reason = decoded.notice or f"it decodes to {list(decoded.rgb.shape)}"
    raise InvalidFileError(
        f"the result failed its verification, nothing was written ({reason});"
        " this machine or this installation is broken"
    )
