"""The pipeline: pixels to a `.sbt` file and back.

    compress:    x -> y -> z          then the symbols of y, step by step, each under what is known
    decompress:  the same symbols     -> y_hat -> x_hat

The float networks are in `sbtcodec.latents.blocks`, the prediction of y is in `estimate` there;
symbols and their distributions, which encoder and decoder share, in `sbtcodec.latents.symbols`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.arguments import (
    Buffer,
    PathLike,
    content_of,
    flag,
    number,
    path_of,
    shown,
    whole_number,
)
from sbtcodec.codec.chunks import chunks_of, picture_of
from sbtcodec.codec.decoder import decode, gray, whole_picture
from sbtcodec.codec.encoder import Analysis, Coding, encode
from sbtcodec.codec.tokenize import picture_from, tokens_in
from sbtcodec.codec.tokens import Tokens
from sbtcodec.container import check_pixels, code_of, unpack
from sbtcodec.errors import ArgumentError, DeviceError, WeightsError
from sbtcodec.grid import Crop, part_of
from sbtcodec.image.conversion import as_picture
from sbtcodec.image.picture import Picture
from sbtcodec.image.transparency import smoothed
from sbtcodec.latents.blocks import Networks
from sbtcodec.limits import DEFAULT_MAX_PIXELS, MAX_SIDE
from sbtcodec.models.release import Release, kept_release
from sbtcodec.rdo.effort import DEFAULT_EFFORT, search_steps_of

SCALES = (1, 2, 4, 8)

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Decoded:
    """A decoded picture and how much of the file went into it.

    Attributes:
        picture: pixels, transparency and metadata.
        layers: detail layers used.
        declared_layers: detail layers that the whole file has.
        notice: why fewer layers were used than the file declares, if so and if not asked for.
    """

    picture: Picture
    layers: int
    declared_layers: int
    notice: str | None

    @property
    def rgb(self) -> RGB:
        """The pixels alone, uint8 [H, W, 3]."""
        return self.picture.rgb


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
        self.networks = Networks(release, device, bf16=bf16)
        self.tokenizer = self.networks.tokenizer
        # how to load it again, in another process
        self._device: str = device.type
        self._weights: Path | None = release.folder

    @property
    def model_id(self) -> str:
        """Name and digest of the model, as `Release.model_id` gives them."""
        return self.release.model_id

    @classmethod
    def load(
        cls,
        device: str = "auto",
        *,
        bf16: bool = False,
        model: int | None = None,
        weights: PathLike | None = None,
    ) -> Self:
        """Load the shipped weights.

        Args:
            device: "auto" (CUDA if there is one), "cpu" or "cuda".
            bf16: see `__init__`.
            model: number of the model; the newest if not given.
            weights: folder with a manifest, instead of the installed one.

        Raises:
            ArgumentError: the number or the folder is none.
            DeviceError: the device is unknown or not there.
            ModelMismatchError: no model of that number is installed.
            WeightsError: the weights are missing or damaged.
        """
        if not isinstance(device, str) or device not in {"auto", "cpu", "cuda"}:
            raise DeviceError(f"unknown device {shown(device)}; use auto, cpu or cuda")
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError('no CUDA device is available; use device="cpu"')
        if model is not None:
            model = whole_number("model", model, 1, 255)
        folder = None if weights is None else path_of("weights", weights)
        cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        where = torch.device("cuda" if cuda else "cpu")
        codec = cls(kept_release(model, folder, where), where, bf16=bf16)
        codec._device, codec._weights = device, folder
        return codec

    def __copy__(self) -> Self:
        """Another codec with the same networks."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        """Another codec with the same networks: they are never changed, and they are large."""
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        """How it was loaded: whoever reads the pickle loads the model once in its process."""
        loading = {
            "device": self._device,
            "bf16": self.bf16,
            "model": self.release.number,
            "weights": self._weights,
        }
        return _reloaded, (type(self), loading, self.release.sha256)

    def compress(
        self,
        image: RGB | Image.Image | Picture,
        quality: float = 50,
        *,
        globals_only: bool = False,
        effort: int = DEFAULT_EFFORT,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        keep_invisible: bool = False,
    ) -> bytes:
        """Compress an image into the bytes of a `.sbt` file.

        Args:
            image: a PIL image of any mode, a picture, or uint8 [H, W, 3], RGB; [H, W] is gray,
                [H, W, 4] RGB and alpha, [H, W, 2] gray and alpha. Transparency is kept, and of the
                first two metadata are too.
            quality: 0 (smallest) to 100 (best); rounded to 1/255 of the range.
            globals_only: send the global tokens alone, about 0.016 bpp.
            effort: 0 to 9; from 4 on, more time is spent on a smaller and better file.
            max_pixels: refuse larger images; a picture was limited when it was loaded.
            keep_invisible: encode the colours of pixels of alpha 0 as they are; without it, they
                continue those of their neighbourhood.

        Raises:
            ArgumentError: quality, effort or limit is out of range, or the image is something else.
            ImageError: the image has the wrong dtype, shape or size, or its transparency or
                metadata are too large.
        """
        quality = _checked_request(quality, effort)
        flag("globals_only", globals_only)
        analysis = self.analyse(image, max_pixels=max_pixels, keep_invisible=keep_invisible)
        return self.code(analysis, quality, globals_only=globals_only, effort=effort).data

    def analyse(
        self,
        image: RGB | Image.Image | Picture,
        *,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        keep_invisible: bool = False,
    ) -> Analysis:
        """Run the encoder's networks, whose part does not depend on the quality.

        Args:
            image: as for `compress`.
            max_pixels: as for `compress`.
            keep_invisible: as for `compress`.

        Raises:
            ArgumentError: as for `compress`.
            ImageError: as for `compress`.
        """
        most = whole_number("max_pixels", max_pixels, 1)
        if isinstance(image, Picture):  # whose loader had a limit of its own
            most = MAX_SIDE**2
        picture = as_picture(image, max_pixels=most)
        if not flag("keep_invisible", keep_invisible):
            picture = smoothed(picture)
        return Analysis(picture, chunks_of(picture), *self.networks.analyse(picture.rgb))

    def code(
        self,
        analysis: Analysis,
        quality: float = 50,
        *,
        globals_only: bool = False,
        effort: int = DEFAULT_EFFORT,
    ) -> Coding:
        """Code what `analyse` found; arguments and errors as for `compress`."""
        code = code_of(_checked_request(quality, effort))
        work = search_steps_of(effort)
        return encode(self.networks, analysis, code, globals_only=globals_only, work=work)

    def reconstruct(self, coding: Coding) -> RGB:
        """The picture that this codec decodes from `coding.data`, without decoding it.

        Returns:
            uint8 [H, W, 3].
        """
        return whole_picture(
            self.networks, coding.container.header, coding.levels, list(coding.tiles)
        )

    def decompress(
        self,
        data: Buffer,
        layers: int | None = None,
        *,
        allow_partial: bool = False,
        crop: Crop | None = None,
        scale: int = 1,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> Image.Image:
        """Decompress the bytes of a `.sbt` file; see `decode` for arguments and errors.

        Returns an image of mode RGB, L, RGBA or LA, as the picture is, with the metadata in `info`.
        """
        return self.decode(
            data,
            layers,
            allow_partial=allow_partial,
            crop=crop,
            scale=scale,
            max_pixels=max_pixels,
        ).picture.to_image()

    def decode(
        self,
        data: Buffer,
        layers: int | None = None,
        *,
        allow_partial: bool = False,
        crop: Crop | None = None,
        scale: int = 1,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> Decoded:
        """Decode a `.sbt` file, and say how much of it was used.

        Args:
            data: the file: bytes, or anything with the buffer protocol. Cut after a whole layer, it
                decodes to the best image it still holds.
            layers: use at most this many detail layers; 0 is the global tokens alone.
            allow_partial: if the file is cut or damaged inside a detail layer, decode the layers
                before it instead of refusing.
            crop: x, y, width and height of a part, in pixels from the top left; only what it needs
                is decoded. A `Box` is taken too.
            scale: reduce the picture (or crop) by this factor, 1, 2, 4 or 8; colours count by
                their alpha.
            max_pixels: refuse files that declare more pixels, before anything is allocated.

        Raises:
            ArgumentError: the data are no bytes, layers or scale are out of range, or the crop is
                not inside the picture.
            InvalidFileError: the file is damaged or cut, or has too many pixels.
            ModelMismatchError: it was made with another model.
        """
        data = content_of(data)
        if layers is not None:
            layers = whole_number("layers", layers, 0)
        if whole_number("scale", scale, 1) not in SCALES:
            raise ArgumentError(f"scale is {scale}, expected one of {SCALES}")
        container = unpack(data, allow_partial=flag("allow_partial", allow_partial))
        header = container.header
        check_pixels(header, whole_number("max_pixels", max_pixels, 1))
        if header.model != self.release.number:
            return self._of_model(header.model).decode(
                data,
                layers,
                allow_partial=allow_partial,
                crop=crop,
                scale=scale,
                max_pixels=max_pixels,
            )
        crop = part_of(crop, header.width, header.height)
        present = len(container.layers) - 1
        wanted = present if layers is None else min(layers, present)
        rgb, used, damage = decode(self.networks, container, wanted, crop)
        if damage and not allow_partial:
            raise damage
        if header.grayscale:
            rgb = gray(rgb)
        notice = None
        short = damage or container.cut_inside or not container.complete
        if short and (layers is None or used < layers):
            notice = (
                f"{'damaged' if damage else 'cut'} after detail layer {used} of "
                f"{header.detail_layers}; the rest is predicted"
            )
        shown = picture_of(
            np.ascontiguousarray(rgb),
            container.chunks,
            grayscale=header.grayscale,
            size=(header.height, header.width),
            crop=crop,
            scale=scale,
        )
        return Decoded(shown, used, header.detail_layers, notice)

    def tokenize(
        self,
        image: RGB | Image.Image,
        quality: float = 50,
        *,
        globals_only: bool = False,
        max_pixels: int = DEFAULT_MAX_PIXELS,
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
        data = self.compress(image, quality, globals_only=globals_only, max_pixels=max_pixels)
        return self.tokens_of(data, max_pixels=MAX_SIDE**2)

    def tokens_of(self, data: Buffer, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Tokens:
        """The tokens in the bytes of a `.sbt` file, all its detail layers included.

        Raises:
            ArgumentError: the data are no bytes, or `max_pixels` no positive number.
            InvalidFileError: the file is damaged or cut, or declares more than `max_pixels`.
            ModelMismatchError: it was made with another model.
        """
        container = unpack(content_of(data))
        header = container.header
        check_pixels(header, whole_number("max_pixels", max_pixels, 1))
        if header.model != self.release.number:
            return self._of_model(header.model).tokens_of(data, max_pixels=max_pixels)
        return tokens_in(self.networks, container)

    def detokenize(self, tokens: Tokens) -> Image.Image:
        """The picture that tokens stand for, of mode RGB, or L if it is gray.

        Raises:
            ArgumentError: they do not fit the model: other sizes, levels or layers.
            ModelMismatchError: they are of another model, which is not installed.
        """
        if not isinstance(tokens, Tokens):
            raise ArgumentError(
                f"found {shown(tokens)}, expected sbtcodec.Tokens; Codec.tokenize makes them,"
                " Tokens.load reads them"
            )
        if tokens.model != self.release.number:
            return self._of_model(tokens.model).detokenize(tokens)
        rgb = picture_from(self.networks, tokens)
        return Image.fromarray(rgb[:, :, 0] if tokens.grayscale else rgb)

    def _of_model(self, number: int) -> "Codec":
        """The codec of another model, on the same device.

        Raises:
            ModelMismatchError: no model of that number is installed.
        """
        release = kept_release(number, self.release.folder, self.device)
        return Codec(release, self.device, bf16=self.bf16)


def _reloaded(kind: type[Codec], loading: dict[str, Any], sha256: str) -> Codec:
    """The codec that a pickle is of, loaded as it was; its networks are those that are kept.

    Raises:
        DeviceError: this process has not the device.
        ModelMismatchError: it has not the model.
        WeightsError: it has no weights, or others under the number of the model.
    """
    codec = kind.load(**loading)
    if codec.release.sha256 != sha256:
        raise WeightsError(
            f"the codec comes from a process with weights {sha256[:12]} of model"
            f" {loading['model']}, this one has {codec.model_id}; install the same version of"
            " sbtcodec for both"
        )
    return codec


def _checked_request(quality: float, effort: int) -> float:
    """The quality; fails early on values out of range.

    Raises:
        ArgumentError: quality or effort is.
    """
    search_steps_of(effort)
    return number("quality", quality, 0, 100)
