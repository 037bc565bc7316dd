"""One model: the tokenizer's float networks and the entropy coder's integer networks."""

from torch import nn

from sbtcodec.entropy.entropy_parameters import EntropyParameters
from sbtcodec.entropy.prior import Prior
from sbtcodec.models.config import ModelConfig
from sbtcodec.tokenizer.model import Tokenizer


class CodecModel(nn.Module):
    """All networks of the codec, freshly initialised from a configuration."""

    def __init__(self, config: ModelConfig) -> None:
        """Build the networks of `config`."""
        super().__init__()
        self.config = config
        t = config.tokenizer
        self.tokenizer = Tokenizer(t)
        self.prior = Prior(t.levels, config.prior_width, config.prior_hidden, config.prior_depth)
        self.scales = EntropyParameters(
            t.levels,
            t.groups,
            t.gain_anchors,
            config.scale_width,
            config.scale_trunk,
            config.shapes,
            config.scale_depth,
            signs=config.scale_signs,
        )
