"""The trunk of VGG-16, blocks 1 to 4, read from a file: what pictures are compared by.

Each convolution is 3x3 with one pixel of zeros around and a ReLU after it, with 2x2 maximum pooling
between blocks. The input is B, G, R in 0..255, less MEAN_BGR.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sbtcodec.errors import SbtError

CONVOLUTIONS = (2, 2, 3, 3)
"""Convolutions in each block; features are those at the end of each block."""

MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""Of the pictures that it was trained on."""


Blocks = list[list[tuple[Tensor, Tensor]]]
"""Weights and biases, block by block."""


def after_blocks(blocks: Blocks, h: Tensor) -> list[Tensor]:
    """Features after each block, as they are: [B, C, H / 2^b, W / 2^b].

    Args:
        blocks: of `read_trunk`.
        h: the input, [B, 3, H, W], of the type of the weights.
    """
    found = []
    for index, block in enumerate(blocks):
        h = h if index == 0 else F.max_pool2d(h, 2)
        for weight, bias in block:
            h = F.conv2d(h, weight, bias, padding=1).relu_()
        found.append(h)
    return found


def read_trunk(path: Path, device: torch.device) -> Blocks:
    """Weights and biases, float32, block by block, kernels laid out for channels_last.

    Raises:
        SbtError: the file is missing or does not hold a trunk.
    """
    if not path.is_file():
        msg = f"there is no file {path}; the perceptual distance takes a VGG-16 trunk (safetensors)"
        raise SbtError(msg)
    blocks: Blocks = []
    channels = 3
    try:
        with safe_open(path, "pt") as file:
            for block, count in enumerate(CONVOLUTIONS, 1):
                blocks.append([])
                for index in range(1, count + 1):
                    name = f"conv{block}_{index}"
                    weight, bias = (
                        file.get_tensor(f"{name}.{kind}").float().to(device)
                        for kind in ("weight", "bias")
                    )
                    expected = [*bias.shape, channels, 3, 3]
                    if list(weight.shape) != expected:
                        msg = (
                            f"{path} is not a VGG-16 trunk: {name}.weight is "
                            f"{list(weight.shape)}, expected {expected}"
                        )
                        raise SbtError(msg)
                    channels = bias.numel()
                    fast = weight.contiguous(memory_format=torch.channels_last)
                    blocks[-1].append((fast, bias))
    except (OSError, SafetensorError) as error:
        msg = (
            f"{path} does not hold a VGG-16 trunk ({error}); expected a safetensors file with "
            "conv1_1.weight, conv1_1.bias and so on to conv4_3"
        )
        raise SbtError(msg) from error
    return blocks
