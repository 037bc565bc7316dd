"""What the codec computes between pixels and file, for measurements: whole images, one at a time.

Letters: H W are rows and columns of the padded image's latents, h w of its tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from sbtcodec.codec.codec import Codec
from sbtcodec.entropy.coder import Indices, LayerDecoder, Symbols
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.latents.blocks import Networks
from sbtcodec.tokenizer.config import STEPS_ALONE
from sbtcodec.tokenizer.layers import planes

TOKEN = 32  # pixels of a global token's side


class Inside:
    """The networks of a codec in float32, called as the codec calls them.

    Those of all files: what a model may have for files of global tokens alone is not among them.
    """

    def __init__(self, codec: Codec) -> None:
        """Use the networks of `codec`, where they are."""
        self.release, self.device = codec.release, codec.device
        self.networks = Networks(codec.release, codec.device, bf16=False)
        self.tokenizer = self.networks.tokenizer

    @torch.inference_mode()
    def local_tokens(self, rgb: Rgb) -> Tensor:
        """The encoder's local tokens of an image uint8 [., ., 3]: float32 [1, C, H, W]."""
        below, right = -rgb.shape[0] % TOKEN, -rgb.shape[1] % TOKEN
        padded = np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="edge")
        y: Tensor = self.tokenizer.encoders[0](planes(padded, self.device))
        return _channels_last(y)

    @torch.inference_mode()
    def global_tokens(self, y: Tensor) -> Tensor:
        """Values of the global tokens of a file without details: float32 [1, dims, h, w]."""
        z = self.tokenizer.encoders[1](y)
        return self.values(self.networks.fitted_levels(y, z, STEPS_ALONE))

    @torch.inference_mode()
    def values(self, levels: Tensor) -> Tensor:
        """Values float32 [1, dims, h, w] of levels of global tokens."""
        values: Tensor = self.tokenizer.fsq.to_values(levels.to(self.device).float())
        return _channels_last(values)

    @torch.inference_mode()
    def predicted(self, z: Tensor) -> Tensor:
        """Local tokens predicted from global ones alone: float32 [1, C, H, W]."""
        return _channels_last(self.tokenizer.predicted(z))

    @torch.inference_mode()
    def sent(self, y: Tensor, z: Tensor, quality: int) -> Tensor:
        """Local tokens as they are sent at a quality code: float32 [1, C, H, W]."""
        _, y_hat = self.tokenizer.predictor(z)
        anchor_weights = self.release.anchor_weights(quality)[None].to(self.device)
        gain = self.release.gains(quality)[None, :, None, None].to(self.device)
        return _channels_last(
            self.tokenizer.adapted(y, _channels_last(y_hat), anchor_weights, gain)
        )

    @torch.inference_mode()
    def picture(self, y_hat: Tensor, size: tuple[int, int], quality: int, layers: int) -> Rgb:
        """Decode local tokens.

        Args:
            y_hat: float32 [1, C, H, W].
            size: rows and columns in pixels.
            quality: code that the decoder is told, 0..255.
            layers: detail layers that it is told have arrived.

        Returns:
            uint8 [*size, 3].
        """
        anchor_weights = self.release.anchor_weights(quality)[None].to(self.device)
        arrived = torch.tensor([layers], device=self.device)
        x_hat = self.tokenizer.decoder(_channels_last(y_hat), anchor_weights, arrived)[0]
        pixels = (x_hat * 255).round().clamp(0, 255).to(torch.uint8)
        whole: Rgb = pixels.permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(whole[: size[0], : size[1]])


@contextmanager
def recording() -> Iterator[list[tuple[Indices, Symbols]]]:
    """Within the block, the list gets the tables and the symbols of details as they are decoded."""
    calls: list[tuple[Indices, Symbols]] = []
    details = LayerDecoder.details

    def record(self: LayerDecoder, indices: Indices) -> Symbols:
        q = details(self, indices)
        calls.append((indices, q))
        return q

    LayerDecoder.details = record  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        LayerDecoder.details = details  # type: ignore[method-assign]


def by_channel(
    calls: list[tuple[Indices, Symbols]], layers: int, groups: tuple[int, ...], latents: int
) -> Symbols:
    """Recorded symbols as int32 [latents, C], latents in any order; 0 in layers that were not sent.

    Args:
        calls: of `recording`, while one file was decoded.
        layers: detail layers in the file.
        groups: channels of every detail layer of the model.
        latents: local tokens of the image.
    """
    columns = []
    for group, width in enumerate(groups):
        first, last = (len(calls) * (group + i) // max(1, layers) for i in (0, 1))
        sent = [q.reshape(-1, width) for _, q in calls[first:last]] if group < layers else []
        columns.append(np.concatenate(sent) if sent else np.zeros((latents, width), np.int32))
    return np.concatenate(columns, 1)


def _channels_last(t: Tensor) -> Tensor:
    return t.contiguous(memory_format=torch.channels_last)
