"""What the generator minimises: nats of tokens that it does not see, given those that it sees."""

import math

import torch
from torch import Tensor

from sbtcodec.generation.config import MASKED, WINDOW, GeneratorConfig
from sbtcodec.generation.transformer import Transformer

BLOCK_SHARE = 0.25  # of the windows whose known tokens are one rectangle, as in a completion
BITS = 1 / math.log(2)
BATCH = 50  # windows that are measured together


def known_tokens(config: GeneratorConfig, count: int, rng: torch.Generator) -> Tensor:
    """Which tokens of windows are shown, bool [count, 64]; at least one of each is not.

    As many as a round of masked generation shows: the cosine of a uniform number says how many are
    hidden (Chang et al., arXiv 2202.04200, section 3.1). For some windows those shown are a
    rectangle, or all but a rectangle.
    """
    if config.order != MASKED:
        return torch.zeros(count, WINDOW, dtype=torch.bool)
    hidden = torch.cos(torch.rand(count, generator=rng) * math.pi / 2).mul(WINDOW).ceil().clamp(1)
    known = all_but(hidden, WINDOW, rng)
    side = math.isqrt(WINDOW)
    blocks = int(torch.rand(count, generator=rng).lt(BLOCK_SHARE).sum())
    inside = torch.ones(blocks, side, side, dtype=torch.bool)
    for axis in (1, 2):
        ends = torch.randint(0, side + 1, (blocks, 2), generator=rng).sort(1).values
        at = torch.arange(side)
        along = (at >= ends[:, :1]) & (at < ends[:, 1:])
        inside &= along[:, :, None] if axis == 1 else along[:, None]
    inside = inside.flatten(1)
    outwards = torch.rand(blocks, generator=rng) < 0.5
    inside = torch.where(outwards[:, None], ~inside, inside)
    inside[inside.all(1)] = False
    known[:blocks] = inside
    return known


def all_but(hidden: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """All tokens but some at random: bool [B, size], of which `hidden` [B] are False."""
    places = torch.rand(len(hidden), size, generator=rng).argsort(1).argsort(1)
    return places >= hidden[:, None]


def loss_of(model: Transformer, levels: Tensor, known: Tensor, labels: Tensor) -> Tensor:
    """Mean nats of a token that is not shown.

    Args:
        model: the generator.
        levels: int64 [B, 64, dims].
        known: bool [B, 64].
        labels: int64 [B].
    """
    features = model(levels, known, labels)
    nats: Tensor = model.head(features[~known], levels[~known]).sum(1)
    return nats.mean()


@torch.inference_mode()
def held_out_bits(model: Transformer, levels: Tensor, labels: Tensor, seed: int = 0) -> float:
    """Bits of a token of windows that the model was not trained on, whatever its order.

    Of a masked model, the expectation over orders in which tokens are known one by one, an upper
    bound of what a coder would need (Hoogeboom et al., arXiv 2110.02037): with k tokens hidden, k
    uniform, 64 / k times their bits.

    Args:
        model: the generator.
        levels: uint8 [n, 64, dims].
        labels: int64 [n].
        seed: of the orders.
    """
    rng = torch.Generator().manual_seed(seed)
    device = model.positions.device
    total, count = 0.0, len(levels)
    hidden = (torch.arange(count) * (WINDOW / count)).long() + 1  # each k as often as any other
    hidden = hidden[torch.randperm(count, generator=rng)]
    shown_of = all_but(hidden, WINDOW, rng)
    for at in range(0, count, BATCH):
        part = slice(at, at + BATCH)
        shown, k = shown_of[part], hidden[part]
        if model.config.order != MASKED:
            shown, k = torch.zeros_like(shown), torch.full_like(k, WINDOW)
        known, values = shown.to(device), levels[part].long().to(device)
        features = model(values, known, labels[part].to(device))
        nats = model.head(features[~known], values[~known]).sum(1).cpu().double()
        total += float((nats * (WINDOW / k)[:, None].expand(shown.shape)[~shown]).sum())
    return total * BITS / (count * WINDOW)
