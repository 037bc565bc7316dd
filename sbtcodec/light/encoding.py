"""The float networks of encoding on onnxruntime, applied to pictures of any size, block by block.

The counterpart of what `sbtcodec.latents.blocks` has for encoding.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sbtcodec.errors import ModelMismatchError
from sbtcodec.grid import LATENT_STRIDE, LATENTS_PER_TOKEN, Box, even_blocks, tokens_of
from sbtcodec.image.padding import pixels_in
from sbtcodec.light import encoder_graphs
from sbtcodec.light.attention import attend
from sbtcodec.light.estimate import Estimate, values_of
from sbtcodec.light.graph import Graph
from sbtcodec.light.networks import COARSE_BLOCK, FINE_BLOCK, RGB, LightNetworks
from sbtcodec.light.session import Session
from sbtcodec.light.weights import Floats, Part, Stored
from sbtcodec.tokenizer.config import ADAPTER_DEPTH, NO_ENCODER, TokenizerConfig

GRAPHS = {
    "analyse_finely": encoder_graphs.analyse_finely,
    "analyse_coarsely": encoder_graphs.analyse_coarsely,
    "pool": encoder_graphs.pool,
    "choose": encoder_graphs.choose,
    "adapt": encoder_graphs.adapt,
}
ADAPTER_GRAPHS = {"compare": encoder_graphs.compare, "move": encoder_graphs.move}

STRIDE8 = 2  # rows and columns of stride 8 in a latent
SLOPE = 1.6  # of the sigmoid before levels are cut, as in `sbtcodec.tokenizer.fsq`


class EncodingNetworks(LightNetworks):
    """What encoding and decoding compute with floats, without torch."""

    def __init__(self, config: TokenizerConfig, stored: Stored, threads: int | None = None) -> None:
        """Take the weights of a model; see `LightNetworks`.

        Raises:
            ModelMismatchError: it has the decoder's half alone.
        """
        super().__init__(config, stored, threads)
        if not config.encoder:
            raise ModelMismatchError(NO_ENCODER)
        n4, n8, _ = config.encoder_depths
        # in places of stride 8: what layers at stride 8 see, and what those at stride 4 do
        self._seen8, self._seen4 = n8, math.ceil((n4 + 1) / 2)

    def local_tokens(self, rgb: RGB) -> Floats:
        """Local tokens y, float32 [1, local_channels, H, W], of uint8 [height, width, 3].

        Raises:
            WeightsError: the weights do not fit the networks.
        """
        config = self.config
        latents = tokens_of(rgb.shape[1], rgb.shape[0]).times(LATENTS_PER_TOKEN)
        sides = latents.height, latents.width
        made = {"features": np.empty((1, config.widths[2], *sides), np.float32)}
        if config.fine_channels:
            made["fine"] = np.empty((1, config.fine_channels, *sides), np.float32)
        for block in even_blocks(latents, FINE_BLOCK):
            found = self._finely(rgb, block, latents)
            for planes, part in zip(made.values(), found, strict=True):
                planes[:, :, block.rows, block.columns] = part
        return self._coarsely("analyse_coarsely", config.encoder_depths[2], made)

    def _finely(self, rgb: RGB, block: Box, latents: Box) -> list[NDArray[Any]]:
        """What the local encoder makes of the pixels of a block at strides 4 and 8."""
        whole = latents.times(STRIDE8)
        inside = block.times(STRIDE8)
        near = inside.grown(self._seen8, whole)
        far = near.grown(self._seen4, whole)
        pixels = LATENT_STRIDE // STRIDE8
        crops = {
            "4": near.seen_from(far).times(2),
            "8": inside.seen_from(near),
            "1": inside.seen_from(far).times(pixels),
        }
        if not self.config.fine_channels:
            del crops["1"]
        given: dict[str, NDArray[Any]] = {"rgb": pixels_in(rgb, far.times(pixels))}
        for stride, box in crops.items():
            given[f"start{stride}"] = np.array([box.top, box.left], np.int64)
            given[f"stop{stride}"] = np.array([box.bottom, box.right], np.int64)
        return self._session("analyse_finely")(**given)

    def global_tokens(self, y: Floats) -> Floats:
        """Global tokens z before they are quantised, float32 [1, dims, h, w], of local tokens."""
        pooled = self._pooled("pool", {"y": y})
        layers = self.config.encoder_attention
        return self._among_tokens("choose", layers, {"pooled": pooled})

    def levels(self, z: Floats) -> NDArray[np.int64]:
        """What global tokens are quantised to, int64 [1, dims, h, w]."""
        counts = np.array(self.config.levels, np.float32).reshape(1, -1, 1, 1)
        with np.errstate(over="ignore"):  # to infinity, which gives the lowest level
            position = counts / (1 + np.exp(np.float32(-SLOPE) * z)) - np.float32(0.5)
        levels: NDArray[np.int64] = np.clip(np.rint(position), 0, counts - 1).astype(np.int64)
        return levels

    def moved(self, adapter: str, y: Floats, y_hat: Floats, z: Floats) -> Floats:
        """Global tokens by an adapter of that name; float32 [1, dims, h, w].

        Args:
            adapter: `token_adapter` or `alone_adapter`.
            y: of the local encoder, float32 [1, local_channels, 2 h, 2 w].
            y_hat: predicted from the quantised global tokens, of the same shape.
            z: these before they are quantised, float32 [1, dims, h, w].
        """
        config = self.config
        alone = adapter == "alone_adapter"
        layers = config.alone_attention if alone else config.adapter_attention
        compared = self._pooled(f"compare.{adapter}", {"y": y, "y_hat": y_hat})
        values = values_of(self.levels(z), config)
        given = {"compared": compared, "z": z, "values": values}
        return self._among_tokens(f"move.{adapter}", layers, given)

    def adapted(
        self, y: Floats, estimate: Estimate, anchor_weights: Floats, gains: Floats
    ) -> Floats:
        """Local tokens as they are sent at a quality, float32 [1, local_channels, H, W].

        Args:
            y: of the local encoder, of that shape.
            estimate: still predicted from global tokens alone; of the same area.
            anchor_weights: of the quality, float32 [gain_anchors].
            gains: inverse step sizes, float32 [local_channels].
        """
        if not self.config.adapter_width:
            return y
        part = Part(self._stored, "adapter.told")
        told = part["weight"] @ anchor_weights + part["bias"]
        same = {"told": told.reshape(1, -1, 1, 1), "gains": gains.reshape(1, -1, 1, 1)}
        given = {"y": y, "y_hat": estimate.y_hat}
        return self._coarsely("adapt", ADAPTER_DEPTH, given, **same)

    def _among_tokens(self, name: str, layers: int, given: dict[str, Floats]) -> Floats:
        """What a network with so many layers of attention makes of all global tokens."""
        whole = Box(0, 0, *next(iter(given.values())).shape[2:])
        return attend(self._session(name), self.config, layers, whole, given)

    def _pooled(self, name: str, given: dict[str, Floats]) -> Floats:
        """What a network makes of latents for each global token, band by band.

        Args:
            name: of the network; it sees at most LATENTS_PER_TOKEN latents around a token.
            given: its inputs, float32 [1, ., 2 h, 2 w] each.

        Returns:
            float32 [1, ., h, w].
        """
        latents = Box(0, 0, *next(iter(given.values())).shape[2:])
        network, pooled = self._session(name), []
        for top in range(0, latents.height, COARSE_BLOCK):
            band = Box(top, 0, min(top + COARSE_BLOCK, latents.height), latents.width)
            seen = band.grown(LATENTS_PER_TOKEN, latents)
            inside = band.seen_from(seen).over(LATENTS_PER_TOKEN)
            made = network(**{key: planes[:, :, seen.rows] for key, planes in given.items()})[0]
            pooled.append(made[:, :, inside.rows])
        return np.concatenate(pooled, 2)

    def _coarsely(self, name: str, reach: int, given: dict[str, Floats], **same: Floats) -> Floats:
        """Local tokens that a network at stride 16 makes, block by block.

        Args:
            name: of the network.
            reach: latents that it can see around a latent.
            given: float32 [1, ., H, W] each, of which it gets parts.
            same: what it gets for every block.

        Returns:
            float32 [1, local_channels, H, W].
        """
        latents = Box(0, 0, *next(iter(given.values())).shape[2:])
        network: Session = self._session(name)
        shape = 1, self.config.local_channels, latents.height, latents.width
        made = np.empty(shape, np.float32)
        for block in even_blocks(latents, COARSE_BLOCK):
            seen = block.grown(reach, latents)
            inside = block.seen_from(seen)
            parts = {key: planes[:, :, seen.rows, seen.columns] for key, planes in given.items()}
            found = network(**parts, **same)[0]
            made[:, :, block.rows, block.columns] = found[:, :, inside.rows, inside.columns]
        return made

    def _graph(self, name: str) -> Graph:
        kind, _, adapter = name.partition(".")
        if kind in ADAPTER_GRAPHS:
            return ADAPTER_GRAPHS[kind](self.config, self._stored, adapter)
        if kind in GRAPHS:
            return GRAPHS[kind](self.config, self._stored)
        return super()._graph(name)
