"""The parts of a step that a compiler makes fewer kernels of, compiled one by one.

The whole forward pass takes minutes to compile; blocks, attention, the arithmetic of detail layers and
MS-SSIM, which come again and again, take a fraction of it, and are what small kernels are spent on.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sbtcodec.entropy import integer_net
from sbtcodec.rdo import soft_quantisation
from sbtcodec.tokenizer import layers
from sbtcodec.training import step

PARTS: tuple[tuple[object, str], ...] = (
    (layers.Block, "forward"),
    (layers.WindowAttention, "forward"),
    (integer_net, "activate"),
    (soft_quantisation, "coded_channels"),
    (step, "ms_ssim"),
)
SHAPES = 64  # in which a part is compiled at most


@contextmanager
def compiled_parts() -> Iterator[None]:
    """Within, these parts are compiled at their first call in each shape; for the whole process."""
    torch._dynamo.config.recompile_limit = SHAPES
    before = [getattr(owner, name) for owner, name in PARTS]
    try:
        for (owner, name), part in zip(PARTS, before, strict=True):
            setattr(owner, name, torch.compile(part, dynamic=False))
        yield
    finally:
        for (owner, name), part in zip(PARTS, before, strict=True):
            setattr(owner, name, part)
