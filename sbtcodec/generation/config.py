"""Sizes of a generator, as its weights file has them."""

from dataclasses import asdict, dataclass
from typing import Any

MASKED, AUTOREGRESSIVE = "masked", "autoregressive"
ORDERS = (MASKED, AUTOREGRESSIVE)

SIDE = 8
"""Tokens along each side of the window that the transformer sees: 256 pixels."""

WINDOW = SIDE * SIDE

STEPS, MAX_STEPS = 12, 64
"""Rounds of drawing for a window: unless said otherwise, and at most."""

GUIDANCE, MAX_GUIDANCE = 2.0, 20.0
"""How much more a picture is to look like its class: unless said otherwise, and at most."""

SHEET = "sheet.png"
"""Name of the sheet beside sampled pictures."""

MAX_SAMPLE_SIDE = 2048
"""Longest side of a sampled picture, in pixels."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of a transformer over a window of global tokens.

    Attributes:
        levels: number of levels in each dimension of a token.
        classes: names of the classes it can be asked for; it also knows "none of them" and "any".
        order: `masked`, where tokens are drawn in any order, several in a round (MaskGIT, Chang et
            al., arXiv 2202.04200), or `autoregressive`, one after the other in raster order.
        width: features of a token.
        depth: layers.
        heads: of attention.
        head_width: features of the small network that draws the dimensions of one token.
    """

    levels: tuple[int, ...]
    classes: tuple[str, ...] = ()
    order: str = MASKED
    width: int = 384
    depth: int = 7
    heads: int = 6
    head_width: int = 256

    @property
    def labels(self) -> int:
        """Conditions: the classes, squares without a class, and any square."""
        return len(self.classes) + 2

    @property
    def no_class(self) -> int:
        """The label of photographs without a class."""
        return len(self.classes)

    @property
    def any(self) -> int:
        """The label that stands for all photographs."""
        return len(self.classes) + 1

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "GeneratorConfig":
        """What `to_json` gave.

        Raises:
            TypeError: a field is unknown or missing.
        """
        known = dict(stored)
        for name in ("levels", "classes"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)
