"""The pipeline, one page each way: pixels to a `.sbt` file and back.

    compress:    x -> y -> z          then the symbols of y, step by step, each under what is known
    decompress:  the same symbols     -> y_hat -> x_hat

The symbols of a tile and their distributions are in `sbtcodec.symbols`, shared by both directions;
the prediction of y is in `sbtcodec.estimate`.
"""

import zlib
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
    Part,
    header_bytes,
    pack,
    unpack,
)
from sbtcodec.entropy.coder import LayerDecoder, LayerEncoder
from sbtcodec.entropy.detail import MAX_SYMBOL
from sbtcodec.errors import DeviceError, ImageError, InvalidFileError
from sbtcodec.estimate import ATTENTION_HALO, SPREAD_HALO, Estimate, floats
from sbtcodec.grid import CELL, CELLS_PER_TOKEN, Box, blocks, tokens_of
from sbtcodec.image.padding import pixels_in
from sbtcodec.image.pixels import as_rgb
from sbtcodec.release import Release, load_release
from sbtcodec.symbols import TileSymbols
from sbtcodec.tokenizer.layers import WINDOW, channels_last
from sbtcodec.tokens import Tokens

BLOCK = 128  # side, in cells, of what the pixel networks take at once
HALO = 8  # cells that the pixel networks can see beyond a block: their reach is under 8
REFINERS_REACH = 9  # cells that all refiners, one after the other, can see around a cell

SCALES = (1, 2, 4, 8)

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Analysis:
    """What the encoder's networks say of an image; every quality is coded from it.

    Attributes:
        width: of the image, in pixels.
        height: of the image, in pixels.
        y: local tokens float32 [1, local_channels, H, W].
        levels: of the global tokens, int64 [1, dims, h, w].
    """

    width: int
    height: int
    y: Tensor
    levels: Tensor


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
    ) -> bytes:
        """Compress an image into the bytes of a `.sbt` file.

        Args:
            image: uint8 [H, W, 3], or a PIL image, which is converted to RGB.
            quality: 0 (smallest) to 100 (best); rounded to 1/255 of the range.
            globals_only: send the global tokens alone, about 0.016 bpp.

        Raises:
            ImageError: the image has the wrong type or size.
            ValueError: quality is out of range.
        """
        if not 0 <= quality <= 100:
            raise ValueError(f"quality is {quality}, expected 0 to 100")
        rgb = as_rgb(image).rgb if isinstance(image, Image.Image) else image
        return pack(self.code(self.analyse(rgb), round(quality * 2.55), globals_only=globals_only))

    def analyse(self, rgb: RGB) -> Analysis:
        """Run the encoder's networks on uint8 [H, W, 3].

        Raises:
            ImageError: the image has the wrong type or size.
        """
        rgb = _checked(rgb)
        height, width = rgb.shape[:2]
        cells = tokens_of(width, height).times(CELLS_PER_TOKEN)
        encoder = self.tokenizer.global_encoder
        with self._inference():
            y = torch.empty(1, self.tokenizer.config.local_channels, cells.height, cells.width)
            y = y.to(self.device).contiguous(memory_format=torch.channels_last)
            pooled = []
            for block in blocks(cells, BLOCK):
                seen = block.grown(HALO, cells)
                x = torch.tensor(pixels_in(rgb, seen.times(CELL))).to(self.device)
                inside = block.seen_from(seen)
                with floats(self.device, bf16=self.bf16):
                    local = self.tokenizer.local_encoder(x.permute(2, 0, 1)[None].float() / 255)
                y[:, :, block.rows, block.columns] = local[:, :, inside.rows, inside.columns]
            for top in range(0, cells.height, BLOCK):
                band = Box(top, 0, min(top + BLOCK, cells.height), cells.width)
                seen = band.grown(CELLS_PER_TOKEN, cells)
                inside = band.seen_from(seen).over(CELLS_PER_TOKEN)
                with floats(self.device, bf16=self.bf16):
                    pooled.append(encoder.pool(y[:, :, seen.rows])[:, :, inside.rows])
            with floats(self.device, bf16=self.bf16):
                levels = self.tokenizer.fsq(encoder.attend(torch.cat(pooled, 2))).levels.cpu()
        return Analysis(width, height, y, levels)

    def code(self, analysis: Analysis, quality: int, *, globals_only: bool = False) -> Container:
        """The file of an analysed image at a quality code, 0..255."""
        detail_layers = 0 if globals_only else self.tokenizer.config.layers
        size = analysis.width, analysis.height
        header = Header(FORMAT_VERSION, self.release.number, *size, quality, detail_layers)
        tiles = [TileSymbols(self.release, quality, box) for box in header.tiles]
        with self._inference():
            coded = [[_put_levels(tile, self.release, analysis.levels) for tile in tiles]]
            if not globals_only:
                whole = tokens_of(*size)
                area = whole.times(CELLS_PER_TOKEN)
                estimate = self._estimate(quality, analysis.levels, whole, area)
            for group in range(detail_layers):
                encoders = [LayerEncoder(self.release.tables) for _ in tiles]
                for step in (2 * group, 2 * group + 1):
                    estimate.refine(step)
                    for tile, encoder in zip(tiles, encoders, strict=True):
                        r = estimate.residual(analysis.y, tile.cells, step)
                        q = np.rint(np.clip(r, -MAX_SYMBOL, MAX_SYMBOL)).astype(np.int32)
                        q = encoder.details(tile.tables(step), q)
                        tile.put(step, q)
                        estimate.add(tile.cells, step, q)
                coded.append([encoder.finish() for encoder in encoders])
        # trailing layers that say nothing are not declared: at low qualities every byte counts
        while len(coded) > 1 and not any(tile.has_details(len(coded) - 2) for tile in tiles):
            coded.pop()
        header = replace(header, detail_layers=len(coded) - 1)
        layers = []
        for index, parts in enumerate(coded):
            checks = (
                check_of(tile, header, self.release, index, t) for t, tile in enumerate(tiles)
            )
            layers.append(Layer(tuple(map(Part, parts, checks))))
        return Container(header, tuple(layers))

    def decompress(
        self, data: bytes, layers: int | None = None, *, allow_partial: bool = False
    ) -> Image.Image:
        """Decompress the bytes of a `.sbt` file; see `decode` for arguments and errors."""
        return Image.fromarray(self.decode(data, layers, allow_partial=allow_partial).rgb)

    def decode(
        self,
        data: bytes,
        layers: int | None = None,
        *,
        allow_partial: bool = False,
        crop: Box | None = None,
        scale: int = 1,
    ) -> Decoded:
        """Decode a `.sbt` file, and say how much of it was used.

        Args:
            data: the file. Cut after a whole layer, it decodes to the best image it still holds.
            layers: use at most this many detail layers.
            allow_partial: if the file is cut or damaged inside a detail layer, decode the layers
                before it instead of refusing.
            crop: in pixels; only what it needs is decoded.
            scale: reduce the picture (or crop) by this factor, 1, 2, 4 or 8.

        Raises:
            InvalidFileError: the file is damaged or cut.
            ModelMismatchError: it was made with another model.
            ValueError: the crop is not inside the picture, or the scale is another.
        """
        container = unpack(data, allow_partial=allow_partial)
        header = container.header
        if header.model != self.release.number:
            other = load_release(header.model, self.release.folder)
            return Codec(other, self.device, bf16=self.bf16).decode(
                data, layers, allow_partial=allow_partial, crop=crop, scale=scale
            )
        if header.detail_layers > self.tokenizer.config.layers:
            raise InvalidFileError(
                f"the file declares {header.detail_layers} detail layers, model {header.model} "
                f"makes at most {self.tokenizer.config.layers}; the header is damaged"
            )
        picture = Box(0, 0, header.height, header.width)
        crop = picture if crop is None else crop
        if crop.empty or crop.cut(picture) != crop:
            raise ValueError(f"the crop {crop} is empty or not inside the picture {picture}")
        if scale not in SCALES:
            raise ValueError(f"scale is {scale}, expected one of {SCALES}")
        present = len(container.layers) - 1
        wanted = present if layers is None else min(layers, present)
        boxes = dict(enumerate(header.tiles))
        whole = tokens_of(header.width, header.height)
        cells = crop.over(CELL)
        # what was sent this near changes the crop's prediction or its pixels
        near = cells.grown(HALO + REFINERS_REACH, whole.times(CELLS_PER_TOKEN))
        area = near.grown(SPREAD_HALO, whole.times(CELLS_PER_TOKEN)).over(CELLS_PER_TOKEN)
        tokens = area.grown(ATTENTION_HALO, whole).over(WINDOW).times(WINDOW).cut(whole)
        area = area.times(CELLS_PER_TOKEN)
        with self._inference():
            tiles = {
                index: TileSymbols(self.release, header.quality, box)
                for index, box in boxes.items()
                if not box.cut(tokens).empty
            }
            for index, tile in tiles.items():
                self._get_levels(container, index, tile)
            detailed = {i: t for i, t in tiles.items() if not t.cells.cut(near).empty}
            used, damage = self._get_details(container, detailed, wanted)
            if damage and not allow_partial:
                raise damage
            estimate = self._estimate(header.quality, _levels_in(tokens, tiles), tokens, area)
            self._reconstruct(estimate, list(detailed.values()), used)
            shown = cells.seen_from(area)
            rgb = self._synthesise(estimate.y_hat, header.quality, used, shown)
        inside = crop.seen_from(cells.times(CELL))
        rgb = rgb[inside.rows, inside.columns]
        if header.grayscale:
            rgb = _gray(rgb)
        if scale > 1:
            rgb = np.asarray(Image.fromarray(rgb).reduce(scale))
        notice = None
        short = damage or container.cut_inside or not container.complete
        if short and (layers is None or used < layers):
            notice = (
                f"{'damaged' if damage else 'cut'} after detail layer {used} of "
                f"{header.detail_layers}; the rest is predicted"
            )
        return Decoded(np.ascontiguousarray(rgb), used, header.detail_layers, notice)

    def _estimate(self, quality: int, levels: Tensor, tokens: Box, area: Box) -> Estimate:
        return Estimate(self.release, quality, levels, tokens, area, self.device, bf16=self.bf16)

    def _get_levels(self, container: Container, index: int, tile: TileSymbols) -> None:
        """Read the global tokens of a tile."""
        part = container.layers[0].parts[index]
        decoder = LayerDecoder(self.release.tables, part.coded)
        tile.code_levels(lambda frequencies, _chosen: decoder.levels(frequencies))
        found = check_of(tile, container.header, self.release, 0, index)
        _compare(found, part.check, "base layer")

    def _get_details(
        self, container: Container, tiles: dict[int, TileSymbols], wanted: int
    ) -> tuple[int, InvalidFileError | None]:
        """Read detail layers; how many are whole, and why it is not all of the wanted ones."""
        for tile in tiles.values():
            if wanted:
                tile.prepare_details()
        for group in range(wanted):
            for index, tile in tiles.items():
                part = container.layers[group + 1].parts[index]
                decoder = LayerDecoder(self.release.tables, part.coded)
                try:
                    for step in (2 * group, 2 * group + 1):
                        tile.put(step, decoder.details(tile.tables(step)))
                    found = check_of(tile, container.header, self.release, group + 1, index)
                    _compare(found, part.check, f"detail layer {group + 1}")
                except InvalidFileError as error:
                    return group, error
        return wanted, None

    def _reconstruct(self, estimate: Estimate, tiles: list[TileSymbols], layers: int) -> None:
        """Bring an estimate to what the symbols of its tiles say."""
        for step in range(2 * layers):
            estimate.refine(step)
            for tile in tiles:
                estimate.add(tile.cells, step, tile.symbols(step))
        if layers < self.tokenizer.config.layers:
            estimate.refine(2 * layers)

    def tokenize(
        self, image: RGB | Image.Image, quality: float = 50, *, globals_only: bool = False
    ) -> Tokens:
        """The tokens of an image as integer arrays; arguments and errors are those of `compress`.

        Example:
            >>> from sbtcodec import Codec
            >>> codec = Codec.load(device="cpu")
            >>> tokens = codec.tokenize(np.full((64, 100, 3), 128, np.uint8), quality=30)
            >>> tokens.levels.shape, tokens.symbols.shape
            ((2, 4, 8), (4, 8, 160))
            >>> codec.detokenize(tokens).size
            (100, 64)
        """
        return self.tokens_of(self.compress(image, quality, globals_only=globals_only))

    def tokens_of(self, data: bytes) -> Tokens:
        """The tokens in the bytes of a `.sbt` file, all its detail layers included.

        Raises:
            InvalidFileError: the file is damaged or cut.
            ModelMismatchError: it was made with another model.
        """
        container = unpack(data)
        header = container.header
        if header.model != self.release.number:
            other = load_release(header.model, self.release.folder)
            return Codec(other, self.device, bf16=self.bf16).tokens_of(data)
        tiles = {
            index: TileSymbols(self.release, header.quality, box)
            for index, box in enumerate(header.tiles)
        }
        layers = len(container.layers) - 1
        with self._inference():
            for index, tile in tiles.items():
                self._get_levels(container, index, tile)
            _, damage = self._get_details(container, tiles, layers)
        if damage:
            raise damage
        whole = tokens_of(header.width, header.height)
        levels = _levels_in(whole, tiles)[0].permute(1, 2, 0).numpy().astype(np.uint8)
        cells = whole.times(CELLS_PER_TOKEN)
        symbols = np.zeros((cells.height, cells.width, tiles[0].q.shape[2]), dtype=np.int16)
        for tile in tiles.values():
            symbols[tile.cells.rows, tile.cells.columns] = tile.q
        size = header.width, header.height
        return Tokens(
            levels, symbols, *size, header.quality, layers, header.model, header.grayscale
        )

    def detokenize(self, tokens: Tokens) -> Image.Image:
        """The picture that tokens stand for, of mode RGB.

        Raises:
            ModelMismatchError: they are of another model, which is not installed.
            ValueError: they do not fit the model: other sizes, levels or layers.
        """
        if tokens.model != self.release.number:
            other = load_release(tokens.model, self.release.folder)
            return Codec(other, self.device, bf16=self.bf16).detokenize(tokens)
        config = self.tokenizer.config
        sizes = tokens.levels.shape[2], tokens.symbols.shape[2]
        if sizes != (len(config.levels), config.local_channels):
            raise ValueError(
                f"the tokens have {sizes[0]} dimensions and {sizes[1]} channels, expected"
                f" {len(config.levels)} and {config.local_channels}"
            )
        if (tokens.levels >= np.array(config.levels)).any():
            raise ValueError(f"levels reach beyond the {config.levels} of the model")
        if tokens.detail_layers > config.layers:
            raise ValueError(f"the model has {config.layers} detail layers")
        whole = tokens_of(tokens.width, tokens.height)
        tile = TileSymbols(self.release, tokens.quality, whole)
        tile.q = tokens.symbols
        levels = torch.from_numpy(tokens.levels.astype(np.int64)).permute(2, 0, 1)[None]
        with self._inference():
            area = whole.times(CELLS_PER_TOKEN)
            estimate = self._estimate(tokens.quality, levels, whole, area)
            self._reconstruct(estimate, [tile], tokens.detail_layers)
            rgb = self._synthesise(estimate.y_hat, tokens.quality, tokens.detail_layers, area)
        rgb = rgb[: tokens.height, : tokens.width]
        return Image.fromarray(_gray(rgb) if tokens.grayscale else rgb)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """No gradients, and full float32 products: the integers need all their bits."""
        precision = torch.get_float32_matmul_precision()
        if precision != "highest":  # it is global: threads must not restore it under each other
            torch.set_float32_matmul_precision("highest")
        try:
            with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
                yield
        finally:
            if precision != "highest":
                torch.set_float32_matmul_precision(precision)

    def _synthesise(self, y_hat: Tensor, quality: int, layers: int, cells: Box) -> RGB:
        """Some cells of local tokens float32 [1, C, H, W] to pixels uint8 [16 h, 16 w, 3]."""
        hats = self.release.anchor_weights(quality)[None].to(self.device)
        arrived = torch.tensor([layers], device=self.device)
        whole = Box(0, 0, *y_hat.shape[2:])
        rgb = np.empty((cells.height * CELL, cells.width * CELL, 3), dtype=np.uint8)
        for block in blocks(cells, BLOCK):
            seen = block.grown(HALO, whole)
            with floats(self.device, bf16=self.bf16):
                x_hat = self.tokenizer.decoder(y_hat[:, :, seen.rows, seen.columns], hats, arrived)
            inside = block.seen_from(seen).times(CELL)
            x_hat = x_hat[0, :, inside.rows, inside.columns].float()
            pixels = (x_hat * 255).round_().clamp_(0, 255).to(torch.uint8)
            to = block.seen_from(cells).times(CELL)
            rgb[to.rows, to.columns] = pixels.permute(1, 2, 0).cpu().numpy()
        return rgb


def _gray(rgb: RGB) -> RGB:
    """The mean of the channels, in each."""
    gray = np.rint(rgb.mean(2, dtype=np.float32)).astype(np.uint8)
    return np.repeat(gray[:, :, None], 3, 2)


def _put_levels(tile: TileSymbols, release: Release, levels: Tensor) -> bytes:
    """Code the global tokens of a tile, from those of the picture; prepares its details."""
    encoder = LayerEncoder(release.tables)
    tile.levels = levels[:, :, tile.tokens.rows, tile.tokens.columns].clone()
    tile.code_levels(encoder.levels)
    tile.prepare_details()
    return encoder.finish()


def _levels_in(tokens: Box, tiles: dict[int, TileSymbols]) -> Tensor:
    """Levels of the global tokens of an area, int64 [1, dims, h, w], from the tiles over it."""
    dims = next(iter(tiles.values())).levels.shape[1]
    levels = torch.zeros(1, dims, tokens.height, tokens.width, dtype=torch.int64)
    for tile in tiles.values():
        shared = tile.tokens.cut(tokens)
        to, source = shared.seen_from(tokens), shared.seen_from(tile.tokens)
        levels[:, :, to.rows, to.columns] = tile.levels[:, :, source.rows, source.columns]
    return levels


def check_of(tile: TileSymbols, header: Header, release: Release, layer: int, index: int) -> int:
    """The check of a tile's symbols in one layer (0 is the base layer); see the format."""
    seed = zlib.crc32(header_bytes(header) + bytes.fromhex(release.sha256))
    seed = (seed + layer + 8 * index) & 0xFFFFFFFF
    return tile.check_levels(seed) if layer == 0 else tile.check_details(layer - 1, seed)


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
