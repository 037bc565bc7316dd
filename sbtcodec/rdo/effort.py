"""Encoder effort, 0 to 9: how much time a smaller file may cost."""

from typing import NamedTuple

from sbtcodec.arguments import whole_number


class SearchSteps(NamedTuple):
    """What an effort buys.

    Attributes:
        rounds: of the token search, of `token_search.STEPS` gradient steps each.
        steps: of gradient descent of the latent search.
    """

    rounds: int
    steps: int


NONE = SearchSteps(0, 0)
SEARCH_STEPS = (
    NONE,
    NONE,
    NONE,
    NONE,
    SearchSteps(0, 4),
    SearchSteps(4, 10),
    SearchSteps(6, 16),
    SearchSteps(8, 30),
    SearchSteps(12, 50),
    SearchSteps(16, 100),
)
"""Of efforts 0 to 9."""
PLAIN_EFFORT = 0
DEFAULT_EFFORT = 3


def as_setting(effort: int) -> str:
    """What an effort adds to settings in words: nothing if it is the default."""
    return "" if effort == DEFAULT_EFFORT else f", effort {effort}"


def search_steps_of(effort: int) -> SearchSteps:
    """What an effort buys.

    Raises:
        ArgumentError: it is not 0 to 9.
    """
    return SEARCH_STEPS[whole_number("effort", effort, 0, len(SEARCH_STEPS) - 1)]
