"""The pipeline: pixels to a `.sbt` file and back.

    compress:    x -> y -> z -> levels   and then the symbols of y, each under what is known
    decompress:  the same symbols        -> y_hat -> x_hat

The float networks are in `sbtcodec.latents.blocks`, the prediction of y is in `estimate` there;
symbols and their distributions, which encoder and decoder share, in `sbtcodec.latents.symbols`.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.arguments import Buffer, content_of, number, shown, whole_number
from sbtcodec.codec.compressing import Compressing
from sbtcodec.codec.concealment import Conceal
from sbtcodec.codec.decoder import Decoded, decode_file
from sbtcodec.codec.loading import LoadedCodec
from sbtcodec.codec.meant import realism_meant, with_notice
from sbtcodec.codec.tokenize import file_of, picture_from, tokens_in
from sbtcodec.codec.tokens import Tokens
from sbtcodec.container import check_pixels, unpack
from sbtcodec.errors import ArgumentError
from sbtcodec.grid import Crop
from sbtcodec.image.picture import Picture
from sbtcodec.image.provenance import with_synthesised_detail
from sbtcodec.latents.blocks import Networks
from sbtcodec.limits import DEFAULT_MAX_PIXELS, MAX_SIDE

RGB = NDArray[np.uint8]


class Codec(Compressing, LoadedCodec):
    """Compresses and decompresses images with one released model.

    Example:
        >>> from sbtcodec import Codec
        >>> codec = Codec.load(device="cpu")
        >>> image = np.full((40, 50, 3), 128, np.uint8)
        >>> codec.decompress(codec.compress(image, quality=30)).size
        (50, 40)
    """

    def encoding_engine(self) -> Networks:
        """Its networks."""
        return self.networks

    def decompress(
        self,
        data: Buffer,
        layers: int | None = None,
        *,
        allow_partial: bool = False,
        crop: Crop | None = None,
        scale: int = 1,
        realism: float | None = None,
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
            realism=realism,
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
        realism: float | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        conceal: Conceal | None = None,
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
            realism: share of the vivid look in the pixels: 0 is the faithful picture, 1 one with
                synthesised detail, which its XMP data says. None shows the file as it is meant:
                vividly if it says so and the model has such a look, else faithfully.
            max_pixels: refuse files that declare more pixels, before anything is allocated.
            conceal: decode what is whole of a damaged file of several tiles, with details of the
                others predicted, and their global tokens drawn by this if they are damaged; see
                `sbtcodec.generation.concealment`.

        Raises:
            ArgumentError: the data are no bytes, layers, scale or realism are out of range, or the
                crop is not inside the picture.
            InvalidFileError: the file is damaged or cut, or has too many pixels.
            ModelMismatchError: it was made with another model, or the model has no vivid look.
            WeightsError: the weights of the look are damaged.
        """
        missed = None
        if realism is None:
            partial_too = allow_partial or conceal is not None
            realism, missed = realism_meant(data, self.has_look, allow_partial=partial_too)
        realism = number("realism", realism, 0, 1)
        decoded = decode_file(
            partial(self.engine_of, realism=realism),
            data,
            layers,
            allow_partial=allow_partial,
            crop=crop,
            scale=scale,
            max_pixels=max_pixels,
            conceal=conceal,
        )
        if realism == 0:
            return with_notice(decoded, missed)
        marked = with_synthesised_detail(decoded.picture, realism)
        return replace(decoded, picture=marked, realism=realism)

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
            ((2, 4, 8), (4, 8, 256))
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
        return tokens_in(self.networks_of(header.model), container)

    def detokenize(self, tokens: Tokens, *, realism: float = 0.0) -> Image.Image:
        """The picture that tokens stand for, of mode RGB, or L if it is gray.

        Args:
            tokens: what `tokens_of` gave, or what was sampled.
            realism: as for `decode`.

        Raises:
            ArgumentError: they do not fit the model: other sizes, levels or layers; or the realism
                is out of range.
            ModelMismatchError: they are of another model, which is not installed, or the model has
                no vivid look.
            WeightsError: the weights of the look are damaged.
        """
        _check_kind(tokens)
        realism = number("realism", realism, 0, 1)
        rgb = picture_from(self.engine_of(tokens.model, realism), tokens)
        picture = Picture(rgb, grayscale=bool(tokens.grayscale))
        return (with_synthesised_detail(picture, realism) if realism else picture).to_image()

    def compress_tokens(self, tokens: Tokens) -> bytes:
        """The bytes of a `.sbt` file of tokens: what `tokens_of` gave, or what was sampled.

        Raises:
            ArgumentError: they do not fit the model: other sizes, levels, layers or symbols.
            ModelMismatchError: they are of another model, which is not installed.

        Example:
            >>> from sbtcodec import Codec
            >>> codec = Codec.load(device="cpu")
            >>> data = codec.compress(np.full((64, 100, 3), 128, np.uint8), quality=30)
            >>> codec.compress_tokens(codec.tokens_of(data)) == data
            True
        """
        _check_kind(tokens)
        return file_of(self.networks_of(tokens.model), tokens)


def _check_kind(tokens: object) -> None:
    if not isinstance(tokens, Tokens):
        raise ArgumentError(
            f"found {shown(tokens)}, expected sbtcodec.Tokens; Codec.tokenize makes them,"
            " Tokens.load reads them"
        )
