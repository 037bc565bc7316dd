"""The demo picture: the same everywhere, and with something in it for every part of a codec."""

import numpy as np

from sbtcodec.image.comparison import side_by_side
from sbtcodec.image.demo_picture import demo_picture

# Means of red, green and blue in 4 x 6 blocks of 128 x 128 pixels.
GOLDEN = np.array(
    [
        [
            [155.7, 169.0, 196.4],
            [129.7, 153.2, 188.8],
            [176.9, 183.5, 194.8],
            [206.8, 202.8, 193.6],
            [217.4, 210.6, 195.2],
            [195.5, 194.4, 196.0],
        ],
        [
            [163.9, 155.1, 155.4],
            [157.7, 151.2, 154.1],
            [149.3, 145.9, 150.6],
            [165.9, 165.2, 167.1],
            [158.0, 153.6, 153.8],
            [167.6, 157.5, 156.0],
        ],
        [
            [67.6, 73.4, 66.3],
            [91.7, 87.6, 81.0],
            [45.7, 64.5, 59.1],
            [62.2, 77.1, 72.8],
            [69.9, 81.4, 74.0],
            [59.6, 73.3, 66.9],
        ],
        [
            [110.6, 100.8, 49.3],
            [100.6, 91.6, 53.1],
            [85.4, 98.5, 52.8],
            [95.5, 104.6, 75.9],
            [106.3, 109.7, 95.7],
            [93.9, 99.8, 89.4],
        ],
    ]
)


def block_means(rgb):
    return rgb.reshape(4, 128, 6, 128, 3).mean(axis=(1, 3))


def test_the_picture_is_the_same_as_ever():
    rgb = demo_picture()
    assert rgb.dtype == np.uint8
    assert rgb.shape == (512, 768, 3)
    assert np.abs(block_means(rgb) - GOLDEN).max() < 1
    assert np.array_equal(rgb, demo_picture())


def test_the_picture_has_smooth_and_sharp_parts():
    gray = demo_picture().mean(axis=2)
    steps = np.abs(np.diff(gray, axis=1))
    assert np.median(steps) < 8
    assert np.percentile(steps, 99.5) > 60
    assert gray.min() < 20
    assert gray.max() > 240


def test_a_comparison_shows_every_picture_unchanged():
    panels = [(np.full((40, 60, 3), value, np.uint8), f"level {value}") for value in (10, 120, 200)]
    sheet = side_by_side(panels)
    for value in (10, 120, 200):
        assert np.all(sheet == value, axis=2).sum() >= 40 * 60
    assert np.all(sheet[-30:, -60:] == 255)  # the fourth place is empty
