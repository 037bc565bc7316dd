"""The small network that gives the distribution of one token, dimension after dimension.

A token has eight dimensions of a few levels each, millions of values in all: too many for one
softmax, and far from independent of each other. So a dimension is drawn given those before it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbtcodec.generation.config import GeneratorConfig
from sbtcodec.runtime.tensors import normal


class TokenHead(nn.Module):
    """Features of a token -> logits of each dimension's levels, given the dimensions before it."""

    def __init__(self, config: GeneratorConfig) -> None:
        """Start with all levels equally likely."""
        super().__init__()
        self.levels = config.levels
        w, dims = config.head_width, len(config.levels)
        self.enter = nn.Parameter(normal((w, config.width), 1 / config.width**0.5))
        self.places = nn.Parameter(normal((dims, w), 0.5))
        self.embeddings = nn.ParameterList(
            [nn.Parameter(normal((k, w), 0.5)) for k in config.levels[:-1]]
        )
        self.expand = nn.Parameter(normal((2 * w, w), 1 / w**0.5))
        self.project = nn.Parameter(normal((w, 2 * w), 0.5 / w**0.5))
        self.logits = nn.Parameter(torch.zeros(dims, max(config.levels), w))

    def sums(self, features: Tensor) -> Tensor:
        """What all dimensions see of the transformer: float [n, D] -> [n, head_width]."""
        return F.linear(features, self.enter)

    def before(self, dimension: int, levels: Tensor) -> Tensor:
        """What later dimensions see of one: int64 [n] -> float [n, head_width]."""
        return F.embedding(levels, self.embeddings[dimension])

    def of_dimension(self, dimension: int, sums: Tensor) -> Tensor:
        """Logits of one dimension.

        Args:
            dimension: which.
            sums: float [n, head_width], `sums` and `before` of all dimensions before, added up.

        Returns:
            float [n, levels of the dimension].
        """
        h = self._mixed(sums + self.places[dimension])
        return F.linear(h, self.logits[dimension, : self.levels[dimension]])

    def forward(self, features: Tensor, levels: Tensor) -> Tensor:
        """Nats of tokens that are known.

        Args:
            features: float [n, D].
            levels: int64 [n, dims].

        Returns:
            float32 [n, dims]: minus the logarithm of the probability of each level.
        """
        parts = [self.sums(features)]
        parts += [self.before(i, levels[:, i]) for i in range(len(self.levels) - 1)]
        h = self._mixed(torch.stack(parts, 1).cumsum(1) + self.places)
        # all dimensions in one product; levels that a dimension lacks are impossible
        logits = torch.einsum("ndw,dkw->ndk", h, self.logits).float()
        counts = torch.tensor(self.levels, device=logits.device)
        lacking = torch.arange(logits.shape[2], device=logits.device) >= counts[:, None]
        logits = logits.masked_fill(lacking, -torch.inf)
        return torch.logsumexp(logits, 2) - logits.gather(2, levels[..., None])[..., 0]

    def _mixed(self, h: Tensor) -> Tensor:
        w = h.shape[-1]
        wide = F.gelu(F.linear(F.rms_norm(h, (w,)), self.expand))
        return F.rms_norm(h + F.linear(wide, self.project), (w,))
