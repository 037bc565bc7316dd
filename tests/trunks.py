"""A trunk of VGG-16 that is small enough for tests."""

import torch

from sbtcodec.models.vgg_trunk import CONVOLUTIONS


def trunk(widths=(8, 12, 16, 20)):
    """A trunk of VGG-16's layers with few channels, drawn at random."""
    generator = torch.Generator().manual_seed(3)
    tensors, channels = {}, 3
    for block, (count, width) in enumerate(zip(CONVOLUTIONS, widths, strict=True), 1):
        for index in range(1, count + 1):
            weight = torch.randn(width, channels, 3, 3, generator=generator)
            name, channels = f"conv{block}_{index}", width
            tensors[f"{name}.weight"] = (weight * (2 / weight[0].numel()) ** 0.5).half()
            tensors[f"{name}.bias"] = torch.full((width,), 0.1).half()
    return tensors
