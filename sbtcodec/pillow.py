"""`.sbt` files in Pillow: importing this module teaches `Image.open` and `Image.save` the format.

Pillow finds no plugins by itself (it has no entry points for them), so a program has to say
`import sbtcodec.pillow` once, before it opens or saves such a file.

Saving takes the options of `sbtcodec.compress`: `quality`, `effort`, `size`, `target` and others.

Opening reads size, mode, metadata and, in `info`, `quality` (0 to 100) and `layers` (the number of
whole detail layers), all without torch. Pixels are decoded on first use, on `DEVICE` and with
`REALISM`; `info` has the XMP data then that says so.

Errors are those of Pillow's other formats: `UnidentifiedImageError` on opening what has no readable
header, `OSError` on loading what is damaged or cut further on, with the `SbtError` as its cause.
How many pixels a file may declare is Pillow's own matter, as for its other formats: above
`PIL.Image.MAX_IMAGE_PIXELS` opening warns, above twice as many it raises `DecompressionBombError`.
With `PIL.ImageFile.LOAD_TRUNCATED_IMAGES`, a file that was cut inside a detail layer is decoded as
far as it is whole.
"""

from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile

import sbtcodec
from sbtcodec.arguments import shown
from sbtcodec.codec.chunks import ALPHA, metadata_of
from sbtcodec.container import describe, is_sbt, unpack
from sbtcodec.errors import ArgumentError, InvalidFileError, SbtError
from sbtcodec.image.picture import pillow_info

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess

FORMAT = "SBT"

# Where files are decoded: "auto", "cpu" or "cuda"; to be set by whoever wants another.
DEVICE = "auto"

# Share of the vivid look in what is decoded, 0 to 1, to be set by whoever wants it; None to show a
# file as it is meant, faithfully if it does not say.
REALISM: float | None = None

# What `Image.save` passes on to the codec, and what it may replace in an image's `info`.
_CODEC_OPTIONS = (
    "quality",
    "globals_only",
    "effort",
    "size",
    "bpp",
    "target",
    "strip",
    "keep_invisible",
    "look",
    "max_pixels",
    "device",
)
_METADATA = ("icc_profile", "exif", "xmp")


class SbtImageFile(ImageFile.ImageFile):
    """An opened `.sbt` file, decoded by `load`.

    Example:
        >>> import io, sbtcodec.pillow
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("L", (40, 30), 128).save(file, "SBT", quality=30, device="cpu")
        >>> image = Image.open(file)
        >>> image.format, image.mode, image.size, round(image.info["quality"])
        ('SBT', 'L', (40, 30), 30)
        >>> abs(image.getpixel((20, 15)) - 128) < 8
        True
    """

    format = FORMAT
    format_description = "sbtcodec learned image"
    # what `load` decodes; None once it has, also in an image that comes from a pickle or a copy
    _data: bytes | None = None
    # which Pillow leaves out of pickles, and looks for in `verify` and `close`
    fp: IO[bytes] | None = None
    _exclusive_fp = False

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        try:
            found = describe(data)
        except InvalidFileError as error:
            raise SyntaxError(str(error)) from error  # which makes Pillow try other formats
        self._data = data
        self._size = found.width, found.height
        kinds = [kind for kind, _ in found.chunks]
        self._mode = ("L" if found.grayscale else "RGB") + ("A" if ALPHA in kinds else "")
        self.info.update(_info(data))
        self.info["quality"] = found.quality
        self.info["layers"] = sum(layer.complete for layer in found.layers[1:])

    def load(self) -> "PixelAccess | None":
        """Decode the pixels, once.

        Raises `OSError` if the file is cut or damaged, or needs a model that is not installed.
        """
        if self._data is not None:
            try:
                image = sbtcodec.decompress(
                    self._data,
                    allow_partial=ImageFile.LOAD_TRUNCATED_IMAGES,
                    realism=REALISM,
                    max_pixels=self.width * self.height,  # `Image.open` checked Pillow's own limit
                    device=DEVICE,
                )
            except SbtError as error:
                raise OSError(str(error)) from error
            self._data = None
            self.im, self._mode = image.im, image.mode
            if "xmp" in image.info:  # which says more than that of the file, with a look
                self.info["xmp"] = image.info["xmp"]
            self.readonly = 0
            if self.fp and self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()

    def verify(self) -> None:
        """Check that the file is whole, without decoding it; afterwards, it has to be reopened.

        Raises `OSError` if it is cut, or if the damage shows without decoding.
        """
        data, self._data = self._data, None
        super().verify()
        if data is not None:
            try:
                unpack(data, allow_partial=ImageFile.LOAD_TRUNCATED_IMAGES)
            except SbtError as error:
                raise OSError(str(error)) from error

    def close(self) -> None:
        """Give up the file and its pixels; afterwards, loading is a `ValueError`, as in Pillow."""
        self._data = None
        super().close()


def _info(data: bytes) -> dict[str, bytes]:
    """Return the metadata under the names of Pillow's `info`; none if loading will fail for it."""
    try:
        container = unpack(data, allow_partial=True)
        found = metadata_of(container.chunks, grayscale=container.header.grayscale)
    except InvalidFileError:
        return {}
    return pillow_info(**found)


def _save(image: Image.Image, file: IO[bytes], _name: str | bytes) -> None:
    """Write an image, as `Image.save` does with the options of `sbtcodec.compress`.

    The image's `icc_profile`, `exif` and `xmp` are written, unless they are given as arguments,
    None or empty for none.

    Raises `OSError` if the image cannot be compressed, and `ArgumentError`, a `ValueError`, for a
    bad option.
    """
    given: dict[str, Any] = getattr(image, "encoderinfo", {})
    # Pillow limits what is opened; what is in memory is saved, whatever its size.
    options: dict[str, Any] = {"max_pixels": max(1, image.width * image.height)}
    options |= {key: given[key] for key in _CODEC_OPTIONS if key in given}
    metadata = {key: given[key] for key in _METADATA if key in given}
    if metadata:
        image = image.copy()
    for key, value in metadata.items():
        kinds = (bytes, str) if key == "xmp" else (bytes, Image.Exif)
        if value and not isinstance(value, kinds):
            raise ArgumentError(f"{key} is {shown(value)}, expected bytes; pass None for none")
        image.info[key] = value.tobytes() if isinstance(value, Image.Exif) else value
    try:
        file.write(sbtcodec.compress(image, **options))
    except ArgumentError:
        raise
    except SbtError as error:
        raise OSError(str(error)) from error


Image.register_open(FORMAT, SbtImageFile, is_sbt)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".sbt")
Image.register_mime(FORMAT, "image/x-sbt")
