"""A landscape made by NumPy alone, to show a codec on; what is done with it is left to the caller.

Sky, sun, clouds, mountains, a forest and their reflection in a lake, then a meadow with a house and
a fence: smooth, textured and sharp parts. `demo_painting` has what they are painted with.

Letters: `H`, `W` the rows and columns. Colours are floats in 0..1, fields float64 [H, W].
"""

import numpy as np
from numpy.typing import NDArray

from sbtcodec.image.demo_painting import (
    HEIGHT,
    WIDTH,
    Array,
    Color,
    box,
    coverage,
    noise,
    paint,
    smoothstep,
)

_SHORE = 318.0  # the row where the lake begins, on the far side
_SUN = (548.0, 118.0)
_HAZE: Color = (0.93, 0.78, 0.66)


def demo_picture() -> NDArray[np.uint8]:
    """Paint the picture from back to front: uint8 [512, 768, 3], the same at every call."""
    random = np.random.default_rng(64)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    picture = _sky(random, y, x)
    _mountains(picture, random, y, x)
    _forest(picture, random, y, x)
    _lake(picture, random, y, x)
    _birds(picture, y, x)
    bank = _meadow(picture, random, y, x)
    _fence(picture, y, x, bank)
    _house(picture, random, y, x)
    grain = random.normal(0, 0.008, (HEIGHT, WIDTH, 1)) + random.normal(0, 0.004, picture.shape)
    return np.rint(np.clip(picture + grain, 0, 1) * 255).astype(np.uint8)


def _sky(random: np.random.Generator, y: Array, x: Array) -> Array:
    """Return sky, clouds and sun on the whole picture, float64 [H, W, 3]."""
    stops = [0, 90, 190, 270, _SHORE]
    colors = [(0.20, 0.36, 0.62), (0.38, 0.55, 0.76), (0.74, 0.76, 0.79), (0.96, 0.80, 0.64), _HAZE]
    picture = np.stack([np.interp(y, stops, channel) for channel in zip(*colors, strict=True)], -1)
    distance = np.hypot(x - _SUN[0], y - _SUN[1])
    for reach, strength in ((230.0, 0.40), (70.0, 0.45)):
        paint(picture, strength * np.exp(-((distance / reach) ** 1.3)), (1.0, 0.90, 0.70))
    billows = noise(random, 2.1, stretch=3.5) + 0.30 * noise(random, 1.4, stretch=2.0)
    height = np.exp(-(((y - 95) / 75) ** 2))
    cover = smoothstep(billows + 0.9 * height, 0.75, 2.3)
    lit = np.exp(-((distance / 260) ** 2))[..., None]
    cloud = (0.83, 0.81, 0.84) + lit * np.array((0.17, 0.12, -0.04))
    paint(picture, 0.85 * cover, cloud - 0.10 * smoothstep(billows, 1.2, 3.2)[..., None])
    paint(picture, coverage(distance - 17), (1.0, 0.98, 0.90))
    return picture


def _mountains(picture: Array, random: np.random.Generator, y: Array, x: Array) -> None:
    """Add ridges from the far, hazy one to the near one; the far ones carry snow."""
    columns = x[0]
    layers = (  # crest row, relief, roughness, rock, haze, snow line
        (176.0, 58.0, 1.75, (0.30, 0.34, 0.46), 0.24, 152.0),
        (226.0, 40.0, 1.70, (0.25, 0.31, 0.38), 0.20, 0.0),
        (260.0, 28.0, 1.65, (0.19, 0.30, 0.27), 0.12, 0.0),
    )
    peaks = ((150.0, 95.0, 72.0), (330.0, 70.0, 40.0), (690.0, 110.0, 58.0))
    for index, (crest, relief, roughness, rock, haze, snow_line) in enumerate(layers):
        ridge = crest - relief * noise(random, roughness)[0] * 0.55
        if index == 0:
            for center, reach, rise in peaks:
                ridge -= rise * np.exp(-(np.abs((columns - center) / reach) ** 1.25))
        depth = y - ridge
        surface = noise(random, 1.9, stretch=0.7)
        slope = np.gradient(surface, axis=1) + 0.5 * np.gradient(surface, axis=0)
        light = np.tanh(0.9 * slope / slope.std())[..., None]
        color = np.array(rock) * (1 + 0.55 * light) + light * np.array((0.05, 0.025, 0.0))
        if snow_line:
            line = snow_line + 22 * surface + 30 * light[..., 0]
            snow = np.array((0.82, 0.82, 0.88)) + 0.16 * light * np.array((1.0, 0.8, 0.5))
            color = color + (snow - color) * (0.94 * smoothstep(line - y, -9, 9))[..., None]
        mist = haze + 0.42 * smoothstep(depth, 0, 130 - 30 * index)
        color = color + (np.array(_HAZE) - color) * mist[..., None]
        paint(picture, coverage(-depth), color)


def _forest(picture: Array, random: np.random.Generator, y: Array, x: Array) -> None:
    """Add rows of spruces down to the far shore, each row darker and taller than the one behind."""
    columns = x[0]
    for row, (base, tall, color) in enumerate(
        (
            (290.0, 15.0, (0.20, 0.30, 0.25)),
            (302.0, 20.0, (0.13, 0.23, 0.17)),
            (315.0, 25.0, (0.07, 0.15, 0.11)),
        )
    ):
        ground = base - 7 * np.sin(columns / 130 + 2 * row) - 4 * np.sin(columns / 47 + row)
        top = ground.copy()
        trunks = np.arange(-10.0, WIDTH + 10, 5.5)
        for trunk in trunks + random.uniform(-3, 3, trunks.size):
            size = tall * random.uniform(0.55, 1.35)
            away = np.abs(columns - trunk)
            # Branches: the width of a spruce grows with a saw-tooth on the way down.
            crown = size * (1 - away / (0.23 * size)) + 1.6 * np.cos(1.9 * away + trunk)
            near = away < 0.3 * size
            top[near] = np.minimum(top[near], (ground - crown)[near])
        texture = 1 + 0.28 * noise(random, 0.8, stretch=0.4)
        rim = 0.45 * np.exp(-np.maximum(y - top, 0) / 3.5)  # light from behind
        shade = (texture + rim)[..., None] * np.array(color)
        paint(picture, coverage(top - y), shade)


def _lake(picture: Array, random: np.random.Generator, y: Array, x: Array) -> None:
    """Mirror what stands above the shore, blurred and moved by waves, with the sun's glitter."""
    near = np.clip((y - _SHORE) / (HEIGHT - _SHORE), 0, 1)
    waves = noise(random, 1.15, stretch=9.0)
    fine = noise(random, 0.55, stretch=7.0)
    rows = 2 * _SHORE - y + (1.0 + 16 * near) * waves + (0.5 + 5 * near) * fine
    columns = np.clip(x + 3 * near * fine, 0, WIDTH - 1).astype(int)
    rows = np.clip(rows, 0, _SHORE - 1.5)
    upper, part = rows.astype(int), (rows % 1)[..., None]
    mirrored = picture[upper, columns] * (1 - part) + picture[upper + 1, columns] * part
    deep = np.array((0.07, 0.17, 0.24)) + (0.05 * waves * near)[..., None]
    water = mirrored * 0.90 + (deep - mirrored * 0.90) * (0.16 + 0.42 * near)[..., None]
    path = np.exp(-(((x - _SUN[0]) / (16 + 75 * near)) ** 2))
    sparks = smoothstep(fine + 0.6 * waves, 0.9, 2.2) * path * (0.95 - 0.35 * near)
    water += sparks[..., None] * np.array((1.0, 0.84, 0.58))
    paint(picture, coverage(_SHORE - y), water)
    paint(picture, 0.5 * np.exp(-(((y - _SHORE - 0.8) / 1.3) ** 2)), (0.86, 0.80, 0.72))


def _birds(picture: Array, y: Array, x: Array) -> None:
    """Add a few birds: two bent strokes each."""
    for left, top, span in ((386, 64, 11), (412, 76, 8), (430, 58, 9), (362, 84, 7), (455, 80, 6)):
        away = np.abs(x - left)
        wing = top - 0.55 * span * np.sin(np.clip(away / span, 0, 1) * 2.4)
        thickness = 1.25 * np.clip(1 - away / span, 0, 1) + 0.25
        stroke = np.maximum(np.abs(y - wing) - thickness, away - span)
        paint(picture, 0.9 * coverage(stroke), (0.13, 0.14, 0.19))


def _meadow(picture: Array, random: np.random.Generator, y: Array, x: Array) -> Array:
    """Add the near bank with grass and flowers; return its edge, float64 [W], less the tufts."""
    columns = x[0]
    bank = 392 + 96 * smoothstep(columns, 180, 640) + 5 * np.sin(columns / 38)
    edge = bank - 2.2 * np.abs(noise(random, 0.5)[0])  # tufts
    blades = noise(random, 0.55, stretch=0.22)
    patches = noise(random, 1.8, stretch=2.5)
    depth = np.maximum(y - edge, 0)
    mix = smoothstep(patches, -1.6, 1.6)[..., None]
    color = np.array((0.25, 0.36, 0.12)) * (1 - mix) + np.array((0.47, 0.46, 0.18)) * mix
    color = color * (1 + 0.30 * blades * (0.5 + 0.5 * smoothstep(depth, 0, 70)))[..., None]
    color = color * (1.12 - 0.42 * smoothstep(depth, 0, 150))[..., None]
    color += (0.20 * np.exp(-depth / 4))[..., None] * np.array((1.0, 0.85, 0.45))
    paint(picture, coverage(edge - y), color)
    for _ in range(150):
        left, top = random.uniform(0, WIDTH), random.uniform(420, HEIGHT)
        size = 0.7 + 1.5 * (top - 420) / 92
        petal = ((0.98, 0.95, 0.90), (0.95, 0.78, 0.20), (0.80, 0.25, 0.22))[random.integers(3)]
        if top > bank[int(left)] + 12:
            around = np.s_[int(top) - 4 : int(top) + 5, max(int(left) - 4, 0) : int(left) + 5]
            distance = np.hypot(x[around] - left, y[around] - top)
            paint(picture[around], 0.9 * coverage(distance - size), petal)
    return np.asarray(bank)


def _fence(picture: Array, y: Array, x: Array, bank: Array) -> None:
    """Add posts and two rails along the bank."""
    wood, shaded = (0.72, 0.64, 0.54), (0.38, 0.32, 0.28)
    foot = bank[None] + 9
    for rail in (9.0, 18.0):
        stroke = np.maximum(np.abs(y - foot + rail) - 1.3, np.maximum(278 - x, x - 610))
        paint(picture, coverage(stroke), wood)
        paint(picture, coverage(np.abs(stroke - 0.9) - 0.5) * (y > foot - rail), shaded)
    for left in np.arange(282.0, 615, 27):
        ground = bank[int(left)] + 11
        paint(picture, coverage(box(y, x, ground - 27, ground, left - 2.4, left + 2.4)), wood)
        paint(picture, coverage(box(y, x, ground - 27, ground, left - 2.4, left - 0.6)), shaded)


def _house(picture: Array, random: np.random.Generator, y: Array, x: Array) -> None:
    """Add a wooden house, its gable end lit by the sun: boards, windows, a door, a tiled roof."""
    ground, eaves, ridge = 432.0, 362.0, 318.0
    grain = noise(random, 0.6, stretch=6.0)[..., None]
    shadow = np.hypot((x - 150) / 105, (y - ground - 3) / 9) - 1
    paint(picture, 0.55 * smoothstep(-shadow, 0.0, 0.6), (0.07, 0.09, 0.05))
    chimney = box(y, x, 296, 345, 112, 126)
    bricks = 0.84 + 0.16 * ((y % 5 > 1) & ((x + 4 * (y // 5 % 2)) % 8 > 1))
    paint(picture, coverage(chimney), bricks[..., None] * np.array((0.55, 0.33, 0.27)))
    # The long side, in the shade, and the gable end, in the light.
    boards = (0.92 + 0.08 * np.cos(2 * np.pi * y / 5.0))[..., None] * (1 + 0.05 * grain)
    side = box(y, x, eaves, ground, 58, 170)
    gable_roof = (np.abs(x - 206) * (eaves - ridge) / 36 + ridge - y) * 0.63
    gable = np.maximum(box(y, x, ridge - 9, ground, 170, 242), gable_roof)
    paint(picture, coverage(side), boards * np.array((0.45, 0.15, 0.12)))
    paint(picture, coverage(gable), boards * np.array((0.74, 0.27, 0.19)))
    # The roof over the long side: a sheared box with rows of tiles, then the boards of the gable.
    shear = x - 36 * (eaves - y) / (eaves - ridge)
    roof = box(y, shear, ridge - 3, eaves + 5, 50, 168)
    tiles = 0.80 + 0.20 * ((y % 6) / 6) - 0.16 * ((shear + 4.5 * (y // 6 % 2)) % 9 < 1.2)
    paint(picture, coverage(roof), tiles[..., None] * np.array((0.36, 0.30, 0.32)))
    paint(picture, coverage(np.maximum(np.abs(gable_roof + 1) - 2.6, y - eaves - 7)), (0.93,) * 3)
    for left in (74, 112):
        _window(picture, y, x, 380, left, (0.98, 0.80, 0.42))
    _window(picture, y, x, 384, 214, (0.50, 0.62, 0.72))
    _window(picture, y, x, 338, 196, (0.50, 0.62, 0.72))
    paint(picture, coverage(box(y, x, 378, ground, 177, 203)), (0.93, 0.91, 0.88))
    panels = 0.90 + 0.10 * np.cos(2 * np.pi * x / 6)
    door = coverage(box(y, x, 381, ground, 180, 200))
    paint(picture, door, panels[..., None] * np.array((0.20, 0.34, 0.36)))
    paint(picture, coverage(np.hypot(x - 196, y - 409) - 1.4), (0.95, 0.82, 0.45))
    for column in (58, 170, 242):
        post = box(y, x, eaves, ground, column - 1.8, column + 1.8)
        paint(picture, coverage(post), (0.92, 0.90, 0.88))


def _window(picture: Array, y: Array, x: Array, top: float, left: float, pane: Color) -> None:
    paint(picture, coverage(box(y, x, top - 3, top + 29, left - 3, left + 23)), (0.93, 0.91, 0.88))
    glass = np.array(pane) * (1.1 - 0.012 * (y - top + 0.6 * (x - left)))[..., None]
    paint(picture, coverage(box(y, x, top, top + 26, left, left + 20)), glass)
    bars = np.minimum(np.abs(x - left - 10) - 0.9, np.abs(y - top - 12) - 0.9)
    bars = np.maximum(bars, box(y, x, top, top + 26, left, left + 20))
    paint(picture, coverage(bars), (0.93, 0.91, 0.88))
