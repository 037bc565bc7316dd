"""Local tokens of photographs, computed once by an encoder that no longer learns, and kept.

What the decoder shares with the encoder (prior, predictor, refiners, entropy parameters) learns
from them several times as fast as from pixels.
"""

from collections.abc import Sequence
from pathlib import Path

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
from sbtcodec.training.data import COLOURED_SHARE, recoloured

LEAST_SIDE = 256  # pixels of what a photograph is reduced to
LEAST_FACTOR = 0.5
MIRRORED_SHARE = 0.5


@torch.no_grad()
def tokens_of(tokenizer: Tokenizer, rgb: NDArray[np.uint8]) -> Tensor:
    """Of the whole 32x32 squares of pixels uint8 [height, width, 3]: float16 [H, W, C]."""
    height, width = (side // TOKEN_STRIDE * TOKEN_STRIDE for side in rgb.shape[:2])
    x = pixel_rows(planes(rgb[:height, :width], tokenizer.log_gains.device))
    y: Tensor = tokenizer.encoders[0](x)
    return y[0].permute(1, 2, 0).to("cpu", torch.float16).contiguous()


def varied(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A photograph reduced by a random factor, perhaps mirrored, perhaps in other colours."""
    sides = rgb.shape[:2]
    factor = rng.uniform(min(1.0, max(LEAST_FACTOR, LEAST_SIDE / min(sides))), 1)
    height, width = (max(LEAST_SIDE, round(side * factor)) for side in sides)
    image = Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS)
    made: NDArray[np.uint8] = np.asarray(image)
    if rng.random() < MIRRORED_SHARE:
        made = np.ascontiguousarray(made[:, ::-1])
    return recoloured(made, rng) if rng.random() < COLOURED_SHARE else made


def computed(
    tokenizer: Tokenizer, images: Sequence[NDArray[np.uint8]], versions: int, seed: int
) -> list[Tensor]:
    """Tokens of each photograph as it is, and of `versions` - 1 variations of it."""
    rng = np.random.default_rng((seed, versions))
    kept = []
    for rgb in tqdm(images, desc="tokens of photographs", disable=None):
        kept.append(tokens_of(tokenizer, rgb))
        kept.extend(tokens_of(tokenizer, varied(rgb, rng)) for _ in range(versions - 1))
    return kept


def save(path: Path, kept: Sequence[Tensor], encoder: str) -> None:
    """Write tokens; `encoder` says whose they are."""
    temporary = path.with_suffix(".part")
    save_file({str(i): y for i, y in enumerate(kept)}, temporary, {"encoder": encoder})
    temporary.replace(path)


def load(path: Path, encoder: str) -> list[Tensor] | None:
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
            return [file.get_tensor(str(i)) for i in range(len(file.keys()))]
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} does not hold tokens: {error}; delete it") from error


class Crops:
    """Crops of kept tokens; seed and step number determine them."""

    def __init__(self, kept: Sequence[Tensor], side: int, seed: tuple[int, ...]) -> None:
        """Crops of `side` latents, an even number, larger pictures more often."""
        self.kept = [y for y in kept if min(y.shape[:2]) >= side]
        self.side, self.seed = side, seed
        areas = np.array([y.shape[0] * y.shape[1] for y in self.kept], dtype=np.float64)
        self.shares = areas / areas.sum()

    def at(self, step: int, count: int) -> Tensor:
        """The `count` crops of step number `step`: float32 [count, C, side, side]."""
        rng = np.random.default_rng((*self.seed, step))
        crops = []
        for number in rng.choice(len(self.kept), count, p=self.shares):
            y = self.kept[number]
            rows, columns = (self._span(size, rng) for size in y.shape[:2])
            crops.append(y[rows, columns])
        return torch.stack(crops).float().permute(0, 3, 1, 2)

    def _span(self, size: int, rng: np.random.Generator) -> slice:
        start = LATENTS_PER_TOKEN * int(rng.integers((size - self.side) // LATENTS_PER_TOKEN + 1))
        return slice(start, start + self.side)
