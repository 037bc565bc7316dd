"""Float networks in bfloat16 for inference: weights are rounded once, and not at every call."""

import copy
from typing import TypeVar

import torch
from torch import nn

from sbtcodec.tokenizer.layers import Block, Pointwise

M = TypeVar("M", bound=nn.Module)

ROUNDED = (Pointwise, nn.Linear, nn.Conv2d)


def in_bfloat16(network: M) -> M:
    """A copy whose products take bfloat16, to be called within autocast; not for training.

    Autocast alone rounds every weight at every call, and keeps blocks from working in pieces of the
    processor's cache; this is up to twice as fast. Norms and gains stay in float32. A block's scale
    goes into its last layer before that is rounded.

    Args:
        network: float32, on any device; left as it is.
    """
    made = copy.deepcopy(network)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, Block):
                scale = module.scale.flatten()
                module.project.weight.mul_(scale[:, None])
                module.project.bias.mul_(scale)
                module.scale.fill_(1.0)
            if isinstance(module, ROUNDED):
                module.bfloat16()
    return made
