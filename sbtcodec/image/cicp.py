"""Coding-independent code points (ITU-T H.273): four bytes that name the colours of samples.

They are colour primaries, transfer function, matrix coefficients, and whether the range is full;
as in PNG's cICP chunk, the matrix is 0, that of RGB.
"""

from sbtcodec.image import profiles
from sbtcodec.image.profiles import D65, SRGB_CURVE, Chromaticities, White

_UNSPECIFIED = 2
_C: White = (0.310, 0.316)
_525 = (0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
# Primaries and white by code. Those of code 10, XYZ, are no colours.
_PRIMARIES: dict[int, tuple[Chromaticities, White]] = {
    1: (profiles.SRGB, D65),
    _UNSPECIFIED: (profiles.SRGB, D65),
    4: ((0.670, 0.330, 0.210, 0.710, 0.140, 0.080), _C),
    5: ((0.640, 0.330, 0.290, 0.600, 0.150, 0.060), D65),
    6: (_525, D65),
    7: (_525, D65),
    8: ((0.681, 0.319, 0.243, 0.692, 0.145, 0.049), _C),
    9: ((0.708, 0.292, 0.170, 0.797, 0.131, 0.046), D65),
    11: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), D65),
    22: ((0.630, 0.340, 0.295, 0.605, 0.155, 0.077), D65),
}
_BT709 = profiles.linear_then_power(1 / 0.45, 0.099, 4.5, 0.081)
# Curves by code; logarithms and those of HDR are left out.
_CURVES = {
    1: _BT709,
    _UNSPECIFIED: SRGB_CURVE,
    4: profiles.gamma(2.2),
    5: profiles.gamma(2.8),
    6: _BT709,
    7: profiles.linear_then_power(1 / 0.45, 0.1115, 4.0, 0.0912),
    8: profiles.gamma(1.0),
    13: SRGB_CURVE,
    14: _BT709,
    15: _BT709,
}
_HDR = {16: "PQ", 18: "HLG"}
_NAMES = {1: "BT.709", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}


def checked(cicp: bytes) -> bytes:
    """Return code points if they are what a picture may have: four bytes, of RGB, full range.

    Raises `ValueError` if they are not.
    """
    if len(cicp) != 4 or cicp[2:] != b"\0\1":
        raise ValueError(
            f"the colour code points are {cicp[:8].hex(' ') or 'empty'}, expected four bytes, of"
            " which the third is 0 and the last 1"
        )
    return cicp


def says_nothing(cicp: bytes) -> bool:
    """Whether both primaries and transfer function are unspecified."""
    return cicp[0] == cicp[1] == _UNSPECIFIED


def is_srgb(cicp: bytes) -> bool:
    """Whether they say sRGB, or nothing that differs from it."""
    return cicp[0] in (1, _UNSPECIFIED) and cicp[1] in (13, _UNSPECIFIED)


def hdr_name(cicp: bytes) -> str | None:
    """Return the name of a transfer function of high dynamic range, None for others."""
    return _HDR.get(cicp[1])


def described(cicp: bytes) -> str:
    """Return a name, such as "Display P3" or "BT.2020 with PQ", or the code points."""
    name = _NAMES.get(cicp[0])
    if name is None:
        return f"code points {cicp[0]} and {cicp[1]} of H.273"
    transfer = _HDR.get(cicp[1], "" if cicp[1] == 13 else f"transfer function {cicp[1]}")
    return f"{name} with {transfer}" if transfer else name


def profile_of(cicp: bytes, *, gray: bool) -> bytes | None:
    """Return an ICC profile that says the same; None if none does, as for HDR and logarithms."""
    curve, colours = _CURVES.get(cicp[1]), _PRIMARIES.get(cicp[0])
    if curve is None or (colours is None and not gray):
        return None
    if gray or colours is None:
        return profiles.gray_profile(described(cicp), curve)
    return profiles.rgb_profile(described(cicp), *colours, [curve])
