"""The predictor of files of global tokens alone, by itself and in other sizes than the released."""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from sbtcodec.errors import WeightsError
from sbtcodec.tokenizer.bootstrap import LocalPredictor, Refiner
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.model import Tokenizer
from sbtcodec.training import checkpoint

GRAIN = 16  # channels of stride 16 come in multiples of this
RELEASED = {"tokenizer.predictor.": "predictor.", "tokenizer.refiners.0.": "refiner."}


@dataclass(frozen=True)
class PredictorSizes:
    """Sizes of a predictor; the meaning is that of the same fields of `TokenizerConfig`.

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

    @classmethod
    def of(cls, config: TokenizerConfig, scale: float = 1.0) -> Self:
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

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)

    def within(self, config: TokenizerConfig) -> TokenizerConfig:
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
        )


class Predictor(nn.Module):
    """Global tokens to coarse local tokens: what `Tokenizer.predicted` runs."""

    def __init__(self, sizes: PredictorSizes, config: TokenizerConfig) -> None:
        """Draw the weights of networks of `sizes` for the tokens of `config`."""
        super().__init__()
        self.sizes = sizes
        inner = sizes.within(config)
        self.predictor = LocalPredictor(inner)
        self.refiner = Refiner(inner, 0)

    def forward(self, values: Tensor) -> Tensor:
        """Predict.

        Args:
            values: of the global tokens, float [B, dims, H, W] in (-1, 1).

        Returns:
            float32 [B, coarse_channels, 2H, 2W].
        """
        features, y_hat = self.predictor(values)
        y_hat = y_hat.float()
        refined: Tensor = y_hat + self.refiner(features, y_hat).float()
        return refined


def released_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of a predictor among those of a whole model, by name."""
    return {
        new + name.removeprefix(old): value
        for old, new in RELEASED.items()
        for name, value in state.items()
        if name.startswith(old)
    }


def load_into(predictor: Predictor, state: dict[str, Tensor]) -> None:
    """Give a predictor the parameters of another one, or of a whole model.

    Raises:
        WeightsError: they are of other sizes, or of something else.
    """
    try:
        predictor.load_state_dict(released_state(state) or state)
    except RuntimeError as error:
        raise WeightsError(
            f"the weights are not those of a predictor of these sizes: {error}; start from weights"
            " of the same scale, or without any"
        ) from error


def weights_in(path: Path) -> dict[str, Tensor]:
    """Parameters that a predictor can start from, by name: averaged ones, or released.

    Args:
        path: a checkpoint of a predictor or of a whole model, or released weights.

    Raises:
        WeightsError: the file is neither.
    """
    try:
        tensors, _ = checkpoint.load(path)
    except WeightsError:
        return checkpoint.weights_of(path).state
    return {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}


def trained_predictor(path: Path, tokenizer: Tokenizer) -> Predictor:
    """The predictor of a checkpoint, with averaged weights, frozen.

    Raises:
        WeightsError: the file is no such checkpoint, or one of another model's tokens.
    """
    tensors, progress = checkpoint.load(path)
    if "predictor" not in progress:
        raise WeightsError(f"{path} is no checkpoint of a predictor; give one of that stage")
    model = Predictor(PredictorSizes(**progress["predictor"]), tokenizer.config)
    load_into(model, {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")})
    return model.eval().requires_grad_(requires_grad=False)
