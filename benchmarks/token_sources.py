"""Where pictures come from that are compared with real ones: photographs, tokens and draws."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.codec.tokens import Tokens
from sbtcodec.entropy.coder import Symbols
from sbtcodec.entropy.frequencies import Frequencies
from sbtcodec.generation.config import SIDE
from sbtcodec.grid import Box
from sbtcodec.image.opening import open_image
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.training.data import photograph_paths
from sbtcodec.training.token_data import SIDE as PIXELS
from sbtcodec.training.token_data import TokenData, class_folders, square

RGB = NDArray[np.uint8]


def photographs(folder: Path, count: int) -> Iterator[RGB]:
    """The middle squares, uint8 [256, 256, 3], of `count` photographs, as many of each class."""
    folders = class_folders(folder)
    each = -(-count // len(folders))
    paths = [path for f in folders for path in photograph_paths(f)[:each]]
    for path in paths[:count]:
        with open_image(path) as image:
            yield square(image.convert("RGB"), None)


def whole_photographs(data: TokenData, count: int) -> NDArray[np.uint8]:
    """Tokens uint8 [count, 64, dims] of the middle squares of photographs, as many of each class.

    Args:
        data: of which the first square of each photograph is the middle.
        count: how many.
    """
    first = np.ones(len(data.photographs), bool)
    first[1:] = data.photographs.numpy()[1:] != data.photographs.numpy()[:-1]
    labels = data.labels.numpy()
    each = -(-count // len(data.classes))
    chosen = [np.flatnonzero(first & (labels == k))[:each] for k in range(len(data.classes))]
    found: NDArray[np.uint8] = data.levels.numpy()[np.concatenate(chosen)[:count]]
    return found


def by_frequency(data: TokenData, count: int, seed: int) -> NDArray[np.uint8]:
    """Windows uint8 [count, 64, dims] of tokens drawn one by one from all that there are."""
    rng = np.random.default_rng(seed)
    tokens = data.levels.flatten(0, 1).numpy()
    found: NDArray[np.uint8] = tokens[rng.integers(0, len(tokens), (count, SIDE * SIDE))]
    return found


def from_prior(codec: Codec, count: int, seed: int) -> NDArray[np.uint8]:
    """Windows uint8 [count, 64, dims] drawn from the integer prior that codes files."""
    rng = np.random.default_rng(seed)

    def draw(frequencies: Frequencies, _shown: Symbols) -> Symbols:
        # the coder gives every symbol one unit more
        cumulative = (frequencies + 1).cumsum(1)
        at = rng.integers(0, cumulative[:, -1])
        drawn: Symbols = (at[:, None] >= cumulative).sum(1).astype(np.int32)
        return drawn

    found = []
    with codec.networks.inference():
        for _ in range(count):
            tile = TileSymbols(codec.release.symbols, 0, Box(0, 0, SIDE, SIDE))
            tile.code_levels(draw)
            found.append(tile.levels.reshape(SIDE * SIDE, -1).astype(np.uint8))
    return np.stack(found)


def pictures(codec: Codec, windows: NDArray[np.uint8], *, realism: float = 0.0) -> Iterator[RGB]:
    """Pictures uint8 [256, 256, 3] of windows uint8 [n, 64, dims], of global tokens alone."""
    channels = codec.tokenizer.config.local_channels
    symbols = np.zeros((2 * SIDE, 2 * SIDE, channels), np.int16)
    for window in windows:
        levels = np.ascontiguousarray(window.reshape(SIDE, SIDE, -1))
        tokens = Tokens(levels, symbols, PIXELS, PIXELS, 0, 0, codec.release.number)
        yield np.asarray(codec.detokenize(tokens, realism=realism))
