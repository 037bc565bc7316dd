"""What an image file says of its colours, in whichever way, as a profile or code points.

The first of these that is there counts: code points, an ICC profile, PNG's sRGB chunk, gamma and
chromaticities of PNG or TIFF, Adobe RGB in EXIF data. Code points in AVIF come after a profile.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from sbtcodec.image import cicp as code_points
from sbtcodec.image import profiles
from sbtcodec.image.exif import colour_space_of
from sbtcodec.image.profiles import D65, SRGB, SRGB_CURVE

UNUSABLE = "the embedded colour profile is unusable: colours are taken as sRGB"
_UNUSABLE_TAGS = "the colour tags of the file are unusable: colours are taken as sRGB"
# Of PNG: what is written for the curve of sRGB, which has no exponent.
_GAMMA_OF_SRGB = (0.450, 0.460)
_TRANSFER_FUNCTION, _WHITE_POINT, _PRIMARIES = 301, 318, 319  # TIFF tags
_MAX_TABLE = 4096
_COLOURS = ("RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "YCbCr")
_GRAYS = ("1", "L", "LA", "La", "I", "F")


def colours_of(
    image: Image.Image, found: Mapping[str, bytes], exif: bytes | None, notices: list[str]
) -> tuple[bytes | None, bytes | None]:
    """Return the ICC profile and the code points of a loaded image; (None, None) for sRGB.

    `found` is what Pillow does not tell. What is unusable is added to `notices`. A profile beside
    code points says the same to those that do not know them.
    """
    info: dict[Any, Any] = {**found, **image.info}
    profile = info.get("icc_profile") or None
    if isinstance(image, ImageFile) and profile is None and "icc_profile" in image.info:
        notices.append(UNUSABLE)  # as Pillow found that it is damaged
    cicp = _code_points(info.get("cicp"), notices)
    if cicp is not None:
        return (None, None) if code_points.is_srgb(cicp) else (profile, cicp)
    if profile is not None or "srgb" in info:
        return profile, None
    gray = image.mode in _GRAYS or image.mode.startswith("I;")
    if not gray and image.mode not in _COLOURS:
        return None, None
    try:
        return _of_png(info, gray=gray) or _of_tiff(image, gray=gray) or _of_exif(
            exif, notices, gray=gray
        ), None
    except (ValueError, TypeError, OverflowError, np.linalg.LinAlgError):
        notices.append(_UNUSABLE_TAGS)
        return None, None


def _code_points(found: object, notices: list[str]) -> bytes | None:
    if not isinstance(found, bytes):
        return None
    try:
        cicp = code_points.checked(found)
    except ValueError:
        notices.append("the colour code points of the file are unusable: they are ignored")
        return None
    return None if code_points.says_nothing(cicp) else cicp


def _of_png(info: Mapping[Any, Any], *, gray: bool) -> bytes | None:
    """Return a profile of gAMA and cHRM."""
    gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
    if gamma is None and chromaticity is None:
        return None
    curve = SRGB_CURVE
    if gamma is not None and not _GAMMA_OF_SRGB[0] <= gamma <= _GAMMA_OF_SRGB[1]:
        if not 0.01 <= gamma <= 100:
            raise ValueError(f"gamma {gamma}, expected 0.01 to 100")
        curve = profiles.gamma(1 / gamma)
    white, primaries = D65, SRGB
    if chromaticity is not None:
        white, primaries = tuple(chromaticity[:2]), tuple(chromaticity[2:8])
    if gray:
        return profiles.gray_profile("Gamma of a PNG file", curve)
    return profiles.rgb_profile("Colours of a PNG file", primaries, white, [curve])


def _of_tiff(image: Image.Image, *, gray: bool) -> bytes | None:
    """Return a profile of TransferFunction, WhitePoint and PrimaryChromaticities."""
    tags = getattr(image, "tag_v2", {})
    transfer, white, primaries = (
        tags.get(tag) for tag in (_TRANSFER_FUNCTION, _WHITE_POINT, _PRIMARIES)
    )
    if transfer is None and primaries is None:
        return None
    curves = [SRGB_CURVE]
    if transfer is not None:
        length = 1 << tags[258][0] if 258 in tags else 256
        if len(transfer) not in (length, 3 * length) or length < 2:
            raise ValueError(f"a transfer function of {len(transfer)} values")
        curves = [
            profiles.table(_thinned(transfer[at : at + length]))
            for at in range(0, len(transfer), length)
        ]
    if gray:
        return profiles.gray_profile("Transfer function of a TIFF file", curves[0])
    at_white = D65 if white is None else (float(white[0]), float(white[1]))
    points: Any = SRGB if primaries is None else tuple(map(float, primaries[:6]))
    return profiles.rgb_profile("Colours of a TIFF file", points, at_white, curves)


def _thinned(values: tuple[int, ...]) -> list[int]:
    """Return at most 4096 of the values, the first and the last among them."""
    if len(values) <= _MAX_TABLE:
        return list(values)
    places = np.linspace(0, len(values) - 1, _MAX_TABLE).round().astype(int)
    return [values[place] for place in places]


def _of_exif(exif: bytes | None, notices: list[str], *, gray: bool) -> bytes | None:
    space = colour_space_of(exif) if exif and not gray else None
    if space == "adobe":
        exponent = profiles.gamma(563 / 256)
        return profiles.rgb_profile("Adobe RGB (1998)", profiles.ADOBE_RGB, D65, [exponent])
    if space == "uncalibrated":
        notices.append("the EXIF data names no colour space: colours are taken as sRGB")
    return None
