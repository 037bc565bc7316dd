"""A predictor of files of global tokens alone, by itself and in other sizes than the released."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from sbtcodec.tokenizer.bootstrap import LocalPredictor, Refiner
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.fsq import FSQ
from sbtcodec.tokenizer.layers import Block
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes

if TYPE_CHECKING:
    from sbtcodec.tokenizer.model import Tokenizer


class Predictor(nn.Module):
    """Global tokens to coarse local tokens: what `Tokenizer.predicted` runs."""

    def __init__(self, sizes: PredictorSizes, config: TokenizerConfig) -> None:
        """Draw the weights of networks of `sizes` for the tokens of `config`."""
        super().__init__()
        self.sizes, self.config = sizes, sizes.within(config)
        self.fsq = FSQ(config.levels)
        self.predictor = LocalPredictor(self.config)
        self.refiner = Refiner(self.config, 0)

    @property
    def refiners(self) -> tuple[Refiner]:
        """What refines before each step; nothing follows the first one."""
        return (self.refiner,)

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


def predictor_like(tokenizer: "Tokenizer", sizes: PredictorSizes) -> Predictor:
    """A predictor that predicts what that of a model does: where training one starts.

    Args:
        tokenizer: of the model; the predictor that its symbols are added to is copied.
        sizes: the model's or deeper; further blocks change nothing before they are trained.
    """
    made = Predictor(sizes, tokenizer.config)
    for block in made.predictor.spread:
        if isinstance(block, Block):
            nn.init.zeros_(block.project.weight)
            assert block.project.bias is not None
            nn.init.zeros_(block.project.bias)
    released = {
        "predictor": tokenizer.predictor.state_dict(),
        "refiner": tokenizer.refiners[0].state_dict(),
    }
    known = {f"{of}.{k}": v.clone() for of, state in released.items() for k, v in state.items()}
    made.load_state_dict(made.state_dict() | known)
    return made
