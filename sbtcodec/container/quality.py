"""The quality that people ask for, 0 to 100, and the code 0..255 that a file has for it."""

_CODES_PER_UNIT = 2.55


def code_of(quality: float) -> int:
    """Return the code nearest to a quality."""
    return round(quality * _CODES_PER_UNIT)


def quality_of(code: int) -> float:
    """Return the quality of a code: the whole number that has it, else to two decimals.

    So whoever asked for a whole number is told the same, and `code_of` gives the code again.
    """
    exact = code / _CODES_PER_UNIT
    whole = float(round(exact))
    return whole if code_of(whole) == code else round(exact, 2)
