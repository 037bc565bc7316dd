"""The same transformer over global tokens and a layer of local ones: what the paper spares.

A picture of 256x256 pixels is 64 global tokens and 256 local ones here, of the first detail layer
of a file of quality 10: 16 symbols each. Everything else is as in `sbtcodec.generation`: masked,
revealed in rounds, classes by modulation, tokens drawn dimension by dimension.
Letters: B windows, D width, N = 64 and L = 256 tokens of the two kinds.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sbtcodec.codec.codec import Codec
from sbtcodec.codec.tokens import Tokens
from sbtcodec.generation.config import SIDE, WINDOW, GeneratorConfig
from sbtcodec.generation.draws import Draws
from sbtcodec.generation.filling import Sampling, drawn_tokens
from sbtcodec.generation.token_head import TokenHead
from sbtcodec.generation.transformer import Transformer
from sbtcodec.runtime.tensors import normal

QUALITY = 26  # the code of quality 10
LARGEST = 3  # symbols beyond are taken for it: one in ten thousand
LOCAL = 4 * WINDOW
PIXELS = 32 * SIDE


class DetailTransformer(nn.Module):
    """P(global and local tokens of a window | those that are known, class)."""

    def __init__(self, config: GeneratorConfig, channels: int) -> None:
        """Build it: the layers of `config`, local tokens of `channels` symbols."""
        super().__init__()
        self.config = config
        self.first = Transformer(config)
        d = config.width
        local = replace(config, levels=(2 * LARGEST + 1,) * channels)
        self.embeddings = nn.ParameterList(
            [nn.Parameter(normal((k, d), 1 / channels**0.5)) for k in local.levels]
        )
        self.unknown = nn.Parameter(normal((d,), 1.0))
        self.places = nn.Parameter(normal((LOCAL, d), 0.5))
        self.head = TokenHead(local)

    def forward(
        self, levels: Tensor, known: Tensor, q: Tensor, known_q: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Features of all tokens.

        Args:
            levels: int64 [B, N, dims].
            known: bool [B, N].
            q: int64 [B, L, channels], symbols plus LARGEST.
            known_q: bool [B, L].
            labels: int64 [B].

        Returns:
            float [B, N, D] and [B, L, D].
        """
        first = self.first
        x = torch.where(known[..., None], first.embedded(levels), first.unknown) + first.positions
        parts = [F.embedding(q[..., i], e) for i, e in enumerate(self.embeddings)]
        y = torch.where(known_q[..., None], torch.stack(parts).sum(0), self.unknown) + self.places
        h = torch.cat([x, y], 1)
        modulation = first.conditions[labels]
        for layer in first.layers:
            h = layer(h, modulation, False)
        h = F.rms_norm(h, (self.config.width,))
        return h[:, :WINDOW], h[:, WINDOW:]


def loss_of(
    model: DetailTransformer,
    levels: Tensor,
    known: Tensor,
    q: Tensor,
    known_q: Tensor,
    labels: Tensor,
) -> Tensor:
    """Mean nats of a token that is not shown, of both kinds; arguments as for the transformer."""
    features, local = model(levels, known, q, known_q, labels)
    nats = model.first.head(features[~known], levels[~known]).sum(1)
    nats_q = model.head(local[~known_q], q[~known_q]).sum(1)
    return torch.cat([nats, nats_q]).mean()


class DetailWindows(NamedTuple):
    """Windows with the first detail layer.

    Attributes:
        levels: uint8 [n, N, dims].
        q: int8 [n, L, channels].
    """

    levels: NDArray[np.uint8]
    q: NDArray[np.int8]


def coded(codec: Codec, pictures: NDArray[np.uint8]) -> DetailWindows:
    """Tokens of pictures uint8 [n, 256, 256, 3], as in files of quality 10."""
    levels, symbols = [], []
    channels = codec.tokenizer.config.group_slice(0)
    for rgb in pictures:
        tokens = codec.tokens_of(codec.compress(rgb, QUALITY * 100 / 255))
        levels.append(tokens.levels.reshape(WINDOW, -1))
        q = tokens.symbols[:, :, channels].clip(-LARGEST, LARGEST)
        symbols.append(q.reshape(LOCAL, -1).astype(np.int8))
    return DetailWindows(np.stack(levels), np.stack(symbols))


def picture(
    codec: Codec, levels: NDArray[np.int64], q: NDArray[np.int64], realism: float = 0.0
) -> NDArray[np.uint8]:
    """The picture uint8 [256, 256, 3] of levels [N, dims] and symbols [L, channels]."""
    channels = codec.tokenizer.config.group_slice(0)
    total = codec.tokenizer.config.local_channels
    symbols = np.zeros((2 * SIDE, 2 * SIDE, total), np.int16)
    symbols[:, :, channels] = q.reshape(2 * SIDE, 2 * SIDE, -1)
    grid = levels.reshape(SIDE, SIDE, -1).astype(np.uint8)
    number = codec.release.number
    tokens = Tokens(grid, symbols, PIXELS, PIXELS, QUALITY, 1, number)
    return np.asarray(codec.detokenize(tokens, realism=realism))


@torch.inference_mode()
def sampled(
    model: DetailTransformer, draws: list[Draws], label: int, sampling: Sampling
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Windows drawn from nothing: levels int64 [n, N, dims] and symbols int64 [n, L, channels].

    Both kinds are revealed by the same schedule, in the same rounds.
    """
    count = len(draws)
    heads = (model.first.head, model.head)
    values = [np.zeros((count, n, len(h.levels)), np.int64) for n, h in zip((WINDOW, LOCAL), heads)]
    known = [np.zeros(v.shape[:2], bool) for v in values]
    guided = sampling.guidance > 0 and label != model.config.any
    labels = [label, model.config.any] if guided else [label]
    for number in range(1, sampling.steps + 1):
        each = []
        for one in labels:
            tensors = [torch.from_numpy(a) for a in (values[0], known[0], values[1], known[1])]
            each.append(model(*tensors, torch.full((count,), one)))
        share = math.cos(math.pi / 2 * number / sampling.steps)
        for kind, head in enumerate(heads):
            hidden = ~known[kind]
            total = hidden.shape[1]
            rest = 0 if number == sampling.steps else int(total * share)
            wanted = np.zeros_like(hidden)
            for i, draw in enumerate(draws):
                open_ = np.flatnonzero(hidden[i])
                order = np.argsort(draw.uniform(len(open_)), kind="stable")
                wanted[i, open_[order[: max(0, len(open_) - rest)]]] = True
            features = [f[kind][torch.from_numpy(wanted)] for f in each]
            made = drawn_tokens(head, features, wanted.sum(1), draws, sampling.guidance)
            values[kind][wanted] = made
            known[kind] |= wanted
    return values[0], values[1] - LARGEST
