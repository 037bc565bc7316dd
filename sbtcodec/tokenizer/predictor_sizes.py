"""Sizes of a predictor of files of global tokens alone."""

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from sbtcodec.tokenizer.config import TokenizerConfig

MOST_CHANNELS = 4096  # a predictor has nothing larger
MOST_ATTENTION = 3  # layers; further ones would see more tokens than crops are given
MOST_BLOCKS = 24  # latents that a predictor and its refiner can see around a latent
GRAIN = 16  # channels of stride 16 come in multiples of this


@dataclass(frozen=True)
class PredictorSizes:
    """Sizes of a predictor; the meaning is that of the same fields of `TokenizerConfig`.

    Raises `ValueError` for sizes that cannot be, or that could see further than crops allow for.

    Attributes:
        global_width: width of the attention layers over global tokens.
        heads: attention heads.
        attention: attention layers.
        width: channels at stride 16.
        depth: convolutional blocks at stride 16.
        refine_width: width of the refiner.
        refine_depth: blocks of the refiner.
    """

    global_width: int
    heads: int
    attention: int
    width: int
    depth: int
    refine_width: int
    refine_depth: int

    def __post_init__(self) -> None:
        """Check them: they are read from files."""
        for name, size in self.to_json().items():
            if type(size) is not int or not 1 <= size <= MOST_CHANNELS:
                raise ValueError(f"{name} is {size!r}, expected 1 to {MOST_CHANNELS}")
        if self.global_width % (4 * self.heads):
            raise ValueError("global_width must be a multiple of 4 * heads")
        if self.attention > MOST_ATTENTION:
            raise ValueError(f"attention is {self.attention}, expected at most {MOST_ATTENTION}")
        if self.depth + self.refine_depth > MOST_BLOCKS:
            raise ValueError(f"depth and refine_depth are more than {MOST_BLOCKS} together")

    @classmethod
    def of(cls, config: "TokenizerConfig", scale: float = 1.0) -> Self:
        """The sizes of a model, or about `scale` times as many parameters.

        Widths grow with the root of the scale, depths stay; the width of a head stays, too. With
        model 9 that makes 1.34 million parameters at 0.5, 2.47 at 1, 4.68 at 2 and 9.68 at 4.
        """
        grow = math.sqrt(scale)
        each = config.global_width // config.heads
        heads = max(1, round(config.heads * grow))

        def grown(width: int) -> int:
            return width if scale == 1 else max(GRAIN, round(width * grow / GRAIN) * GRAIN)

        return cls(
            global_width=heads * each,
            heads=heads,
            attention=config.predictor_attention,
            width=grown(config.widths[2]),
            depth=config.predictor_depth,
            refine_width=grown(config.refine_width),
            refine_depth=config.refine_depth,
        )

    def deeper(self, blocks: int, refining: int) -> Self:
        """With so many more blocks at stride 16, and in the refiner."""
        depth, refine_depth = self.depth + blocks, self.refine_depth + refining
        return replace(self, depth=depth, refine_depth=refine_depth)

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)

    def within(self, config: "TokenizerConfig") -> "TokenizerConfig":
        """The sizes of networks for the tokens of a model; fine channels are not among them."""
        return replace(
            config,
            widths=(*config.widths[:2], self.width),
            global_width=self.global_width,
            heads=self.heads,
            predictor_attention=self.attention,
            predictor_depth=self.depth,
            refine_width=self.refine_width,
            refine_depth=self.refine_depth,
            local_channels=config.coarse_channels,
            groups=config.groups[: config.coarse_layers],
            fine_channels=0,
            alone=None,
        )
