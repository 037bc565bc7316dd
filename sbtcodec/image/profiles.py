"""ICC profiles built from primaries and a curve, for gray and RGB, as version 4 of ICC says."""

import struct
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# x and y of red, green and blue, and of white.
Chromaticities: TypeAlias = tuple[float, float, float, float, float, float]
White: TypeAlias = tuple[float, float]

D65: White = (0.3127, 0.3290)
SRGB: Chromaticities = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
ADOBE_RGB: Chromaticities = (0.640, 0.330, 0.210, 0.710, 0.150, 0.060)
_D50 = (0.9642, 1.0, 0.8249)  # as profiles round it
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(65536 * float(number)) for number in numbers))


def gamma(exponent: float) -> bytes:
    """Return the curve that raises a sample, 0 to 1, to a power; 0 < `exponent` < 1000."""
    return b"para" + bytes(8) + _fixed(exponent)


def linear_then_power(exponent: float, offset: float, slope: float, bound: float) -> bytes:
    """Return a curve as video has it: a line up to `bound`, a power from there on.

    Above it, a sample x becomes ((x + offset) / (1 + offset)) ** exponent, below it x / slope.
    """
    scale = 1 + offset
    return (
        b"para"
        + bytes(4)
        + struct.pack(">HH", 3, 0)
        + _fixed(exponent, 1 / scale, offset / scale, 1 / slope, bound)
    )


def table(values: Sequence[int]) -> bytes:
    """Return a curve through 2 to 65536 values, 0 to 65535, at equal distances."""
    return b"curv" + bytes(4) + struct.pack(f">I{len(values)}H", len(values), *values)


SRGB_CURVE = linear_then_power(2.4, 0.055, 12.92, 0.04045)


def rgb_profile(
    name: str, primaries: Chromaticities, white: White, curves: Sequence[bytes]
) -> bytes:
    """Return the profile of a display with these primaries and a curve for each channel, or all.

    Raises `ValueError` if no colours have these chromaticities.
    """
    columns = _adapted(primaries, white)
    tags = {f"{channel}XYZ".encode(): _xyz(*columns[:, i]) for i, channel in enumerate("rgb")}
    each = list(curves) if len(curves) == 3 else [curves[0]] * 3
    tags |= {f"{channel}TRC".encode(): curve for channel, curve in zip("rgb", each, strict=True)}
    return _profile(b"RGB ", name, tags | {b"chad": _matrix(_to_d50(white))})


def gray_profile(name: str, curve: bytes) -> bytes:
    """Return the profile of gray samples with this curve."""
    return _profile(b"GRAY", name, {b"kTRC": curve})


def _adapted(primaries: Chromaticities, white: White) -> NDArray[np.float64]:
    """Return XYZ of the primaries, a column each, that sum to the white of profiles."""
    points = np.array(primaries).reshape(3, 2)
    if not np.isfinite(points).all() or points[:, 1].min() <= 0 or points.max() > 1:
        raise ValueError(f"primaries at {primaries}, expected 0 to 1")
    colours = np.array([_xyz_of(x, y) for x, y in points]).T
    if abs(np.linalg.det(colours)) < 1e-4:
        raise ValueError(f"primaries at {primaries}, expected a triangle")
    weights = np.linalg.solve(colours, _xyz_of(*white))
    if weights.min() <= 0:
        raise ValueError(f"white at {white}, expected it inside of the primaries {primaries}")
    adapted: NDArray[np.float64] = _to_d50(white) @ (colours * weights)
    if np.abs(adapted).max() >= 4:
        raise ValueError(f"primaries at {primaries} and white at {white} are out of range")
    return adapted


def _to_d50(white: White) -> NDArray[np.float64]:
    if not (0 < white[0] < 1 and 0 < white[1] < 1):
        raise ValueError(f"white at {white}, expected 0 to 1")
    source, target = _BRADFORD @ _xyz_of(*white), _BRADFORD @ np.array(_D50)
    if source.min() <= 0:
        raise ValueError(f"white at {white} is no white")
    found: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(target / source) @ _BRADFORD
    return found


def _xyz_of(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _profile(space: bytes, name: str, tags: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": _text(name),
        b"cprt": _text("No copyright"),
        b"wtpt": _xyz(*_D50),
        **tags,
    }
    start = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}  # equal values stand once
    entries, body = b"", b""
    for tag, value in tags.items():
        if value not in places:
            places[value] = start + len(body)
            body += value + bytes(-len(value) % 4)
        entries += tag + struct.pack(">II", places[value], len(value))
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x04200000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*_D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + body


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(encoded), 28) + encoded


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(x, y, z)


def _matrix(matrix: NDArray[np.float64]) -> bytes:
    return b"sf32" + bytes(4) + _fixed(*matrix.ravel())
