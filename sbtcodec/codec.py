"""The pipeline, one page each way: pixels to a `.sbt` file and back.

    compress:    x -> y -> z            then one walk over the symbols that puts them
    decompress:                              the same walk, getting them   -> y_hat -> x_hat

The walk is in `sbtcodec.walk`, shared by both directions, so probabilities cannot differ.
Letters: H W are rows and columns of the padded image's 16-pixel cells, h w of its 32-pixel cells.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sbtcodec.container import (
    FORMAT_VERSION,
    MAX_SIDE,
    Container,
    Header,
    Layer,
    pack,
    unpack,
)
from sbtcodec.entropy.coder import Indices, LayerDecoder, LayerEncoder, Symbols
from sbtcodec.entropy.detail import MAX_SYMBOL
from sbtcodec.entropy.frequencies import Frequencies
from sbtcodec.errors import DeviceError, ImageError, InvalidFileError
from sbtcodec.image.pixels import as_rgb
from sbtcodec.image.tiles import crop, pad_to_multiple, strips
from sbtcodec.refinement import DEFAULT_EFFORT, refined, steps_of
from sbtcodec.release import Release, load_release
from sbtcodec.tokenizer.layers import channels_last
from sbtcodec.walk import Walk, check_seed, floats

CELL = 16  # pixels of a local token's side
STRIP_CELLS = 64  # rows of local tokens per strip of the pixel networks
HALO_CELLS = 8  # rows that the pixel networks can see beyond a strip: their reach is under 8

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Decoded:
    """A decoded picture and how much of the file went into it.

    Attributes:
        rgb: uint8 [H, W, 3].
        layers: detail layers used.
        declared_layers: detail layers that the whole file has.
        notice: why fewer layers were used than the file declares, if so and if not asked for.
    """

    rgb: RGB
    layers: int
    declared_layers: int
    notice: str | None


@dataclass(frozen=True)
class Analysis:
    """What the encoder networks make of a picture; `Codec.code` codes it at any quality.

    Attributes:
        rgb: the picture, uint8 [height, width, 3].
        y: its local tokens, float32 [1, C, H, W], on the codec's device.
        levels: levels of its global tokens, int64 [1, dims, h, w], on the CPU.
    """

    rgb: RGB
    y: Tensor
    levels: Tensor


@dataclass(frozen=True)
class Coding:
    """A file, and what its encoder knows of how it will be decoded.

    Attributes:
        data: the bytes of the `.sbt` file.
        header: its header.
        walk: its symbols, and the local tokens as they are after the last of its layers.
    """

    data: bytes
    header: Header
    walk: Walk


class Codec:
    """Compresses and decompresses images with one released model.

    Example:
        >>> from sbtcodec import Codec
        >>> codec = Codec.load(device="cpu")
        >>> image = np.full((40, 50, 3), 128, np.uint8)
        >>> codec.decompress(codec.compress(image, quality=30)).size
        (50, 40)
    """

    def __init__(self, release: Release, device: torch.device, *, bf16: bool = False) -> None:
        """Use `release`, float networks on `device`; integer networks stay on the CPU.

        Args:
            release: the model.
            device: where the float networks run.
            bf16: run the float networks in bfloat16. Symbols stay the same for a given file,
                pixels move by rounding.
        """
        self.release = release
        self.device = device
        self.bf16 = bf16
        self.tokenizer = channels_last(release.model.tokenizer.to(device))

    @property
    def model_id(self) -> str:
        """Name and digest of the model, for results: `sbt-1 (0123456789ab)`."""
        return f"{self.release.name} ({self.release.sha256[:12]})"

    @classmethod
    def load(
        cls,
        device: str = "auto",
        *,
        bf16: bool = False,
        model: int | None = None,
        weights: Path | None = None,
    ) -> "Codec":
        """Load the shipped weights.

        Args:
            device: "auto" (CUDA if there is one), "cpu" or "cuda".
            bf16: see `__init__`.
            model: number of the model; the newest if not given.
            weights: folder with a manifest, instead of the installed one.

        Raises:
            DeviceError: the device is unknown or not there.
            WeightsError: the weights are missing or damaged.
        """
        if device not in {"auto", "cpu", "cuda"}:
            raise DeviceError(f"unknown device {device!r}; use auto, cpu or cuda")
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("no CUDA device is available; use --device cpu")
        cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        return cls(load_release(model, weights), torch.device("cuda" if cuda else "cpu"), bf16=bf16)

    def compress(
        self,
        image: RGB | Image.Image,
        quality: float = 50,
        *,
        globals_only: bool = False,
        effort: int = DEFAULT_EFFORT,
    ) -> bytes:
        """Compress an image into the bytes of a `.sbt` file.

        Args:
            image: uint8 [H, W, 3], or a PIL image, which is converted to RGB.
            quality: 0 (smallest) to 100 (best); rounded to 1/255 of the range.
            globals_only: send the global tokens alone, about 0.016 bpp.
            effort: 0 to 9; from 4 on, more time is spent on a smaller and better file.

        Raises:
            ImageError: the image has the wrong type or size.
            ValueError: quality or effort is out of range.
        """
        return self.code(
            self.analyse(image), quality, globals_only=globals_only, effort=effort
        ).data

    def analyse(self, image: RGB | Image.Image) -> Analysis:
        """Run the encoder networks, whose part does not depend on the quality.

        Args:
            image: uint8 [H, W, 3], or a PIL image, which is converted to RGB.

        Raises:
            ImageError: the image has the wrong type or size.
        """
        rgb = _checked(as_rgb(image).rgb if isinstance(image, Image.Image) else image)
        with self._inference():
            y = self._analyse(pad_to_multiple(rgb))
            with floats(self.device, bf16=self.bf16):
                z = self.tokenizer.fsq(self.tokenizer.global_encoder(y))
            return Analysis(rgb, y, z.levels.cpu())

    def code(
        self,
        analysis: Analysis,
        quality: float = 50,
        *,
        globals_only: bool = False,
        effort: int = DEFAULT_EFFORT,
    ) -> Coding:
        """Code what `analyse` found; arguments and errors as for `compress`."""
        if not 0 <= quality <= 100:
            raise ValueError(f"quality is {quality}, expected 0 to 100")
        steps = steps_of(effort)
        height, width = analysis.rgb.shape[:2]
        detail_layers = 0 if globals_only else self.tokenizer.config.layers
        code = round(quality * 2.55)
        header = Header(FORMAT_VERSION, self.release.number, width, height, code, detail_layers)
        y = analysis.y
        if steps and not globals_only:
            y = refined(self.release, analysis.rgb, y, analysis.levels, code, steps)
        with self._inference():
            walk = Walk(self.release, header, self.device, bf16=self.bf16)
            base = LayerEncoder(self.release.tables)

            def put_levels(frequencies: Frequencies, at: tuple[Tensor, ...], dim: int) -> Symbols:
                chosen = analysis.levels[:, dim][at].numpy().astype(np.int32)
                return base.levels(frequencies, chosen)

            walk.globals(put_levels)
            coded, estimates = [base.finish()], []
            if not globals_only:
                walk.predict()
            for group in range(detail_layers):
                layer = LayerEncoder(self.release.tables)

                def put_details(
                    indices: Indices,
                    residual: NDArray[np.float32] | None,
                    layer: LayerEncoder = layer,
                ) -> Symbols:
                    assert residual is not None
                    q = np.rint(np.clip(residual, -MAX_SYMBOL, MAX_SYMBOL)).astype(np.int32)
                    return layer.details(indices, q)

                estimates.append(walk.y_hat)
                walk.details(group, put_details, y)
                coded.append(layer.finish())
        # trailing layers that say nothing are not declared: at low qualities every byte counts
        while len(coded) > 1 and not walk.has_details(len(coded) - 2):
            coded.pop()
        used = len(coded) - 1
        if used < detail_layers:  # a decoder stops here
            walk.y_hat = estimates[used]
        header = replace(header, detail_layers=used)
        walk.seed = check_seed(self.release, header)
        checks = [walk.check_globals(), *map(walk.check_details, range(used))]
        data = pack(Container(header, tuple(map(Layer, coded, checks))))
        return Coding(data, header, walk)

    def reconstruct(self, coding: Coding) -> RGB:
        """The picture that this codec decodes from `coding.data`, without decoding it.

        Returns:
            uint8 [H, W, 3].
        """
        header, walk = coding.header, coding.walk
        with self._inference():
            if not walk.y_hat.numel():  # globals only: the encoder had no need of a prediction
                walk.predict()
            y_hat = walk.y_hat
            if header.detail_layers < self.tokenizer.config.layers:
                walk.refine(2 * header.detail_layers)
                # refined anew at every call, from the estimate that the last layer left
                y_hat, walk.y_hat = walk.y_hat, y_hat
            rgb = self._synthesise(y_hat, header.quality, header.detail_layers)
        return np.ascontiguousarray(crop(rgb, header.height, header.width))

    def decompress(
        self, data: bytes, layers: int | None = None, *, allow_partial: bool = False
    ) -> Image.Image:
        """Decompress the bytes of a `.sbt` file; see `decode` for arguments and errors."""
        return Image.fromarray(self.decode(data, layers, allow_partial=allow_partial).rgb)

    def decode(
        self, data: bytes, layers: int | None = None, *, allow_partial: bool = False
    ) -> Decoded:
        """Decode a `.sbt` file, and say how much of it was used.

        Args:
            data: the file. Cut after a whole layer, it decodes to the best image it still holds.
            layers: use at most this many detail layers.
            allow_partial: if the file is cut or damaged inside a detail layer, decode the layers
                before it instead of refusing.

        Raises:
            InvalidFileError: the file is damaged or cut.
            ModelMismatchError: it was made with another model.
        """
        container = unpack(data, allow_partial=allow_partial)
        header = container.header
        if header.model != self.release.number:
            other = load_release(header.model, self.release.folder)
            return Codec(other, self.device, bf16=self.bf16).decode(
                data, layers, allow_partial=allow_partial
            )
        if header.detail_layers > self.tokenizer.config.layers:
            raise InvalidFileError(
                f"the file declares {header.detail_layers} detail layers, model {header.model} "
                f"makes at most {self.tokenizer.config.layers}; the header is damaged"
            )
        present = len(container.layers) - 1
        wanted = present if layers is None else min(layers, present)
        used, damaged = 0, False
        with self._inference():
            walk = Walk(self.release, header, self.device, bf16=self.bf16)
            base = LayerDecoder(self.release.tables, container.layers[0].coded)
            walk.globals(lambda frequencies, _at, _dim: base.levels(frequencies))
            _compare(walk.check_globals(), container.layers[0].check, "base layer")
            walk.predict()
            for group in range(wanted):
                stored = container.layers[group + 1]
                before = walk.y_hat
                layer = LayerDecoder(self.release.tables, stored.coded)
                try:
                    walk.details(group, lambda i, _r, layer=layer: layer.details(i), None)
                    _compare(walk.check_details(group), stored.check, f"detail layer {group + 1}")
                except InvalidFileError:
                    if not allow_partial:
                        raise
                    walk.y_hat, damaged = before, True
                    break
                used += 1
            if used < self.tokenizer.config.layers:
                walk.refine(2 * used)
            rgb = crop(
                self._synthesise(walk.y_hat, header.quality, used), header.height, header.width
            )
        notice = None
        short = damaged or container.cut_inside or not container.complete
        if short and (layers is None or used < layers):
            notice = (
                f"{'damaged' if damaged else 'cut'} after detail layer {used} of "
                f"{header.detail_layers}; the rest is predicted"
            )
        return Decoded(np.ascontiguousarray(rgb), used, header.detail_layers, notice)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """No gradients, and full float32 products: the integers need all their bits."""
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
                yield
        finally:
            torch.set_float32_matmul_precision(precision)

    def _analyse(self, padded: RGB) -> Tensor:
        """Pixels uint8 [16H, 16W, 3] to local tokens float32 [1, C, H, W], in strips of rows."""
        parts = []
        for s in strips(padded.shape[0] // CELL, STRIP_CELLS, HALO_CELLS):
            rows = padded[s.halo_start * CELL : s.halo_stop * CELL]
            x = torch.tensor(rows).to(self.device).permute(2, 0, 1)[None]  # channels_last
            with floats(self.device, bf16=self.bf16):
                y = self.tokenizer.local_encoder(x.float() / 255)
            parts.append(y[:, :, s.inside].float())
        return torch.cat(parts, 2).contiguous(memory_format=torch.channels_last)

    def _synthesise(self, y_hat: Tensor, quality: int, layers: int) -> RGB:
        """Local tokens float32 [1, C, H, W] to pixels uint8 [16H, 16W, 3], in strips of rows."""
        hats = self.release.anchor_weights(quality)[None].to(self.device)
        arrived = torch.tensor([layers], device=self.device)
        parts = []
        for s in strips(y_hat.shape[2], STRIP_CELLS, HALO_CELLS):
            with floats(self.device, bf16=self.bf16):
                x_hat = self.tokenizer.decoder(
                    y_hat[:, :, s.halo_start : s.halo_stop], hats, arrived
                )
            inside = x_hat[0, :, s.inside.start * CELL : s.inside.stop * CELL].float()
            pixels = (inside * 255).round_().clamp_(0, 255).to(torch.uint8)
            parts.append(pixels.permute(1, 2, 0).cpu().numpy())
        return np.concatenate(parts)


def _compare(found: int, expected: int, what: str) -> None:
    """Raise if the check of decoded symbols is not what the file says.

    Raises:
        InvalidFileError: they differ.
    """
    if found != expected:
        raise InvalidFileError(
            f"the {what} is damaged or cut: its symbols give check {found:06x}, the file says "
            f"{expected:06x}; get a fresh copy, or decode the layers before it with --allow-partial"
        )


def _checked(image: RGB) -> RGB:
    """The array itself, if it is an image.

    Raises:
        ImageError: it is not uint8 [H, W, 3] with sides of 1 to MAX_SIDE.
    """
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(
            f"the array is {array.dtype} {list(array.shape)}, expected uint8 [height, width, 3]"
        )
    if not all(1 <= side <= MAX_SIDE for side in array.shape[:2]):
        raise ImageError(
            f"the image is {array.shape[1]}x{array.shape[0]} pixels, expected 1 to {MAX_SIDE} "
            "on each side"
        )
    return array
