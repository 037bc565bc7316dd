"""The float networks of decoding on onnxruntime, applied to pictures of any size, block by block.

The counterpart of `sbtcodec.latents.blocks`.
"""

import math
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sbtcodec.grid import LATENT_STRIDE, LATENTS_PER_TOKEN, Box, even_blocks
from sbtcodec.light import graphs
from sbtcodec.light.estimate import Estimate
from sbtcodec.light.graph import Graph
from sbtcodec.light.session import Session, misfit
from sbtcodec.light.weights import Floats, Part, Stored
from sbtcodec.models.stored import ALONE, read_tensors
from sbtcodec.runtime.cores import usable_cores
from sbtcodec.tokenizer.config import TokenizerConfig

# Sides, in latents, of what networks take at once: the more fits the processor's cache, the faster,
# but the more is computed twice around it.
COARSE_BLOCK = 80  # layers at stride 16
FINE_BLOCK = 32  # layers at strides 8 and 4

# The networks for global tokens alone: in a weights file, and as those of a model are named.
NAMES_ALONE = {
    f"{ALONE}predictor.predictor.": "tokenizer.predictor.",
    f"{ALONE}predictor.refiner.": "tokenizer.refiners.0.",
    f"{ALONE}decoder.": "tokenizer.decoder.",
}

RGB: TypeAlias = NDArray[np.uint8]


class LightNetworks:
    """What decoding computes with floats, without torch.

    Networks are made ready when they are first needed. Calls from several threads are no problem.

    Attributes:
        config: sizes of the model.
        threads: that each network runs on.
        alone: what shows files of global tokens alone: these networks, or ones of their own.
    """

    def __init__(self, config: TokenizerConfig, stored: Stored, threads: int | None = None) -> None:
        """Take the weights of a model.

        Args:
            config: its sizes.
            stored: its tensors as the weights file has them, by name; others do not matter.
            threads: to run on; without it, as many as this process may use cores.
        """
        self.config, self._stored = config, stored
        self.threads = usable_cores() if threads is None else threads
        self._sessions: dict[str, Session] = {}
        # latents that the decoder's stages can see around a latent: at 4 alone, 8 and 4, and all
        n4, n8, n16 = config.decoder_depths
        self._reach4 = math.ceil((n4 + 1) / 4)
        self._reach8 = math.ceil(n8 / 2 + (n4 + 1) / 4)
        self._reach16 = n16 + self._reach8
        self.alone = self._of_global_tokens_alone()

    @classmethod
    def read(cls, path: Path, threads: int | None = None) -> "LightNetworks":
        """Those of a weights file; its checksum is not looked at.

        Raises:
            WeightsError: the file is not one of released weights.
        """
        config, stored, _ = read_tensors(path, encoder=False)
        return cls(config.tokenizer, stored, threads)

    def _of_global_tokens_alone(self) -> "LightNetworks":
        own = self.config.alone
        if own is None:
            return self
        stored = {
            new + name.removeprefix(old): array
            for old, new in NAMES_ALONE.items()
            for name, array in self._stored.items()
            if name.startswith(old)
        }
        return LightNetworks(own.within(self.config), stored, self.threads)

    def estimate(
        self, levels: NDArray[np.int64], tokens: Box | None = None, area: Box | None = None
    ) -> Estimate:
        """The prediction of an area from global tokens alone.

        Args:
            levels: int64 [1, dims, h, w] of `tokens`.
            tokens: the area, and around it what attention can see, in global tokens; whole windows.
                Without it, the whole picture.
            area: in latents; whole global tokens. Without it, all of `tokens`.

        Raises:
            WeightsError: the weights do not fit the networks.
        """
        tokens = Box(0, 0, *levels.shape[2:]) if tokens is None else tokens
        area = tokens.times(LATENTS_PER_TOKEN) if area is None else area
        return Estimate(self.config, self._session, levels, tokens, area)

    def synthesise(
        self, y_hat: Floats, anchor_weights: Floats, layers: int, latents: Box | None = None
    ) -> RGB:
        """Part of the local tokens to pixels.

        Args:
            y_hat: float32 [1, local_channels, H, W].
            anchor_weights: of the quality, float32 [gain_anchors], summing to 1.
            layers: detail layers that arrived.
            latents: which to show, of H x W; all without it.

        Returns:
            uint8 [16 h, 16 w, 3] of the h x w latents.

        Raises:
            WeightsError: the weights do not fit the networks.
        """
        whole = Box(0, 0, *y_hat.shape[2:])
        latents = whole if latents is None else latents
        biases = self._biases(anchor_weights, layers)
        coarse_channels = self.config.coarse_channels
        rgb = np.empty(
            (latents.height * LATENT_STRIDE, latents.width * LATENT_STRIDE, 3), dtype=np.uint8
        )
        for block in even_blocks(latents, COARSE_BLOCK):
            seen = block.grown(self._reach16, whole)
            part = y_hat[:, :, seen.rows, seen.columns]
            coarse = self._session("coarse")(y_hat=part[:, :coarse_channels], bias16=biases[0])[0]
            for piece in even_blocks(block, FINE_BLOCK):
                pixels = self._fine(coarse, part, biases, piece.seen_from(seen))
                to = piece.seen_from(latents).times(LATENT_STRIDE)
                rgb[to.rows, to.columns] = pixels[0].transpose(1, 2, 0)
        return rgb

    def _fine(self, coarse: Floats, y_hat: Floats, biases: list[Floats], inside: Box) -> RGB:
        """Pixels uint8 [1, 3, 16 h, 16 w] of the latents inside."""
        whole = Box(0, 0, *coarse.shape[2:])
        near, close = inside.grown(self._reach8, whole), inside.grown(self._reach4, whole)
        crops = ("8", close.seen_from(near).times(2)), ("4", inside.seen_from(close).times(4))
        given: dict[str, NDArray[Any]] = {}
        given |= {
            f"start{stride}": np.array([box.top, box.left], np.int64) for stride, box in crops
        }
        given |= {
            f"stop{stride}": np.array([box.bottom, box.right], np.int64) for stride, box in crops
        }
        if self.config.fine_channels:
            channels = slice(self.config.coarse_channels, None)
            given["fine"] = y_hat[:, channels, inside.rows, inside.columns]
        pixels: RGB = self._session("fine")(
            coarse=coarse[:, :, near.rows, near.columns], bias8=biases[1], bias4=biases[2], **given
        )[0]
        return pixels

    def _biases(self, anchor_weights: Floats, layers: int) -> list[Floats]:
        """Biases where the decoder enters strides 16, 8 and 4, with quality and layers in them."""
        decoder = Part(self._stored, "decoder")
        arrived = np.zeros(self.config.layers + 1, np.float32)
        arrived[layers] = 1
        told = np.concatenate([anchor_weights * (layers > 0), arrived]).astype(np.float32)
        condition = decoder.part("condition")
        _, c8, c16 = self.config.widths
        found = condition["weight"] @ told + condition["bias"]
        b16, b8, b4 = np.split(found, [c16, c16 + c8])
        return [
            decoder["enter16.bias"] + b16,
            decoder["enter8.0.bias"] + np.repeat(b8, 4),  # the channels of a square are neighbours
            decoder["enter4.0.bias"] + np.repeat(b4, 4),
        ]

    def _session(self, name: str) -> Session:
        """The network of a name, made ready once."""
        found = self._sessions.get(name)
        if found is not None:
            return found
        try:
            graph = self._graph(name)
        except (IndexError, ValueError) as error:  # of arrays with other sides
            raise misfit(name, error) from error
        made = Session(graph, self.threads)
        return self._sessions.setdefault(name, made)  # without a lock: at worst two threads make it

    def _graph(self, name: str) -> Graph:
        if name.startswith("refine"):
            return graphs.refine(self.config, self._stored, int(name.removeprefix("refine")))
        made: Graph = getattr(graphs, name)(self.config, self._stored)
        return made
