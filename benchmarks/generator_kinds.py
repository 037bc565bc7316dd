"""The two transformers that are compared: over global tokens, and over these and local ones."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks import detail_generator as detail
from benchmarks.detail_generator import DetailTransformer
from benchmarks.token_sources import pictures
from sbtcodec.codec.codec import Codec
from sbtcodec.generation.config import SIDE, WINDOW, GeneratorConfig
from sbtcodec.generation.draws import Draws
from sbtcodec.generation.filling import Filler, Sampling
from sbtcodec.generation.token_head import TokenHead
from sbtcodec.generation.transformer import Transformer
from sbtcodec.training.generator_step import all_but, known_tokens, loss_of

RGB = NDArray[np.uint8]
Part = tuple[Tensor, Tensor, Tensor, TokenHead]  # features, levels, known, the head they are for


class CodedSquares:
    """Tokens of squares of photographs, coded both ways.

    Attributes:
        levels: uint8 [n, 64, dims], of files of global tokens alone.
        first: uint8 [n, 64, dims], of files of quality 10.
        q: int8 [n, 256, channels], symbols of their first detail layer.
        labels: int64 [n].
    """

    def __init__(self, path: Path) -> None:
        """Read the file that `benchmarks.generator_claims tokens` wrote."""
        with np.load(path) as file:
            self.levels, self.first, self.q = file["levels"], file["first"], file["q"]
            self.labels = torch.from_numpy(file["labels"].astype(np.int64))

    def globals_at(self, rows: Tensor) -> Tensor:
        """int64 [B, 64, dims] of rows int64 [B]."""
        return torch.from_numpy(self.levels[rows.numpy()].astype(np.int64))

    def details_at(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """int64 [B, 64, dims] and [B, 256, channels], from 0, of rows int64 [B]."""
        at = rows.numpy()
        q = self.q[at].astype(np.int64) + detail.LARGEST
        return torch.from_numpy(self.first[at].astype(np.int64)), torch.from_numpy(q)


class GlobalTokens:
    """The transformer over 64 global tokens."""

    name, batch, tokens = "global", 64, WINDOW

    def __init__(self, config: GeneratorConfig, channels: int) -> None:
        """Of sizes `config`."""
        self.config = config

    def model(self) -> nn.Module:
        """One of fresh weights."""
        return Transformer(self.config)

    def loss(
        self,
        model: nn.Module,
        data: CodedSquares,
        rows: Tensor,
        labels: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        """The loss of rows int64 [B], with labels int64 [B]."""
        assert isinstance(model, Transformer)
        known = known_tokens(self.config, len(rows), rng)
        return loss_of(model, data.globals_at(rows), known, labels)

    def parts(
        self,
        model: nn.Module,
        data: CodedSquares,
        rows: Tensor,
        share: Tensor,
        rng: torch.Generator,
    ) -> list[Part]:
        """Of rows, of whose tokens a share float [B] is hidden: what bits are counted from."""
        assert isinstance(model, Transformer)
        levels, known = data.globals_at(rows), _shown(share, WINDOW, rng)
        return [(model(levels, known, data.labels[rows]), levels, known, model.head)]

    def drawn(
        self,
        model: nn.Module,
        codec: Codec,
        label: int,
        draws: list[Draws],
        sampling: Sampling,
        realism: float = 0.0,
    ) -> Iterator[RGB]:
        """Pictures uint8 [256, 256, 3] of a class."""
        assert isinstance(model, Transformer)
        empty = np.zeros((len(draws), WINDOW, len(self.config.levels)), np.int64)
        known = np.zeros(empty.shape[:2], bool)
        made = Filler(model, label, sampling).fill(empty, known, draws)
        return pictures(codec, made.astype(np.uint8), realism=realism)


class DetailTokens:
    """The transformer over 64 global and 256 local tokens."""

    name, batch, tokens = "detail", 32, WINDOW + detail.LOCAL

    def __init__(self, config: GeneratorConfig, channels: int) -> None:
        """Of sizes `config`; local tokens have so many symbols."""
        self.config, self.channels = config, channels

    def model(self) -> nn.Module:
        """One of fresh weights."""
        return DetailTransformer(self.config, self.channels)

    def loss(
        self,
        model: nn.Module,
        data: CodedSquares,
        rows: Tensor,
        labels: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        """The loss of rows int64 [B], with labels int64 [B]."""
        assert isinstance(model, DetailTransformer)
        known = known_tokens(self.config, len(rows), rng)
        share = (~known).sum(1) / WINDOW
        (levels, q), known_q = data.details_at(rows), _shown(share, detail.LOCAL, rng)
        return detail.loss_of(model, levels, known, q, known_q, labels)

    def parts(
        self,
        model: nn.Module,
        data: CodedSquares,
        rows: Tensor,
        share: Tensor,
        rng: torch.Generator,
    ) -> list[Part]:
        """As of `GlobalTokens`, of both kinds of tokens."""
        assert isinstance(model, DetailTransformer)
        levels, q = data.details_at(rows)
        known, known_q = _shown(share, WINDOW, rng), _shown(share, detail.LOCAL, rng)
        features, local = model(levels, known, q, known_q, data.labels[rows])
        return [(features, levels, known, model.first.head), (local, q, known_q, model.head)]

    def drawn(
        self,
        model: nn.Module,
        codec: Codec,
        label: int,
        draws: list[Draws],
        sampling: Sampling,
        realism: float = 0.0,
    ) -> Iterator[RGB]:
        """Pictures uint8 [256, 256, 3] of a class."""
        assert isinstance(model, DetailTransformer)
        levels, q = detail.sampled(model, draws, label, sampling)
        for one, symbols in zip(levels, q, strict=True):
            yield detail.picture(codec, one, symbols, realism)


Kind = GlobalTokens | DetailTokens
KINDS: dict[str, type[GlobalTokens] | type[DetailTokens]] = {
    "global": GlobalTokens,
    "detail": DetailTokens,
}


def _shown(share: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """Which of `size` tokens are shown, bool [B, size], if a share float [B] is hidden."""
    return all_but((share * size).ceil().clamp(1, size), size, rng)


@torch.inference_mode()
def bits_a_pixel(kind: Kind, model: nn.Module, data: CodedSquares) -> float:
    """Bits a pixel of tokens, as `held_out_bits` counts them."""
    rng = torch.Generator().manual_seed(0)
    total, count = 0.0, len(data.labels)
    shares = ((torch.arange(count) + 0.5) / count)[torch.randperm(count, generator=rng)]
    for at in range(0, count, 50):
        rows = torch.arange(at, min(at + 50, count))
        for features, levels, known, head in kind.parts(model, data, rows, shares[rows], rng):
            nats = head(features[~known], levels[~known]).sum(1).double()
            weight = (known.shape[1] / (~known).sum(1).double())[:, None].expand(known.shape)
            total += float((nats * weight[~known]).sum())
    return total / math.log(2) / count / (32 * SIDE) ** 2
