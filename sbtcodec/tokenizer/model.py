"""The tokenizer: its float networks and the per-channel gains, held together.

    x -> LocalEncoder -> y -> GlobalEncoder -> FSQ -> z          (what the encoder runs,
    z -> LocalPredictor -> TokenAdapter -> FSQ -> z as it is sent (once, or three times)
    y -> LocalAdapter -> y as it is sent at one quality           and these)
    z -> LocalPredictor -> y_hat -> Refiner, layer by layer -> Decoder -> x_hat   (both run)

Nothing here decides a probability; rounding differences between machines move a pixel, never a
symbol.
"""

import torch
from torch import Tensor, nn

from sbtcodec.errors import ModelMismatchError
from sbtcodec.tokenizer.adapter import LocalAdapter
from sbtcodec.tokenizer.bootstrap import LocalPredictor, Refiner, padded
from sbtcodec.tokenizer.config import (
    NO_ENCODER,
    STEPS_ALONE,
    STEPS_BEFORE_DETAILS,
    TokenizerConfig,
)
from sbtcodec.tokenizer.decoder import Decoder
from sbtcodec.tokenizer.fsq import FSQ, Quantised
from sbtcodec.tokenizer.global_encoder import GlobalEncoder
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.tokenizer.local_encoder import LocalEncoder
from sbtcodec.tokenizer.look import Look
from sbtcodec.tokenizer.token_adapter import TokenAdapter

MAX_QUALITY_CODE = 255


class Tokenizer(nn.Module):
    """All float networks of the codec."""

    def __init__(self, config: TokenizerConfig) -> None:
        """Build the networks of `config`, freshly initialised."""
        super().__init__()
        self.config = config
        self.local_encoder = LocalEncoder(config) if config.encoder else None
        self.global_encoder = GlobalEncoder(config) if config.encoder else None
        self.fsq = FSQ(config.levels)
        self.predictor = LocalPredictor(config)
        self.refiners = nn.ModuleList(
            [Refiner(config, step // 2) for step in range(2 * config.coarse_layers)]
        )
        self.decoder = Decoder(config)
        self.alone = Look(config.alone.within(config), 0, config.alone) if config.alone else None
        # log of 1/step size, per anchor quality and channel
        start = torch.linspace(-1.5, 2.5, config.gain_anchors, dtype=torch.float32, device="cpu")
        self.log_gains = nn.Parameter(start[:, None].repeat(1, config.local_channels))
        self.adapter = self.token_adapter = self.alone_adapter = None
        if config.encoder and config.adapter_width:
            self.adapter = LocalAdapter(config)
        if config.encoder and config.adapter_attention:
            self.token_adapter = TokenAdapter(config, config.adapter_attention)
        if config.encoder and config.alone_attention:
            self.alone_adapter = TokenAdapter(config, config.alone_attention)

    @property
    def encoders(self) -> tuple[LocalEncoder, GlobalEncoder]:
        """The encoders of local and of global tokens.

        Raises:
            ModelMismatchError: the model has the decoder's half alone.
        """
        if self.local_encoder is None or self.global_encoder is None:
            raise ModelMismatchError(NO_ENCODER)
        return self.local_encoder, self.global_encoder

    @property
    def steps(self) -> int:
        """Symbols are coded in this many steps: two checkerboard parities for each detail layer."""
        return 2 * self.config.layers

    def token_adapter_of(self, step: int) -> TokenAdapter | None:
        """The network that takes a step, 0 the first, of adapting global tokens, if any."""
        alone = self.config.token_adapter_of(step) == "alone_adapter"
        return self.alone_adapter if alone and self.alone_adapter else self.token_adapter

    def fitted(self, y: Tensor, z: Tensor, steps: Tensor, several: int | None = None) -> Quantised:
        """Global tokens as they are sent, for training.

        Args:
            y: float32 [B, local_channels, 2H, 2W].
            z: of the global encoder, [B, dims, H, W].
            steps: int64 [B], how often the tokens of an image are adapted to what they predict.
            several: only so many images, the first ones, can take more than STEPS_BEFORE_DETAILS;
                else each is looked at.
        """
        z = z.float()
        chosen: Quantised = self.fsq(z)
        for step in range(STEPS_ALONE):
            adapter = self.token_adapter_of(step)
            if adapter is None:
                break
            if several is None:
                some = torch.nonzero(steps > step)[:, 0]
            else:
                many = len(z) if step < STEPS_BEFORE_DETAILS else several
                some = torch.arange(many, device=z.device)
            if not len(some):
                break
            y_some, z_some, values = (
                pixel_rows(t.index_select(0, some)) for t in (y, z, chosen.values.detach())
            )
            # not under no_grad: autocast would keep the weights without a gradient
            _, y_hat = self.predictor(values)
            moved = adapter(y_some, y_hat.float().detach(), z_some, values)
            takes = (steps > step).index_select(0, some)[:, None, None, None]
            z = z.index_copy(0, some, torch.where(takes, moved, z_some))
            chosen = self.fsq(z)
        return chosen

    def predicted(self, values: Tensor) -> Tensor:
        """Local tokens of a picture of global tokens alone: float32 [B, local_channels, 2H, 2W].

        Args:
            values: of the global tokens, in (-1, 1), [B, dims, H, W].
        """
        features, y_hat = self.predictor(values)
        y_hat = y_hat.float()
        refined: Tensor = y_hat + self.refiners[0](features, y_hat).float()
        return refined

    @property
    def decoder_alone(self) -> Decoder:
        """What makes pixels of that: a decoder of its own, where there is one."""
        return self.decoder if self.alone is None else self.alone.decoder

    def predicted_alone(self, values: Tensor) -> Tensor:
        """The same by the networks that show such pictures, where there are ones of their own."""
        own = self.alone and self.alone.predictor
        if own is None:
            return self.predicted(values)
        return padded(own(values), self.config.fine_channels)

    def adapted(self, y: Tensor, y_hat: Tensor, anchor_weights: Tensor, gain: Tensor) -> Tensor:
        """Local tokens as they are sent; arguments as for `LocalAdapter`."""
        return y if self.adapter is None else self.adapter(y, y_hat, anchor_weights, gain)

    def anchor_weights(self, quality: Tensor) -> Tensor:
        """Weights of the anchors, float32 [B, gain_anchors], of quality codes [B] in [0, 255]."""
        last = self.config.gain_anchors - 1
        at = quality.float() * (last / MAX_QUALITY_CODE)
        anchors = torch.arange(last + 1, device=quality.device)
        return (1 - (at[:, None] - anchors).abs()).clamp_min(0)

    def log_gains_at(self, anchor_weights: Tensor) -> Tensor:
        """Natural logarithm of the gains (1 / step size): float32 [B, local_channels, 1, 1]."""
        return (anchor_weights @ self.log_gains.float())[:, :, None, None]
