"""Pixels of an estimate by one decoder, or mixed from several, block by block."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.grid import LATENT_STRIDE, Box, even_blocks
from sbtcodec.latents.encoder_blocks import COARSE_BLOCK, FINE_BLOCK
from sbtcodec.latents.engine import HALO
from sbtcodec.latents.estimate import Estimate, floats
from sbtcodec.tokenizer.decoder import Decoder
from sbtcodec.tokenizer.noise import noise_at

RGB = NDArray[np.uint8]


class Shown(NamedTuple):
    """A decoder and what it shows.

    Attributes:
        decoder: on the device of the estimate.
        estimate: reconstructed; several have the same area.
        share: of its pixels in the mixture, 0..1; all shares sum to 1.
    """

    decoder: Decoder
    estimate: Estimate
    share: float = 1.0


def pixels_of(
    parts: Sequence[Shown], anchor_weights: Tensor, layers: int, latents: Box, *, bf16: bool
) -> RGB:
    """Pixels uint8 [16 h, 16 w, 3] of the latents [h, w], a part of the area.

    Those of several parts are mixed linearly before they are rounded, each held to 0..255 first, so
    that no mixture leaves what its parts show.

    Args:
        parts: at least one.
        anchor_weights: float32 [gain_anchors], of the quality.
        layers: detail layers that arrived.
        latents: in the area.
        bf16: run the decoders in bfloat16.
    """
    area, device = parts[0].estimate.area, parts[0].estimate.device
    whole = Box(0, 0, area.height, area.width)
    told = anchor_weights[None].to(device)
    arrived = torch.tensor([layers], dtype=torch.int64, device=device)
    rgb = np.empty(
        (latents.height * LATENT_STRIDE, latents.width * LATENT_STRIDE, 3), dtype=np.uint8
    )
    for block in even_blocks(latents, COARSE_BLOCK):
        seen = block.grown(HALO, whole)
        noise = (
            noise_at(seen.inside(area), device)
            if any(p.decoder.finest is not None for p in parts)
            else None
        )
        features = []
        for part in parts:
            with floats(device, bf16=bf16):
                y_hat = part.estimate.y_hat_in(seen.rows, seen.columns)
                features.append(part.decoder.coarse(y_hat, told, arrived))
        for piece in even_blocks(block, FINE_BLOCK):
            inside = piece.seen_from(seen)
            with floats(device, bf16=bf16):
                found = [
                    part.decoder.fine(h, told, arrived, inside, noise)[0]
                    for part, h in zip(parts, features, strict=True)
                ]
            pixels = _mixed([x_hat.float().mul_(255) for x_hat in found], parts)
            pixels = pixels.round_().clamp_(0, 255).to(torch.uint8)
            to = piece.seen_from(latents).times(LATENT_STRIDE)
            rgb[to.rows, to.columns] = pixels.permute(1, 2, 0).cpu().numpy()
    return rgb


def _mixed(found: list[Tensor], parts: Sequence[Shown]) -> Tensor:
    """The mixture of float32 [3, h, w], about 0..255, which are overwritten; one stays as it is."""
    if len(found) == 1:
        return found[0]
    held = [x.clamp_(0, 255).mul_(part.share) for x, part in zip(found, parts, strict=True)]
    return torch.stack(held).sum(0)
