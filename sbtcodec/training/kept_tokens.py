"""Tokens of photographs, computed once by an encoder that no longer learns, and kept.

What the decoder shares with the encoder (prior, predictor, refiners, entropy parameters) learns
from them several times as fast as from pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from sbtcodec.errors import WeightsError
from sbtcodec.grid import LATENTS_PER_TOKEN, TOKEN_STRIDE
from sbtcodec.tokenizer.layers import pixel_rows, planes
from sbtcodec.tokenizer.model import Tokenizer
from sbtcodec.tokenizer.token_adapter import STEPS_ALONE, STEPS_BEFORE_DETAILS
from sbtcodec.training.data import COLOURED_SHARE, recoloured

ADAPTED = (
    0,
    STEPS_BEFORE_DETAILS,
    STEPS_ALONE,
)  # steps of the token adapter that levels are kept of
LEAST_SIDE = 256  # pixels of what a photograph is reduced to
LEAST_FACTOR = 0.5


class Kept(NamedTuple):
    """The tokens of one picture.

    Attributes:
        y: local tokens as they come from the encoder, float16 [H, W, C].
        levels: of global tokens, int8 [len(ADAPTED), dims, H / 2, W / 2].
    """

    y: Tensor
    levels: Tensor


@torch.no_grad()
def tokens_of(tokenizer: Tokenizer, rgb: NDArray[np.uint8]) -> Kept:
    """The tokens of the whole 32x32 squares of pixels uint8 [height, width, 3]."""
    height, width = (side // TOKEN_STRIDE * TOKEN_STRIDE for side in rgb.shape[:2])
    local_encoder, global_encoder = tokenizer.encoders
    device = tokenizer.log_gains.device
    y = local_encoder(pixel_rows(planes(rgb[:height, :width], device))).float()
    z = global_encoder(y).float()
    chosen = tokenizer.fsq(z)
    levels = [chosen.levels[0]]
    for step in range(STEPS_ALONE):
        adapter = tokenizer.token_adapter_of(step)
        if adapter is not None:
            _, y_hat = tokenizer.predictor(chosen.values)
            z = adapter(y, y_hat.float(), z, chosen.values)
            chosen = tokenizer.fsq(z)
        levels.append(chosen.levels[0])
    kept = torch.stack([levels[steps] for steps in ADAPTED]).to("cpu", torch.int8)
    return Kept(y[0].permute(1, 2, 0).to("cpu", torch.float16).contiguous(), kept)


def varied(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A photograph mirrored, reduced by a random factor, and perhaps in other colours."""
    sides = rgb.shape[:2]
    factor = rng.uniform(min(1.0, max(LEAST_FACTOR, LEAST_SIDE / min(sides))), 1)
    height, width = (max(LEAST_SIDE, round(side * factor)) for side in sides)
    image = Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS)
    made: NDArray[np.uint8] = np.ascontiguousarray(np.asarray(image)[:, ::-1])
    return recoloured(made, rng) if rng.random() < COLOURED_SHARE else made


def computed(
    tokenizer: Tokenizer, images: Sequence[NDArray[np.uint8]], versions: int, seed: int
) -> list[Kept]:
    """Tokens of each photograph as it is, and of `versions` - 1 variations of it."""
    rng = np.random.default_rng((seed, versions))
    kept = []
    for rgb in tqdm(images, desc="tokens of photographs", disable=None):
        kept.append(tokens_of(tokenizer, rgb))
        kept.extend(tokens_of(tokenizer, varied(rgb, rng)) for _ in range(versions - 1))
    return kept


def save(path: Path, kept: Sequence[Kept], encoder: str) -> None:
    """Write tokens; `encoder` says whose they are."""
    tensors: dict[str, Tensor] = {}
    for i, picture in enumerate(kept):
        tensors |= {f"{i}.y": picture.y, f"{i}.levels": picture.levels}
    temporary = path.with_suffix(".part")
    save_file(tensors, temporary, {"encoder": encoder})
    temporary.replace(path)


def load(path: Path, encoder: str) -> list[Kept] | None:
    """Read what `save` wrote; nothing if there is no such file, or it is of another encoder.

    Raises:
        WeightsError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("encoder") != encoder:
                return None
            count = len(file.keys()) // 2
            parts = ([file.get_tensor(f"{i}.{k}") for k in Kept._fields] for i in range(count))
            return [Kept(*tensors) for tensors in parts]
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} does not hold tokens: {error}; delete it") from error


class Crops:
    """Crops of kept tokens; seed and step number determine them."""

    def __init__(self, kept: Sequence[Kept], side: int, seed: tuple[int, ...]) -> None:
        """Crops of `side` latents, an even number, larger pictures more often."""
        self.kept = [k for k in kept if min(k.y.shape[:2]) >= side]
        self.side, self.seed = side, seed
        areas = np.array([k.y.shape[0] * k.y.shape[1] for k in self.kept], dtype=np.float64)
        self.shares = areas / areas.sum()

    def at(self, step: int, adapted: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The crops of a step: y float32 [B, C, H, W] and levels int64 [B, dims, H / 2, W / 2].

        Args:
            step: its number.
            adapted: which of ADAPTED each crop has its levels of.
        """
        rng = np.random.default_rng((*self.seed, step))
        chosen = rng.choice(len(self.kept), len(adapted), p=self.shares)
        ys, levels = [], []
        for number, which in zip(chosen, adapted, strict=True):
            picture = self.kept[number]
            rows, columns = (self._span(side, rng) for side in picture.y.shape[:2])
            ys.append(picture.y[rows, columns])
            over = [
                slice(s.start // LATENTS_PER_TOKEN, s.stop // LATENTS_PER_TOKEN)
                for s in (rows, columns)
            ]
            levels.append(picture.levels[which][:, over[0], over[1]])
        return torch.stack(ys).float().permute(0, 3, 1, 2), torch.stack(levels).long()

    def _span(self, size: int, rng: np.random.Generator) -> slice:
        start = LATENTS_PER_TOKEN * int(rng.integers((size - self.side) // LATENTS_PER_TOKEN + 1))
        return slice(start, start + self.side)
