"""The generator: pictures from nothing, and pictures completed, as global tokens.

It needs the global tokens alone; what they mean in pixels is the tokenizer's burden (SelfBootTok,
arXiv 2606.05552).
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sbtcodec.arguments import number, shown, whole_number
from sbtcodec.codec.tokens import Tokens
from sbtcodec.errors import ArgumentError, ModelMismatchError
from sbtcodec.generation.config import (
    GUIDANCE,
    MAX_GUIDANCE,
    MAX_SAMPLE_SIDE,
    MAX_STEPS,
    STEPS,
    GeneratorConfig,
)
from sbtcodec.generation.draws import Draws
from sbtcodec.generation.filling import Filler, Sampling
from sbtcodec.generation.stored import StoredGenerator, load_generator
from sbtcodec.generation.windows import filled
from sbtcodec.grid import LATENTS_PER_TOKEN, tokens_of
from sbtcodec.runtime import modes
from sbtcodec.runtime.devices import device_of

GROUP = 8  # pictures that are drawn together

QUALITY = 0
"""The quality code that files of sampled tokens carry: they have no detail layer."""


class Generator:
    """Draws global tokens of one released model.

    Example:
        >>> from sbtcodec import Codec, Generator
        >>> generator = Generator.load(device="cpu")
        >>> tokens = generator.sample(1, label="church", seed=1, steps=2)
        >>> Codec.load(device="cpu").detokenize(tokens[0]).size
        (256, 256)
    """

    def __init__(self, stored: StoredGenerator, name: str, device: str = "auto") -> None:
        """Take a generator that has been read; `load` does that."""
        self.device = device_of(device)
        self.model = stored.model.to(self.device)
        self.number, self.name, self.card = stored.number, name, stored.card

    @classmethod
    def load(
        cls, device: str = "auto", *, model: int | None = None, weights: Path | None = None
    ) -> "Generator":
        """Load the generator of a model.

        Args:
            device: auto, cpu or cuda.
            model: number of the model; the default one if not given.
            weights: folder of models; the installed one if not given.

        Raises:
            WeightsError: weights are missing or damaged.
            ModelMismatchError: the model has no generator.
            DeviceError: there is no such device.
        """
        stored, entry = load_generator(model, weights)
        return cls(stored, entry.name, device)

    @property
    def config(self) -> GeneratorConfig:
        """Its sizes."""
        return self.model.config

    @property
    def classes(self) -> tuple[str, ...]:
        """What `sample` can be asked for."""
        return self.config.classes

    def label_of(self, name: str | None) -> int:
        """The number of a class, or of any picture for None.

        Raises:
            ArgumentError: there is no such class; the message lists them.
        """
        if name is None:
            return self.config.any
        if name not in self.classes:
            known = ", ".join(self.classes) or "none"
            raise ArgumentError(
                f"the class is {shown(name)}, {self.name} knows {known}; choose one, or give none"
            )
        return self.classes.index(name)

    def sample(
        self,
        count: int = 1,
        *,
        width: int = 256,
        height: int = 256,
        label: str | None = None,
        seed: int = 0,
        guidance: float = GUIDANCE,
        steps: int = STEPS,
        first: int = 0,
    ) -> list[Tokens]:
        """Draw pictures from nothing.

        Args:
            count: how many.
            width: of each, in pixels.
            height: of each, in pixels.
            label: a class of `classes`; any picture if not given.
            seed: the same seed gives the same pictures, each by its own number.
            guidance: how much more a picture is to look like its class than the class does; 0 or
                more.
            steps: rounds of drawing for a window of 8x8 tokens, 1 to 64.
            first: number of the first picture, so that many can be drawn in parts.

        Returns:
            Tokens without detail layers; `Codec.compress_tokens` makes a file of them.

        Raises:
            ArgumentError: an argument is out of range, or the class is unknown.
        """
        count, first = whole_number("count", count, 0), whole_number("first", first, 0)
        width = whole_number("width", width, 1, MAX_SAMPLE_SIDE)
        height = whole_number("height", height, 1, MAX_SAMPLE_SIDE)
        seed = whole_number("seed", seed, 0)
        grid = tokens_of(width, height)
        filler = self._filler(label, guidance, steps)
        dims = len(self.config.levels)
        made: list[Tokens] = []
        for at in range(0, count, GROUP):
            draws = [Draws(seed, first + i) for i in range(at, min(at + GROUP, count))]
            empty = np.zeros((len(draws), grid.height, grid.width, dims), np.int64)
            known = np.zeros((grid.height, grid.width), bool)
            with modes.inference(self.device):
                levels = filled(filler, empty, known, draws)
            made += [self._tokens(one, width, height) for one in levels]
        return made

    def complete(
        self,
        tokens: Tokens,
        known: NDArray[np.bool_],
        *,
        label: str | None = None,
        seed: int = 0,
        guidance: float = GUIDANCE,
        steps: int = STEPS,
    ) -> Tokens:
        """Draw the global tokens of a picture that are not known, given those that are.

        Args:
            tokens: of the picture; those that are not known do not count.
            known: bool [h, w], of each global token.
            label: as for `sample`, as the others.
            seed: of the draws.
            guidance: as for `sample`.
            steps: as for `sample`.

        Returns:
            Tokens without detail layers.

        Raises:
            ArgumentError: nothing or everything is known, or an argument is out of range.
            ModelMismatchError: the tokens are of another model.
        """
        if tokens.model != self.number:
            raise ModelMismatchError(
                f"the picture was made with model {tokens.model}, {self.name} makes tokens of model"
                f" {self.number}"
            )
        if known.shape != tokens.levels.shape[:2] or known.dtype != np.bool_:
            raise ArgumentError(
                f"known is {known.dtype} {list(known.shape)}, expected bool"
                f" {list(tokens.levels.shape[:2])}"
            )
        if known.all() or not known.any():
            found, wanted = ("all", "nothing to draw") if known.all() else ("none", "use sample")
            raise ArgumentError(f"{found} of the picture's tokens are known: {wanted}")
        levels = tokens.levels.astype(np.int64)
        made = self.fill(levels, known, label=label, seed=seed, guidance=guidance, steps=steps)
        return self._tokens(made, tokens.width, tokens.height, tokens.grayscale)

    def fill(
        self,
        levels: NDArray[np.int64],
        known: NDArray[np.bool_],
        *,
        label: str | None = None,
        seed: int = 0,
        guidance: float = GUIDANCE,
        steps: int = STEPS,
    ) -> NDArray[np.int64]:
        """The same for levels int64 [h, w, dims] alone; arguments and errors as for `complete`."""
        filler = self._filler(label, guidance, steps)
        draws = [Draws(whole_number("seed", seed, 0), 0)]
        with modes.inference(self.device):
            made: NDArray[np.int64] = filled(filler, levels[None], known, draws)[0]
        return made

    def _filler(self, label: str | None, guidance: float, steps: int) -> Filler:
        steps = whole_number("steps", steps, 1, MAX_STEPS)
        guidance = number("guidance", guidance, 0.0, MAX_GUIDANCE)
        return Filler(self.model, self.label_of(label), Sampling(steps, guidance))

    def _tokens(
        self, levels: NDArray[np.int64], width: int, height: int, grayscale: bool = False
    ) -> Tokens:
        latents = tokens_of(width, height).times(LATENTS_PER_TOKEN)
        symbols = np.zeros((latents.height, latents.width, self._channels()), np.int16)
        return Tokens(
            levels.astype(np.uint8), symbols, width, height, QUALITY, 0, self.number, grayscale
        )

    def _channels(self) -> int:
        return int(self.card["local_channels"])
