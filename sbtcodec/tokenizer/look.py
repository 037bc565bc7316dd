"""A look: a decoder and a predictor of its own, for the tokens of a model that stays as it is."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.decoder import Decoder
from sbtcodec.tokenizer.predictor import Predictor, predictor_like
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes

if TYPE_CHECKING:
    from sbtcodec.tokenizer.model import Tokenizer


class Look(nn.Module):
    """The networks that show tokens in another way; no symbol depends on them.

    Attributes:
        decoder: in place of the model's.
        predictor: in place of the model's predictor and first refiner, for pictures of global
            tokens alone, where nothing is added to what they predict; None to take the model's.
    """

    def __init__(
        self,
        config: TokenizerConfig,
        finest_width: int = 0,
        sizes: PredictorSizes | None = None,
    ) -> None:
        """Build the networks, freshly initialised.

        Args:
            config: sizes of the model.
            finest_width: channels of the decoder's branch at stride 2; 0 without it.
            sizes: of its predictor; None without one.
        """
        super().__init__()
        self.decoder = Decoder(config, finest_width)
        self.predictor = None if sizes is None else Predictor(sizes, config)


def look_like(
    tokenizer: "Tokenizer", finest_width: int = 0, sizes: PredictorSizes | None = None
) -> Look:
    """A look that shows what the model itself does: where training one starts.

    Args:
        tokenizer: of the model; its networks are copied.
        finest_width: as for `Look`; the branch adds nothing yet.
        sizes: of its predictor, the model's or deeper; None without one.
    """
    look = Look(tokenizer.config, finest_width)
    decoder = copy.deepcopy(tokenizer.decoder.state_dict())
    # what is the look's alone, the finest branch and its noise, stays as it was drawn
    look.decoder.load_state_dict(look.decoder.state_dict() | decoder)
    if sizes is not None:
        look.predictor = predictor_like(tokenizer, sizes)
    return look


def mixed(look: Look, begin: Callable[[], Look], share: float) -> Look:
    """A look between the one that a training began with and what it came to.

    Weights are interpolated: networks with one history differ little enough for that, and what is
    between is better than both by some measures (Wortsman et al., arXiv 2109.01903). What began at
    random, within blocks and a branch that add nothing at first, stays as it was learned: there is
    nothing between it and another draw. What they add is made less.

    Args:
        look: what training came to; stays as it is.
        begin: makes what it began with, of the same sizes, but for what is drawn at random.
        share: of the beginning, 0 to 1.

    Returns:
        A new look.
    """
    made, first, again = copy.deepcopy(look), begin().state_dict(), begin().state_dict()
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if torch.equal(first[name], again[name]):  # not drawn at random
                value.lerp_(first[name], share)
    return made


def alone_like(tokenizer: "Tokenizer", sizes: PredictorSizes) -> Look:
    """Networks of pictures of global tokens alone that show what the model does: where they start.

    Args:
        tokenizer: of the model; its networks are copied: those for such pictures, if they have
            these sizes.
        sizes: of the predictor, the model's or deeper.
    """
    own, inner = tokenizer.alone, sizes.within(tokenizer.config)
    look = Look(inner, 0, sizes)
    if own is not None and own.predictor is not None and own.predictor.sizes == sizes:
        look.load_state_dict(own.state_dict())
        return look
    look.predictor = predictor_like(tokenizer, sizes)
    mine, state = look.decoder.state_dict(), tokenizer.decoder.state_dict()
    told = mine["condition.weight"].shape[1]  # without the layers of fine channels
    state["condition.weight"] = state["condition.weight"][:, :told]
    look.decoder.load_state_dict({name: state[name].clone() for name in mine})
    return look
