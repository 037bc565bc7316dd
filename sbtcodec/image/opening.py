"""Image files opened with Pillow, under a limit of pixels that belongs to the call.

Pillow's own limit, `Image.MAX_IMAGE_PIXELS`, is one for the whole process, and belongs to the
program around this one: it is neither obeyed nor changed here, and threads need not take turns.
`Image.open` obeys it, so plugins are asked one after the other as it does. Some of them look at it
themselves, for images that are larger than their file declares: the functions in which they do are
taken over, with a check of the limit of the call. So is the reading of text and profiles in PNG
files, which has limits of the process too.
"""

import functools
import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, BinaryIO, TypeAlias

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from sbtcodec.limits import DEFAULT_MAX_PIXELS

# They hold a file of any other format, whose size Pillow learns by opening it under its own limit.
_UNREAD = frozenset({"IPTC"})
_PREFIX_BYTES = 16  # what plugins recognise files by
_BLP_JPEG = 0  # the kind of compression

_Factory: TypeAlias = Callable[[Any, str], ImageFile]

_limit: ContextVar[int] = ContextVar("max_pixels", default=DEFAULT_MAX_PIXELS)


class PixelLimitError(Image.DecompressionBombError):
    """An image has more pixels than the call allows."""


class EmptyFileError(UnidentifiedImageError):
    """There is nothing in the file."""


@contextmanager
def pixel_limit(pixels: int) -> Iterator[None]:
    """Allow so many pixels to what is opened and decoded inside, in this thread alone."""
    token = _limit.set(pixels)
    try:
        yield
    finally:
        _limit.reset(token)


def open_image(source: str | Path | BinaryIO, formats: tuple[str, ...] | None = None) -> ImageFile:
    """Read the header of an image file; some formats, such as ICO, are decoded here already.

    Raises what `Image.open` does, and `PixelLimitError` for images inside of the file.
    """
    named = isinstance(source, (str, Path))
    file: BinaryIO = (
        Path(source).open("rb")  # noqa: SIM115 - images read it later, and close it
        if isinstance(source, (str, Path))
        else source
    )
    own = named
    try:
        try:
            file.seek(0)
        except (AttributeError, io.UnsupportedOperation):  # a pipe, say
            content = file.read()
            if own:
                file.close()
            file, own = io.BytesIO(content), True
        image = _identified(file, str(source) if named else "", formats)
    except BaseException:
        if own:
            file.close()
        raise
    image._exclusive_fp = own
    return image


def _identified(file: BinaryIO, name: str, formats: tuple[str, ...] | None) -> ImageFile:
    prefix, tried = file.read(_PREFIX_BYTES), set(_UNREAD)
    if not prefix:
        raise EmptyFileError
    for import_plugins in (Image.preinit, Image.init):  # the usual ones, then all
        import_plugins()
        for kind in formats or tuple(Image.ID):
            if kind in tried or kind not in Image.OPEN:
                continue
            tried.add(kind)
            factory, accept = Image.OPEN[kind]
            try:
                if accept is not None and accept(prefix) is not True:  # a sentence is a no
                    continue
                file.seek(0)
                return _bounded().get(factory, factory)(file, name)
            except (SyntaxError, IndexError, TypeError, struct.error):  # not of this format
                continue
    raise UnidentifiedImageError("no format fits")


def check_pixels(size: tuple[int, int]) -> None:
    """Raise `PixelLimitError` if an image of this size has more pixels than the call allows."""
    pixels = max(1, size[0]) * max(1, size[1])
    if pixels > _limit.get():
        raise PixelLimitError(f"{pixels} pixels, expected at most {_limit.get()}")


class _Limited(ModuleType):
    """`PIL.Image` for functions that are taken over: its check is that of the call."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of whatever kind it is there
        return getattr(Image, name)

    def _decompression_bomb_check(self, size: tuple[int, int], *, error_only: bool = False) -> None:
        check_pixels(size)


def _limited(function: Any, **names: Any) -> Any:  # noqa: ANN401 - plugins are not typed
    """Return a function of a plugin as it would be if `Image` and `names` were others there."""
    scope = {**function.__globals__, "Image": _Limited("PIL.Image"), **names}
    taken = FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, function.__closure__
    )
    taken.__kwdefaults__ = function.__kwdefaults__
    return taken


@functools.cache
def _bounded() -> dict[object, _Factory]:
    """Return, for plugins that look at Pillow's limit, what to open files with instead.

    In a Pillow whose plugins are built otherwise there is nothing to take over: those few then
    obey the limit of the program around this one.
    """
    try:
        return _taken_over()
    except (ImportError, AttributeError, TypeError):
        return {}


def _taken_over() -> dict[object, _Factory]:
    from PIL.BlpImagePlugin import BlpImageFile
    from PIL.DcxImagePlugin import DcxImageFile
    from PIL.GifImagePlugin import GifImageFile
    from PIL.IcnsImagePlugin import IcnsFile, IcnsImageFile
    from PIL.IcoImagePlugin import IcoFile, IcoImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    from sbtcodec.image.png import MetadataStream

    class Icon(IcoFile):
        frame = _limited(IcoFile.frame)

    class Icons(IcnsFile):
        SIZES = {  # noqa: RUF012 - as in Pillow
            size: [(code, _limited(read)) for code, read in readers]
            for size, readers in IcnsFile.SIZES.items()
        }

    class Blp(BlpImageFile):
        def load(self) -> Any:  # noqa: ANN401 - as in Pillow
            _check_jpeg_inside(self)
            return super().load()

    taken_over: dict[type[ImageFile], dict[str, Any]] = {
        WebPImageFile: {"_open": _limited(WebPImageFile._open)},
        PngImageFile: {"_open": _limited(PngImageFile._open, PngStream=MetadataStream)},
        TiffImageFile: {"load_prepare": _limited(TiffImageFile.load_prepare)},
        GifImageFile: {"_seek": _limited(GifImageFile._seek)},
        DcxImageFile: {"seek": _limited(DcxImageFile.seek)},
        IcoImageFile: {"_open": _limited(IcoImageFile._open, IcoFile=Icon)},
        IcnsImageFile: {"_open": _limited(IcnsImageFile._open, IcnsFile=Icons)},
    }
    made: dict[object, _Factory] = {
        plugin: type(plugin.__name__, (plugin,), functions)
        for plugin, functions in taken_over.items()
    }
    return made | {BlpImageFile: Blp}


def _check_jpeg_inside(image: ImageFile) -> None:
    """Check the size of the JPEG file in a BLP file, which its decoder opens by itself."""
    from PIL.JpegImagePlugin import JpegImageFile

    file = image.fp
    if file is None or not image.tile or image.tile[0].codec_name != "BLP1":
        return
    arguments: Any = image.tile[0].args
    if arguments[0] != _BLP_JPEG:
        return
    file.seek(image.tile[0].offset)
    offsets_and_lengths = struct.unpack("<32I", file.read(128))
    (header_bytes,) = struct.unpack("<I", file.read(4))
    header = file.read(header_bytes)
    file.seek(offsets_and_lengths[0])
    content = file.read(offsets_and_lengths[16])
    check_pixels(JpegImageFile(io.BytesIO(header + content)).size)
