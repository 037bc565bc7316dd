"""What a program hands over as an image made a picture: a PIL image, an array, a picture.

Letters: `H`, `W` the rows and columns of an image, `C` its channels.
"""

import os
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.arguments import shown
from sbtcodec.errors import ArgumentError, ImageError
from sbtcodec.image.picture import Picture
from sbtcodec.image.pixels import as_rgb
from sbtcodec.limits import DEFAULT_MAX_PIXELS, MAX_SIDE

_EXPECTED = "uint8 [H, W] (gray), or [H, W, C] with 1, 2, 3 or 4 channels (LA, RGB, RGBA)"


def as_picture(
    image: object, *, strip: bool = False, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Picture:
    """Return the picture of an image in memory.

    Args:
        image: a PIL image of any mode, a picture, or an array: uint8 [H, W] and [H, W, 1] are gray,
            [H, W, 2] gray and alpha, [H, W, 3] RGB, [H, W, 4] RGB and alpha, in any layout of
            memory. Tensors and others that NumPy takes for arrays are arrays too.
        strip: leave out EXIF and XMP data and the colour profile, converting the colours to sRGB.
        max_pixels: the most pixels, checked before anything is decoded or copied.

    Raises:
        ArgumentError: it is something else, such as a path.
        ImageError: it has another dtype or shape, is too large, or cannot be decoded.
    """
    if isinstance(image, Image.Image):
        return as_rgb(image, strip=strip, max_pixels=max_pixels)
    if isinstance(image, Picture):
        _check_sides(image.rgb, max_pixels)
        if strip:
            bare = as_rgb(image.to_image(), strip=True, max_pixels=max_pixels)
            image = replace(bare, look=image.look)
        return _in_order(image)
    array = _array_of(image)
    if array.dtype != np.uint8:
        raise ImageError(
            f"the array is {array.dtype} {list(array.shape)}, expected {_EXPECTED};"
            f" convert it{_conversion(array.dtype)}"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        advice = "give one image, channels last"
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            advice = "put the channels last, with numpy.moveaxis(image, 0, -1)"
        raise ImageError(f"the array is uint8 {list(array.shape)}, expected {_EXPECTED}; {advice}")
    _check_sides(array, max_pixels)
    colours, alpha = array, None
    if array.shape[2] in (2, 4):
        colours, alpha = array[:, :, :-1], array[:, :, -1]
        if alpha.min() == 255:
            alpha = None
    grayscale = colours.shape[2] == 1
    rgb = np.repeat(colours, 3, 2) if grayscale else colours
    return _in_order(Picture(rgb, grayscale=grayscale, alpha=alpha))


def _in_order(picture: Picture) -> Picture:
    """Return the same picture, its pixels row by row in memory of its own if they are not yet.

    Torch takes no negative strides, nor, without a warning, what is read-only.
    """
    rgb = np.require(picture.rgb, requirements=["C", "W"])
    return picture if rgb is picture.rgb else replace(picture, rgb=rgb)


def _array_of(image: object) -> NDArray[Any]:
    if isinstance(image, (str, os.PathLike)):
        raise ArgumentError(
            f"found the path {shown(image)}, expected an image; open it first, with"
            " PIL.Image.open(path)"
        )
    if isinstance(image, (bytes, bytearray, memoryview)) or hasattr(image, "read"):
        raise ArgumentError(
            f"found {shown(image)}, expected an image; decode the file first, with PIL.Image.open"
        )
    if not hasattr(image, "__array__") and not hasattr(image, "__array_interface__"):
        raise ArgumentError(
            f"found {shown(image)}, expected a PIL image or an array {_EXPECTED};"
            " numpy.asarray(image, numpy.uint8) makes one of lists"
        )
    try:
        return np.asarray(image)
    except Exception as error:  # of the owner of the type: on another device, with gradients
        reason = " ".join(str(error).split())
        raise ArgumentError(
            f"found {shown(image)} that NumPy cannot read ({reason}); convert it to an array"
        ) from error


def _conversion(dtype: np.dtype[Any]) -> str:
    """Return how a dtype becomes uint8, where its range tells."""
    if dtype.kind == "f":
        return ", values of 0 to 1 with (image * 255).round().astype(numpy.uint8)"
    if dtype == np.uint16:
        return " with (image // 257).astype(numpy.uint8)"
    if dtype == np.bool_:
        return " with image * numpy.uint8(255)"
    if dtype.kind in "iu":
        return ", values of 0 to 255 with image.astype(numpy.uint8)"
    return " to uint8"


def _check_sides(array: NDArray[np.uint8], max_pixels: int) -> None:
    height, width = array.shape[:2]
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise ImageError(
            f"the image is {width}x{height} pixels, expected 1 to {MAX_SIDE} on each side"
        )
    if height * width > max_pixels:
        raise ImageError(
            f"the image is {width}x{height} pixels, too many pixels, expected at most {max_pixels}"
            " in all; scale it down, or raise max_pixels"
        )
