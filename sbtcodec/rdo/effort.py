"""Encoder effort, 0 to 9: how much time a smaller file may cost."""

from typing import NamedTuple

from sbtcodec.arguments import whole_number


class Work(NamedTuple):
    """What an effort buys.

    Attributes:
        rounds: of gradient descent on the global tokens.
        steps: of gradient descent on the local tokens.
    """

    rounds: int
    steps: int


NONE = Work(0, 0)
WORK = (
    NONE,
    NONE,
    NONE,
    NONE,
    Work(0, 4),
    Work(4, 6),
    Work(6, 12),
    Work(8, 25),
    Work(12, 50),
    Work(16, 100),
)
"""Of efforts 0 to 9."""
PLAIN_EFFORT = 0
DEFAULT_EFFORT = 3


def as_setting(effort: int) -> str:
    """What an effort adds to settings in words: nothing if it is the default."""
    return "" if effort == DEFAULT_EFFORT else f", effort {effort}"


def work_of(effort: int) -> Work:
    """What an effort buys.

    Raises:
        ArgumentError: it is not 0 to 9.
    """
    return WORK[whole_number("effort", effort, 0, len(WORK) - 1)]
