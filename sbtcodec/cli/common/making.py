"""Making one file of a picture: as it is aimed at, and checked if asked for."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sbtcodec.cli.common.advice import with_options
from sbtcodec.cli.common.aim import Made, make
from sbtcodec.codec.rate_target import Aim
from sbtcodec.errors import InvalidFileError, SbtError

if TYPE_CHECKING:
    from sbtcodec.codec.codec import Codec
    from sbtcodec.image.picture import Picture


@dataclass(frozen=True)
class Making:
    """How files are made, on this machine or by the workers of a collection.

    Attributes:
        aim: what they aim at.
        verify: decode each before it is written.
    """

    aim: Aim
    verify: bool = False

    def __call__(self, codec: "Codec", picture: "Picture") -> Made:
        """Compress a picture.

        Raises `RateError` if no file has the size or reaches the score, `ImageError`, and
        `InvalidFileError` if the file does not decode.
        """
        made = make(self.aim, codec, picture)
        if not self.verify:
            return made
        psnr = _verified(codec, made.data, picture)
        shown = round(psnr, 4) if math.isfinite(psnr) else None
        return replace(
            made, fields=made.fields | {"psnr": shown}, note=made.note + verified_note(psnr)
        )


def verified_note(psnr: float) -> str:
    """What is said of a file that was verified, whose PSNR in dB this is."""
    return f"  verified, PSNR {psnr:.2f} dB"


def _verified(codec: "Codec", data: bytes, picture: "Picture") -> float:
    """Decode fresh bytes, and return the PSNR in dB of what is seen.

    Raises `InvalidFileError` if they do not give a whole picture of the size of the original.
    """
    from sbtcodec.evaluation.metrics import psnr
    from sbtcodec.image.transparency import score_of_seen

    try:
        decoded = codec.decode(data, max_pixels=picture.rgb.shape[0] * picture.rgb.shape[1])
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
