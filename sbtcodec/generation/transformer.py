"""The generator's transformer: a window of global tokens, some unknown, to features of each.

Letters: B windows, N = 64 tokens of a window, D width, dims dimensions of a token.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbtcodec.generation.config import AUTOREGRESSIVE, WINDOW, GeneratorConfig
from sbtcodec.generation.token_head import TokenHead
from sbtcodec.runtime.tensors import normal

MODULATIONS = 6  # shift, scale and gate of the two branches of a layer


class Linear(nn.Module):
    """A matrix without bias, of variance gain^2 / c_in."""

    def __init__(self, c_in: int, c_out: int, gain: float = 1.0) -> None:
        """Draw the weights."""
        super().__init__()
        self.weight = nn.Parameter(normal((c_out, c_in), gain / c_in**0.5))

    def forward(self, x: Tensor) -> Tensor:
        """float [..., c_in] -> [..., c_out]."""
        return F.linear(x, self.weight)


class Layer(nn.Module):
    """Attention and a small network, both modulated by the class (DiT, arXiv 2212.09748).

    The class acts through shifts, scales and gates that all layers share but for an offset
    (PixArt-alpha, arXiv 2310.00426): a table with a row for each class.
    """

    def __init__(self, width: int, heads: int) -> None:
        """Start near the identity: the gates are 0.3."""
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width, 0.5)
        self.expand = Linear(width, 4 * width)
        self.project = Linear(4 * width, width, 0.5)
        self.offsets = nn.Parameter(torch.zeros(MODULATIONS, width))
        with torch.no_grad():
            self.offsets[2] = self.offsets[5] = 0.3

    def forward(self, x: Tensor, modulation: Tensor, causal: bool) -> Tensor:
        """One layer.

        Args:
            x: float [B, N, D].
            modulation: float [B, MODULATIONS, D].
            causal: tokens see those before them alone.
        """
        m = (self.offsets + modulation)[:, :, None]
        b, n, d = x.shape
        h = F.rms_norm(x, (d,)) * (1 + m[:, 1]) + m[:, 0]
        q, k, v = self.qkv(h).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k = (F.rms_norm(t, (d // self.heads,)) for t in (q, k))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        x = x + m[:, 2] * self.out(seen.transpose(1, 2).reshape(b, n, d))
        h = F.rms_norm(x, (d,)) * (1 + m[:, 4]) + m[:, 3]
        branch: Tensor = self.project(F.gelu(self.expand(h)))
        return x + m[:, 5] * branch


class Transformer(nn.Module):
    """P(tokens of a window | those that are known, class)."""

    def __init__(self, config: GeneratorConfig) -> None:
        """Build the layers of `config`, freshly initialised."""
        super().__init__()
        self.config = config
        d, dims = config.width, len(config.levels)
        self.embeddings = nn.ParameterList(
            [nn.Parameter(normal((k, d), 1 / dims**0.5)) for k in config.levels]
        )
        self.unknown = nn.Parameter(normal((d,), 1.0))
        self.positions = nn.Parameter(normal((WINDOW, d), 0.5))
        self.conditions = nn.Parameter(torch.zeros(config.labels, MODULATIONS, d))
        self.layers = nn.ModuleList([Layer(d, config.heads) for _ in range(config.depth)])
        self.head = TokenHead(config)

    def embedded(self, levels: Tensor) -> Tensor:
        """Sum of the embeddings of a token's levels: int64 [B, N, dims] -> float [B, N, D]."""
        parts = [F.embedding(levels[..., i], e) for i, e in enumerate(self.embeddings)]
        return torch.stack(parts).sum(0)

    def forward(self, levels: Tensor, known: Tensor, labels: Tensor) -> Tensor:
        """Features of every token, from which `head` gives its distribution.

        Args:
            levels: int64 [B, N, dims]; what unknown tokens have does not count.
            known: bool [B, N]; of no account if the order is autoregressive, where each token is
                predicted from those before it.
            labels: int64 [B].

        Returns:
            float [B, N, D].
        """
        causal = self.config.order == AUTOREGRESSIVE
        x = self.embedded(levels)
        if causal:
            x = torch.cat([self.unknown.expand(len(x), 1, -1), x[:, :-1]], 1)
        else:
            x = torch.where(known[..., None], x, self.unknown)
        x = x + self.positions[: x.shape[1]]
        modulation = self.conditions[labels]
        for layer in self.layers:
            x = layer(x, modulation, causal)
        return F.rms_norm(x, (self.config.width,))
