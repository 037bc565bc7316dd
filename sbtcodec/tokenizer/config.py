"""The sizes of the tokenizer, saved as JSON beside its weights."""

from dataclasses import dataclass

from sbtcodec.limits import MAX_DETAIL_LAYERS
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes

WINDOW = 8  # global tokens per window side: 8 x 32 px = 256 px, the paper's 64 tokens
ADAPTER_DEPTH = 2  # blocks of the adapter of local tokens; also the latents that it sees around one
# How often global tokens are adapted to what they predict.
STEPS_ALONE = 3  # where a file is the global tokens alone
STEPS_BEFORE_DETAILS = 1

NO_ENCODER = (
    "this model is installed or loaded for decoding alone, expected one that encodes;"
    " compress with the default model, loaded with its encoder"
)


@dataclass(frozen=True)
class TokenizerConfig:
    """Sizes of the networks; our choices, since the paper's are not public.

    Attributes:
        widths: channels at strides 4, 8 and 16.
        encoder_depths: blocks at strides 4, 8 and 16 of the local encoder.
        decoder_depths: blocks at strides 4, 8 and 16 of the decoder.
        local_channels: channels of a local token y (one per 16x16 pixels).
        groups: local channels per detail layer, in sending order; they sum to `local_channels`.
        fine_channels: of the local channels, those of the last detail layers that say what the
            others and the networks behind them leave of the pixels, without a prediction.
        levels: FSQ levels of each dimension of a global token z (one per 32x32 pixels).
        global_width: width of the attention layers over global tokens.
        heads: attention heads.
        encoder_attention: attention layers of the global encoder.
        predictor_attention: attention layers of the bootstrapped predictor.
        predictor_depth: convolutional blocks of the bootstrapped predictor at stride 16.
        refine_width: width of the networks that refine the prediction between detail layers.
        refine_depth: blocks of each of these networks.
        adapter_width: width of the network that adapts local tokens to a quality; 0 without it.
        adapter_attention: attention layers of the network that adapts global tokens to what they
            predict; 0 without it.
        alone_attention: the same of a network of its own for all steps but the first, which are
            taken where nothing follows the global tokens; 0 where one network takes all steps.
        gain_anchors: qualities at which the per-channel gains are learned.
        encoder: whether the networks are there that only an encoder runs.
        alone: sizes of a predictor for pictures of global tokens alone, which have a decoder of
            their own as well; None where the networks of all files show these, too.
    """

    widths: tuple[int, int, int] = (64, 128, 192)
    encoder_depths: tuple[int, int, int] = (2, 3, 4)
    decoder_depths: tuple[int, int, int] = (2, 4, 5)
    local_channels: int = 160
    groups: tuple[int, ...] = (16, 32, 48, 64)
    levels: tuple[int, ...] = (9, 9, 9, 9, 6, 6, 8, 4)
    global_width: int = 256
    heads: int = 8
    encoder_attention: int = 2
    predictor_attention: int = 3
    predictor_depth: int = 3
    refine_width: int = 128
    refine_depth: int = 1
    gain_anchors: int = 7
    adapter_width: int = 128
    adapter_attention: int = 2
    alone_attention: int = 2
    encoder: bool = True
    fine_channels: int = 0
    alone: PredictorSizes | None = None

    def __post_init__(self) -> None:
        """Reject sizes that cannot work together.

        Raises:
            ValueError: the groups do not add up, or a width is missing or does not divide.
        """
        if sum(self.groups) != self.local_channels:
            raise ValueError(f"groups {self.groups} must sum to {self.local_channels}")
        starts = [self.group_slice(group).start for group in range(1, self.layers)]
        if self.fine_channels and self.coarse_channels not in starts:
            raise ValueError("fine_channels must be those of whole groups, and not of all")
        if self.global_width % (4 * self.heads):
            raise ValueError("global_width must be a multiple of 4 * heads")
        if self.adapter_attention and not self.adapter_width:
            raise ValueError("adapter_attention needs an adapter_width")
        if self.alone_attention and not self.adapter_attention:
            raise ValueError("alone_attention needs an adapter_attention")
        if not 1 <= len(self.groups) <= MAX_DETAIL_LAYERS:
            raise ValueError(f"a file carries one to {MAX_DETAIL_LAYERS} detail layers")

    @property
    def layers(self) -> int:
        """Number of detail layers."""
        return len(self.groups)

    @property
    def coarse_channels(self) -> int:
        """Local channels that are predicted, and pass through all of the networks."""
        return self.local_channels - self.fine_channels

    @property
    def coarse_layers(self) -> int:
        """Detail layers of these channels."""
        starts = [self.group_slice(group).start for group in range(self.layers)]
        return sum(start < self.coarse_channels for start in starts)

    def token_adapter_of(self, step: int) -> str:
        """The name of the network that adapts global tokens in a step, 0 the first; "" if none."""
        if step >= STEPS_BEFORE_DETAILS and self.alone_attention:
            return "alone_adapter"
        return "token_adapter" if self.adapter_attention else ""

    def group_slice(self, group: int) -> slice:
        """Channels of detail layer `group` (0-based)."""
        start = sum(self.groups[:group])
        return slice(start, start + self.groups[group])
