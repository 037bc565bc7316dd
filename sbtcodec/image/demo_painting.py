"""What the demo picture is painted with: noise, antialiased shapes, and colours blended in.

Shapes are signed distances in pixels, negative inside, so that every edge is antialiased.

Letters: `H`, `W` the rows and columns. Colours are floats in 0..1, fields float64 [H, W].
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 512, 768  # of the picture, in pixels

Array: TypeAlias = NDArray[np.float64]
Color: TypeAlias = tuple[float, float, float]


def noise(random: np.random.Generator, power: float, *, stretch: float = 1.0) -> Array:
    """Return fractal noise, float64 [H, W], mean 0, deviation 1; `stretch` widens or heightens it.

    The amplitude falls with frequency to the given power: 0 is white noise, 2 rolling hills.
    """
    rows = np.fft.fftfreq(HEIGHT)[:, None] * HEIGHT
    columns = np.fft.rfftfreq(WIDTH)[None] * WIDTH
    frequency = np.hypot(rows / stretch**0.5, columns * stretch**0.5)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.normal(size=(HEIGHT, WIDTH))) / frequency**power
    field = np.fft.irfft2(spectrum, s=(HEIGHT, WIDTH))
    return np.asarray(field / field.std())


def paint(picture: Array, opacity: Array, color: Array | Color) -> None:
    """Blend a colour into the picture, in place.

    Args:
        picture: float64 [H, W, 3], or a view of a part of one.
        opacity: float64 [H, W], 0 leaves the picture as it is, 1 covers it.
        color: one for all pixels, or float64 [H, W, 3].
    """
    picture += (np.asarray(color) - picture) * opacity[..., None]


def coverage(distance: Array) -> Array:
    """Return how much of each pixel is inside of a shape, 0..1.

    `distance` is from its middle to the edge of the shape, in pixels, less than 0 inside.
    """
    return np.clip(0.5 - distance, 0, 1)


def smoothstep(value: Array, low: float, high: float) -> Array:
    """Return a smooth step from 0 at `low` to 1 at `high`, and constant on both sides."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def box(y: Array, x: Array, top: float, bottom: float, left: float, right: float) -> Array:
    """Return the signed distance to the edge of a box, in pixels; less than 0 inside."""
    return np.maximum(np.maximum(top - y, y - bottom), np.maximum(left - x, x - right))
