"""Pixels of an opened image with the samples that its file has, whatever Pillow makes of them.

Of 16-bit colours Pillow keeps the upper byte alone, and makes RGB of gray with alpha; the
transparent value of gray of less than 8 bits is left as it is in the file; of some formats nothing
tells how many bits a sample had. All this can be seen only until the pixels are loaded.
"""

import io
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.errors import ImageError
from sbtcodec.image.bits import check_sixteen_bits, rounded_to_8
from sbtcodec.image.opening import open_image
from sbtcodec.image.tiff_layout import ADVICE, UNSIGNED, Tag
from sbtcodec.image.tiff_samples import readable

_LOW_BITS = {"L;2": 2, "L;4": 4}
# The raw modes that give the upper bytes, and those that give the lower ones.
_LOWER = {"L;16B": "L;16", "RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
_PNG_GRAY_ALPHA = "LA;16B"
_COLOUR_MAP = 320  # a TIFF tag
_SGI_HEADER_BYTES = 512
_J2K_START, _J2K_COMPONENTS = b"\xff\x4f\xff\x51", 40  # where the counts of components stand
_AVIF_HEADER_BYTES = 2**16
_AV1_TEN_BITS, _AV1_TWELVE_BITS = 0x40, 0x20


def loaded(image: Image.Image, name: str, notices: list[str]) -> Image.Image:
    """Load an image, and return it, or one in its place with the samples that the file has.

    It has 8 bits a sample, or is of Pillow's modes for 16 and 32 bits and floating point. What is
    reduced is added to `notices`.

    Raises `ImageError` for what cannot be read rightly, and what Pillow raises.
    """
    image = readable(image, name, notices)
    tile = next(iter(getattr(image, "tile", ())), None)
    codec, raw_mode = ("", "") if tile is None else (tile.codec_name, _raw_mode(tile.args))
    bits = 8 if tile is None else _bits(image, codec, raw_mode, tile.args, name)
    exact = image.tell() == 0 and raw_mode in (*_LOWER, _PNG_GRAY_ALPHA) and bits == 16
    content = _content(image) if exact or codec == "SGI16" else b""
    image.load()
    if image.mode == "I" and image.format == "TIFF":
        _check_integers_of_tiff(image, name)
    if image.mode.startswith("I"):
        bits = max(bits, 16) if bits == 8 else bits
    if bits > 8:
        notices.append(f"{bits} bits a sample are rounded to 8")
    if codec == "SGI16":
        return _replaced(image, _sgi_samples(content, image))
    if content:
        return _replaced(image, _sixteen_bits(content, image, raw_mode))
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        notices.append("whether ink is stored inverted is not said: it is taken to be, as by Adobe")
    if image.mode == "P" and image.format == "TIFF":
        return _with_whole_palette(image, notices)
    transparent = image.info.get("transparency")
    if image.mode in ("1", "L") and isinstance(transparent, int):
        return _with_transparent_gray(image, transparent, _LOW_BITS.get(raw_mode, 8))
    if image.mode == "RGB" and isinstance(transparent, tuple) and max(transparent) > 255:
        image = image.copy()  # of the value, the standard says, the lowest bits count
        image.info["transparency"] = tuple(value & 255 for value in transparent)
    return image


def _check_integers_of_tiff(image: Image.Image, name: str) -> None:
    """Refuse integers of 32 bits by their own values: Pillow has them signed, whatever they are."""
    kind = getattr(image, "tag_v2", {}).get(Tag.FORMAT, (UNSIGNED,))
    if kind in (UNSIGNED, (UNSIGNED,)):
        check_sixteen_bits(np.asarray(image).view(np.uint32), name)


def _with_whole_palette(image: Image.Image, notices: list[str]) -> Image.Image:
    """Return an image with the palette of its file, if old software wrote bytes instead of words.

    The standard has 16 bits in TIFF palettes, of which Pillow takes the upper ones.
    """
    found = getattr(image, "tag_v2", {}).get(_COLOUR_MAP, ())
    if not isinstance(found, tuple) or not found or not 0 < max(found) < 256:
        return image
    notices.append("the palette has bytes where words are the rule: it is read as bytes")
    twin = image.copy()
    twin.format = image.format
    twin.putpalette(np.array(found, np.uint8).reshape(3, -1).T.tobytes())
    return twin


def _raw_mode(arguments: Any) -> str:  # noqa: ANN401 - a string, a tuple or None, by the codec
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _bits(image: Image.Image, codec: str, raw_mode: str, arguments: Any, name: str) -> int:  # noqa: ANN401
    """Return how many bits a sample has in the file, 8 for less."""
    if image.format == "FITS" and image.mode != "L":
        raise ImageError(
            f"{name} is a FITS file of mode {image.mode}, of which the range is not known, expected"
            f" 8 bits a sample; {ADVICE}"
        )
    if codec in ("ppm", "ppm_plain") and image.mode != "1":
        return max(8, int(arguments[-1]).bit_length())
    if codec == "jpeg2k":
        return _bits_of_jpeg_2000(image, name)
    if image.format == "AVIF":
        return _bits_of_avif(image)
    return 16 if codec == "SGI16" or ";16" in raw_mode and image.format != "TGA" else 8


def _bits_of_jpeg_2000(image: Image.Image, name: str) -> int:
    content = _content(image)
    start = content.find(_J2K_START)
    if start < 0:
        return 8
    (components,) = struct.unpack_from(">H", content, start + _J2K_COMPONENTS)
    depths = content[start + _J2K_COMPONENTS + 2 :: 3][:components]
    bits = max((depth & 127) + 1 for depth in depths)
    # Pillow rounds without a limit: white becomes 256, which is stored as 0.
    if bits > 8 and (image.mode != "I;16" or bits > 16):
        raise ImageError(
            f"{name} is a JPEG 2000 file of {bits} bits a sample in {components} channels, expected"
            f" 8 bits a sample, or gray; {ADVICE}"
        )
    return max(8, bits)


def _bits_of_avif(image: Image.Image) -> int:
    """Return what the configuration of the AV1 decoder says, the first if there are several."""
    header = _content(image, _AVIF_HEADER_BYTES)
    at = header.find(b"av1C") + 6
    if at < 6 or at >= len(header):
        return 8
    ten = bool(header[at] & _AV1_TEN_BITS)
    return (12 if header[at] & _AV1_TWELVE_BITS else 10) if ten else 8


def _content(image: Image.Image, size: int = -1) -> bytes:
    """Return the file of an image that is not loaded yet, or the beginning of it."""
    file: BinaryIO | None = getattr(image, "fp", None)
    if file is None:
        return b""
    position = file.tell()
    file.seek(0)
    content = file.read(size)
    file.seek(position)
    return content


def _sixteen_bits(content: bytes, image: Image.Image, raw_mode: str) -> NDArray[np.uint16]:
    """Return the samples, uint16 [H, W, C], of an image that has been loaded with `raw_mode`."""
    as_bytes = raw_mode == _PNG_GRAY_ALPHA  # four of them, as in RGBA
    with open_image(io.BytesIO(content), (str(image.format),)) as other:
        tile = other.tile[0]
        lower: Any = "RGBA" if as_bytes else _LOWER[raw_mode]
        if isinstance(tile.args, tuple):
            lower = (lower, *tile.args[1:])
        other.tile = [tile._replace(args=lower)]
        stored = np.asarray(other)
    upper = np.asarray(image)
    if as_bytes:
        upper, stored = stored[:, :, 0::2], stored[:, :, 1::2]
    samples = np.stack([upper, stored], -1).view(">u2").astype(np.uint16)
    return samples.reshape(*upper.shape[:2], -1)


def _sgi_samples(content: bytes, image: Image.Image) -> NDArray[np.uint16]:
    """Return the samples, uint16 [H, W, C], of an uncompressed SGI file of 16 bits."""
    shape = len(image.getbands()), image.height, image.width
    stored = np.frombuffer(content, ">u2", shape[0] * shape[1] * shape[2], _SGI_HEADER_BYTES)
    return stored.reshape(shape)[:, ::-1].transpose(1, 2, 0).astype(np.uint16)


def _replaced(image: Image.Image, samples: NDArray[np.uint16]) -> Image.Image:
    """Return an image of these samples, rounded, with the metadata of another."""
    rounded = rounded_to_8(samples, 16)
    transparent = image.info.get("transparency")
    if rounded.shape[2] == 3 and isinstance(transparent, tuple):
        opaque = (samples != np.array(transparent, np.uint16)).any(2)
        rounded = np.dstack([rounded, np.where(opaque, 255, 0).astype(np.uint8)])
    found = Image.fromarray(rounded[:, :, 0] if rounded.shape[2] == 1 else rounded)
    found.info = {key: value for key, value in image.info.items() if key != "transparency"}
    found.format = image.format
    return found


def _with_transparent_gray(image: Image.Image, transparent: int, bits: int) -> Image.Image:
    """Return gray with alpha; the transparent value has the bits of the file."""
    if bits < 8:
        transparent = (transparent & (2**bits - 1)) * 255 // (2**bits - 1)
    gray = np.asarray(image.convert("L"))
    alpha = np.where(gray == transparent & 255, 0, 255).astype(np.uint8)
    found = Image.fromarray(np.dstack([gray, alpha]))
    found.info = {key: value for key, value in image.info.items() if key != "transparency"}
    found.format = image.format
    return found
