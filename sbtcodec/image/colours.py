"""Colour models and profiles: what Pillow decodes becomes 8-bit gray or RGB, and its profile."""

import io

import numpy as np
from PIL import Image, ImageCms

from sbtcodec.errors import ImageError
from sbtcodec.image import cicp as code_points
from sbtcodec.image.arrays import in_mode
from sbtcodec.image.bits import check_sixteen_bits
from sbtcodec.image.colour_tags import UNUSABLE

MODE_NOTICES = {
    "1": "1-bit black and white is converted to 8-bit grayscale",
    "P": "palette colours are converted to RGB",
    "PA": "palette colours are converted to RGB",
    "CMYK": "CMYK colours are converted to RGB",
    "YCbCr": "YCbCr colours are converted to RGB",
    "LAB": "LAB colours are converted to RGB",
    "HSV": "HSV colours are converted to RGB",
}
# For each colour space of a profile: the mode to apply it in, and the modes that lead there.
_PROFILE_MODES = {
    "RGB": ("RGB", ("RGB", "RGBX", "L", "1", "P", "PA", "YCbCr", "HSV")),
    "GRAY": ("L", ("L", "1")),
    "CMYK": ("CMYK", ("CMYK",)),
    "Lab": ("LAB", ("LAB",)),
}


def split_alpha(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours, 8 bits a sample, and the alpha channel (mode L) if there is one.

    Raises `ImageError` for samples of unknown range; `name` stands for the image in it.
    """
    if image.mode == "F":
        raise ImageError(
            f"{name} has floating-point samples, of which the range is not known;"
            " convert it to 8 or 16 bits first"
        )
    if image.mode.startswith("I"):  # I;16 in its byte orders, or 32-bit I
        return _round_to_8_bits(image, name)
    if not image.has_transparency_data:
        return image, None
    if image.mode in ("1", "L", "LA", "La"):
        image = in_mode(image, "LA")
        return image.getchannel("L"), image.getchannel("A")
    image = in_mode(image, "RGBA")
    return image.convert("RGB"), image.getchannel("A")


def with_profile(
    colours: Image.Image, profile: bytes | None, notices: list[str], *, strip: bool
) -> tuple[Image.Image, bytes | None]:
    """Return the colours in mode L or RGB, and the profile that they still have, if not sRGB.

    A profile for gray or RGB stays beside samples of that kind, which stay as they are. With
    `strip`, or if the samples are of another kind, it is applied, and none remains. What is not
    kept is added to `notices`.
    """
    plain = in_mode(colours, "L" if colours.mode in ("1", "L") else "RGB")
    if not profile:
        return plain, None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode, fitting = _PROFILE_MODES[source.profile.xcolor_space.strip()]
        if colours.mode not in fitting:
            raise ValueError(f"a profile for {mode} in an image of mode {colours.mode}")
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if _changes_nothing(transform, mode):
            return plain, None
        if mode == plain.mode and not strip:
            return plain, profile
        converted = ImageCms.applyTransform(in_mode(colours, mode), transform)
    except Exception:  # noqa: BLE001 - a profile can be damaged in any way; the pixels are fine
        notices.append(UNUSABLE)
        return plain, None
    if colours.mode not in ("CMYK", "LAB"):  # of which the conversion has been told already
        notices.append("colours are converted from the embedded profile to sRGB")
    assert converted is not None  # only in-place conversion returns None
    return in_mode(converted, plain.mode), None


def with_code_points(
    colours: Image.Image,
    profile: bytes | None,
    cicp: bytes,
    notices: list[str],
    *,
    strip: bool,
) -> tuple[Image.Image, bytes | None, bytes | None]:
    """Return the colours in mode L or RGB, with the profile and code points they still have.

    The profile is one that says the same as the code points, if there is one. With `strip`, they
    are applied and none remain, unless no profile says the same. What is not kept is added to
    `notices`.
    """
    plain = in_mode(colours, "L" if colours.mode in ("1", "L") else "RGB")
    if name := code_points.hdr_name(cicp):
        notices.append(f"the picture is of high dynamic range ({name}): 8 bits a sample are kept")
    same = code_points.profile_of(cicp, gray=plain.mode == "L")
    if same is not None:
        if not strip:
            return plain, same, cicp
        converted, _ = with_profile(plain, same, notices, strip=True)
        return converted, None, None
    if strip:
        notices.append(
            f"colours stay as they are, {code_points.described(cicp)}: they are not converted"
        )
        return plain, None, cicp
    fallback = with_profile(plain, profile, [], strip=False)[1]
    return plain, fallback, cicp


def _round_to_8_bits(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    samples = np.asarray(image).astype(np.int64)
    check_sixteen_bits(samples, name)
    gray = Image.fromarray(((samples + 128) // 257).astype(np.uint8))  # 65535 = 255 * 257
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return gray, None
    return gray, Image.fromarray(np.where(samples == transparent, 0, 255).astype(np.uint8))


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a profile is sRGB by its effect, whatever its name: no sample moves by over 2."""
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    if mode == "L":
        probe = Image.fromarray(steps[None])
    elif mode == "RGB":
        cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1)  # [18, 18, 18, 3]
        probe = Image.fromarray(cube.reshape(1, -1, 3))
    else:
        return False
    after = ImageCms.applyTransform(probe, transform)
    assert after is not None
    difference = np.asarray(after).astype(int) - np.asarray(probe.convert("RGB")).astype(int)
    return bool(np.abs(difference).max() <= 2)
