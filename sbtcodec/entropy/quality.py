"""What a quality code 0..255 means: gains between learned anchors, and below the lowest of them.

Gains (1 / step size, per channel) are learned at a few anchor qualities. A code is a position on
that scale, in 64ths of the distance between anchors, computed by integers alone. Codes below
`FIRST` go on below the lowest anchor by making all steps larger, until next to nothing is sent.
"""

FIRST = 26  # the code of the lowest anchor
MIDDLE = 128  # quality 50
MIDDLE_SHARE = 60  # per cent of the way from the lowest to the highest anchor, at quality 50
LAST = 255
HAT_ONE = 64  # one, in hats
LARGEST_EXTENSION = 1.3  # nats by which the gains at code 0 are below those of the lowest anchor


def position(code: int, anchors: int) -> int:
    """Position of a code, 0..64 * (anchors - 1), rising with the code from `FIRST` on."""
    end = HAT_ONE * (anchors - 1)
    middle = end * MIDDLE_SHARE // 100
    if code <= FIRST:
        return 0
    if code <= MIDDLE:
        return (code - FIRST) * middle // (MIDDLE - FIRST)
    return middle + (code - MIDDLE) * (end - middle) // (LAST - MIDDLE)


def integer_hats(code: int, anchors: int) -> list[int]:
    """Weights of the anchors in 64ths: of the two around the code's position, 0 elsewhere."""
    low, fraction = divmod(position(code, anchors), HAT_ONE)
    hats = [0] * anchors
    hats[low] = HAT_ONE - fraction
    if fraction:
        hats[low + 1] = fraction
    return hats


def extension(code: int) -> float:
    """Nats by which the gains of a code are below those of the lowest anchor; 0 from `FIRST` on."""
    return LARGEST_EXTENSION * max(0, FIRST - code) / FIRST
