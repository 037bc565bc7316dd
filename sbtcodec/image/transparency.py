"""Colours under transparency: those that nobody sees, those that are averaged, those that count.

Letters: `H`, `W` the rows and columns of a picture.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.image.picture import Picture

RGB = NDArray[np.uint8]
Alpha = NDArray[np.uint8]
Score = Callable[[RGB, RGB], float]

BLACK, WHITE = 0, 255  # backgrounds


def smoothed(picture: Picture) -> Picture:
    """Return a picture whose invisible pixels, of alpha 0, continue their visible neighbourhood.

    What an editor leaves in them would cost bytes, and spoil what is visible beside them. They are
    filled from the mean of what is visible, over ever larger squares. Visible pixels and alpha are
    as they were; a picture without invisible pixels is returned itself.
    """
    alpha = picture.alpha
    if alpha is None or alpha.min() > 0:
        return picture
    opaque = Image.fromarray(np.where(alpha > 0, np.uint8(255), np.uint8(0)))
    return replace(picture, rgb=np.array(_filled(Image.fromarray(picture.rgb), opaque)))


def reduced(rgb: RGB, alpha: Alpha | None, scale: int) -> tuple[RGB, Alpha | None]:
    """Return the means of squares of pixels; colours count by their alpha.

    Args:
        rgb: uint8 [H, W, 3].
        alpha: uint8 [H, W], if there is one.
        scale: the side of a square, 1 or more; those at the edges may be cut.

    Returns:
        uint8 [H / scale, W / scale, 3], rounded up, and alpha of that size.
    """
    if scale == 1:
        return rgb, alpha
    plain = np.asarray(Image.fromarray(rgb).reduce(scale))
    if alpha is None:
        return plain, None
    weight = np.asarray(_means(alpha, scale))
    colours = [np.asarray(_means(alpha * channel, scale)) for channel in _channels(rgb)]
    means = np.stack(colours, 2) / np.maximum(weight, np.float32(1e-6))[:, :, None]
    shown = np.rint(means).clip(0, 255).astype(np.uint8)
    shown = np.where(weight[:, :, None] > 0, shown, plain)
    return shown, np.asarray(Image.fromarray(alpha).reduce(scale))


def score_of_seen(score: Score, x: Picture, x_hat: Picture) -> float:
    """Return a score of what is seen: the lesser of those over black and over white.

    Args:
        score: called with two pictures uint8 [H, W, 3], the original first; more is better.
        x: the original.
        x_hat: the decoded picture, of the same size.

    Returns:
        The score of the pixels as they are, if neither picture has transparency.
    """
    if x.alpha is None and x_hat.alpha is None:
        return score(x.rgb, x_hat.rgb)
    return min(score(over(x, level), over(x_hat, level)) for level in (BLACK, WHITE))


def over(picture: Picture, level: int) -> RGB:
    """Return a picture over a background of one gray level, 0 to 255: uint8 [H, W, 3]."""
    if picture.alpha is None:
        return picture.rgb
    alpha = picture.alpha[:, :, None].astype(np.uint16)
    mixed = picture.rgb * alpha + np.uint16(level) * (255 - alpha)  # at most 255 * 255
    return ((mixed + 127) // 255).astype(np.uint8)


def _filled(image: Image.Image, opaque: Image.Image) -> Image.Image:
    """Return an image of mode RGB, filled where a mask of mode L, 0 or 255, is 0."""
    if image.size == (1, 1) or opaque.getextrema() == (255, 255):
        return image
    black = Image.new("RGB", image.size)
    sums, share = Image.composite(image, black, opaque).reduce(2), opaque.reduce(2)
    means = Image.merge("RGBa", (*sums.split(), share)).convert("RGBA").convert("RGB")
    # The last square of an odd row is cut.
    part = (0.0, 0.0, image.width / 2, image.height / 2)
    around = _filled(means, share.point([0] + [255] * 255))
    larger = around.resize(image.size, Image.Resampling.BILINEAR, box=part)
    return Image.composite(image, larger, opaque)


def _channels(rgb: RGB) -> list[NDArray[np.float32]]:
    return [rgb[:, :, index].astype(np.float32) for index in range(3)]


def _means(values: NDArray[np.generic], scale: int) -> Image.Image:
    return Image.fromarray(values.astype(np.float32)).reduce(scale)
