"""A codec that runs on onnxruntime, without torch: it starts in a fraction of the time."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sbtcodec.arguments import Buffer, number
from sbtcodec.codec.compressing import Compressing
from sbtcodec.codec.concealment import Conceal
from sbtcodec.codec.decoder import Decoded, decode_file
from sbtcodec.codec.meant import realism_meant, with_notice
from sbtcodec.errors import ModelMismatchError, WeightsError
from sbtcodec.grid import Crop
from sbtcodec.limits import DEFAULT_MAX_PIXELS
from sbtcodec.models.prices import Prices
from sbtcodec.models.registry import checked_weights, read_manifest, weights_dir
from sbtcodec.models.stored import read_tensors
from sbtcodec.models.symbol_model import symbol_model_of
from sbtcodec.tokenizer.config import NO_ENCODER

if TYPE_CHECKING:
    from sbtcodec.light.encoding_engine import LightEncodingEngine
    from sbtcodec.light.engine import LightEngine

NEEDS_TORCH = (
    "realism above 0 needs torch, and onnxruntime shows files faithfully alone;"
    " install torch, or leave realism at 0"
)


class LightCodec(Compressing):
    """Decodes the files of all installed models, in float32, on the CPU; encodes with the default.

    Efforts above 3 need gradients, and looks their networks: torch, and `Codec`.

    Attributes:
        threads: of each network; as many as this process may use cores, if None.
    """

    def __init__(self, folder: Path | None = None, threads: int | None = None) -> None:
        """Load nothing yet: a file to decode says which model it needs.

        Args:
            folder: with a manifest, instead of the installed one.
            threads: see the class.
        """
        self.threads = threads
        self._folder = folder or weights_dir()
        self._engines: dict[int, LightEngine] = {}
        self._encoding: LightEncodingEngine | None = None

    def decode(
        self,
        data: Buffer,
        layers: int | None = None,
        *,
        allow_partial: bool = False,
        crop: Crop | None = None,
        scale: int = 1,
        realism: float | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        conceal: Conceal | None = None,
    ) -> Decoded:
        """Decode a `.sbt` file; arguments and errors are those of `Codec.decode`.

        Raises:
            ModelMismatchError: realism is above 0, which takes torch, and `Codec`.
            WeightsError: the weights of its model are missing or damaged.
        """
        missed = None
        if realism is None:
            partial_too = allow_partial or conceal is not None
            _, missed = realism_meant(data, lambda _model: False, allow_partial=partial_too)
        elif number("realism", realism, 0, 1) > 0:
            raise ModelMismatchError(NEEDS_TORCH)
        decoded = decode_file(
            self.engine_of,
            data,
            layers,
            allow_partial=allow_partial,
            crop=crop,
            scale=scale,
            max_pixels=max_pixels,
            conceal=conceal,
        )
        return with_notice(decoded, missed)

    def engine_of(self, number: int) -> "LightEngine":
        """The engine of the model of that number, loaded once.

        Raises:
            ModelMismatchError: no model of that number is installed.
            WeightsError: its weights are missing or damaged.
        """
        from sbtcodec.light.engine import LightEngine
        from sbtcodec.light.networks import LightNetworks

        found = self._engines.get(number)
        if found is None:
            entry = read_manifest(self._folder).entry(number)
            path = checked_weights(self._folder, entry)
            config, stored, _ = read_tensors(path, encoder=False)
            symbols = symbol_model_of(path, entry, config, stored)
            networks = LightNetworks(config.tokenizer, stored, self.threads)
            # without a lock: at worst two threads load it
            found = self._engines.setdefault(number, LightEngine(symbols, networks))
        return found

    def encoding_engine(self) -> "LightEncodingEngine":
        """The engine of the default model, loaded once; it decodes that model's files too.

        Raises:
            ModelMismatchError: the default model is installed for decoding alone.
            WeightsError: its weights are missing or damaged.
        """
        from sbtcodec.light.encoding import EncodingNetworks
        from sbtcodec.light.encoding_engine import LightEncodingEngine

        if self._encoding is None:
            manifest = read_manifest(self._folder)
            entry = manifest.entry(manifest.default)
            if not entry.encoder:
                raise ModelMismatchError(NO_ENCODER)
            path = checked_weights(self._folder, entry)
            config, stored, card = read_tensors(path)
            symbols = symbol_model_of(path, entry, config, stored)
            networks = EncodingNetworks(config.tokenizer, stored, self.threads)
            try:
                log_gains = stored["tokenizer.log_gains"].astype(np.float64)
            except KeyError as error:
                raise WeightsError(
                    f"the weights {path} have no {error}; reinstall sbtcodec"
                ) from error
            prices = Prices(symbols, log_gains, card.get("recipe", {}))
            # without a lock: at worst two threads load it
            self._encoding = LightEncodingEngine(symbols, networks, prices)
            self._engines[entry.number] = self._encoding
        return self._encoding
