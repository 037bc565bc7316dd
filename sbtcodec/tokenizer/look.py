"""A look: a decoder of its own, and refiners, for the tokens of a model that stays as it is."""

import copy
from collections.abc import Iterable

from torch import nn

from sbtcodec.tokenizer.bootstrap import Refiner
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.decoder import Decoder
from sbtcodec.tokenizer.model import Tokenizer


class Look(nn.Module):
    """The networks that show tokens in another way; no symbol depends on them.

    Attributes:
        decoder: in place of the model's.
        refiners: by the step ("0", "2", ...) before which they run, in place of the model's, where
            nothing is sent from there on: the last refinement before a picture is shown.
    """

    def __init__(
        self, config: TokenizerConfig, finest_width: int = 0, steps: Iterable[int] = ()
    ) -> None:
        """Build the networks, freshly initialised.

        Args:
            config: sizes of the model.
            finest_width: channels of the decoder's branch at stride 2; 0 without it.
            steps: which refiners it has: of `last_steps`.
        """
        super().__init__()
        self.decoder = Decoder(config, finest_width)
        self.refiners = nn.ModuleDict({str(step): Refiner(config, step // 2) for step in steps})

    def refiner(self, step: int) -> Refiner | None:
        """Its own refiner for the last refinement, before `step`; None where it has none."""
        name = str(step)
        if name not in self.refiners:
            return None
        found = self.refiners[name]
        assert isinstance(found, Refiner)
        return found


def last_steps(config: TokenizerConfig) -> range:
    """The steps before which a refinement can be the last one: those that begin a detail layer."""
    return range(0, 2 * config.coarse_layers, 2)


def look_like(tokenizer: Tokenizer, finest_width: int = 0, steps: Iterable[int] = ()) -> Look:
    """A look that shows what the model itself does: where training one starts.

    Args:
        tokenizer: of the model; its decoder and refiners are copied.
        finest_width: as for `Look`; the branch adds nothing yet.
        steps: as for `Look`.
    """
    look = Look(tokenizer.config, finest_width, steps)
    decoder = copy.deepcopy(tokenizer.decoder.state_dict())
    # what is the look's alone, the finest branch and its noise, stays as it was drawn
    look.decoder.load_state_dict(look.decoder.state_dict() | decoder)
    for step, refiner in look.refiners.items():
        refiner.load_state_dict(tokenizer.refiners[int(step)].state_dict())
    return look
