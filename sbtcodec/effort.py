"""Encoder effort, 0 to 9: how much time a smaller file may cost."""

STEPS = (0, 0, 0, 0, 3, 6, 12, 25, 50, 100)  # of gradient descent on the local tokens, per effort
PLAIN_EFFORT = 0
DEFAULT_EFFORT = 3


def as_setting(effort: int) -> str:
    """What an effort adds to settings in words: nothing if it is the default."""
    return "" if effort == DEFAULT_EFFORT else f", effort {effort}"


def steps_of(effort: int) -> int:
    """Gradient steps of an effort.

    Raises:
        ValueError: it is not 0 to 9.
    """
    if effort not in range(len(STEPS)):
        raise ValueError(f"effort is {effort}, expected 0 to {len(STEPS) - 1}")
    return STEPS[effort]
