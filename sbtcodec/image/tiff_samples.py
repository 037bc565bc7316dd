"""TIFF files whose samples Pillow misreads or does not read, turned into such of 8 bits.

Pillow chooses by a table of layouts. Of those in it, some come out wrong without an error: 12 bits
as if they were 16, 16 bits that are white at 0, or in a plane for each channel. Here the file's own
tags decide. Samples are taken apart with NumPy, and the picture goes on as an 8-bit TIFF file in
memory that has all other tags of the original; decompression is left to Pillow, which is told that
rows are of plain bytes.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.errors import ImageError
from sbtcodec.image.bits import associated_divided, rounded_to_8, unpacked
from sbtcodec.image.opening import check_pixels, open_image, pixel_limit
from sbtcodec.image.raw_photographs import check_no_raw
from sbtcodec.image.tiff import Directory, DirectoryError, read_directory
from sbtcodec.image.tiff_writing import end_of, with_directory

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_FILL_ORDER, _STRIPS, _ORIENTATION, _SAMPLES, _ROWS, _STRIP_BYTES = 266, 273, 274, 277, 278, 279
_PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 284, 317, 322, 323, 324, 325
_INK_SET, _EXTRA, _FORMAT, _SUBSAMPLING, _BLACK_WHITE = 332, 338, 339, 530, 532
# Of the range of samples and of how they are stored, which is other afterwards.
_OF_SAMPLES = (280, 281, 340, 341, _FILL_ORDER, _PREDICTOR, _FORMAT, _EXTRA, 292, 293, 347)

_WHITE_IS_0, _BLACK_IS_0, _RGB, _CMYK, _YCBCR = 0, 1, 2, 5, 6
_COLOURS = {_WHITE_IS_0: 1, _BLACK_IS_0: 1, _RGB: 3, _CMYK: 4}
_UNSPECIFIED, _ASSOCIATED, _UNASSOCIATED = 0, 1, 2
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_SAMPLE_FORMATS = {_SIGNED: "signed", _FLOAT: "floating-point", 4: "undefined"}
_HORIZONTAL = 2
# None, LZW, both kinds of deflate, PackBits, LZMA and Zstandard: of bytes, whatever they mean.
_BYTE_COMPRESSIONS = frozenset({1, 5, 8, 32946, 32773, 34925, 50000})
_MAX_EXTRA = 4

_ADVICE = "export it as 8- or 16-bit TIFF or PNG first"


@dataclass(frozen=True)
class _Layout:
    """What the tags say of the samples: counts and codes as in the file."""

    width: int
    height: int
    bits: int
    photometric: int
    extra: tuple[int, ...]
    planar: bool
    compression: int

    @property
    def colours(self) -> int:
        return _COLOURS[self.photometric]

    @property
    def samples(self) -> int:
        return self.colours + len(self.extra)

    @property
    def alpha(self) -> int:
        """Where the alpha channel is among the samples; 0 if there is none."""
        for index, kind in enumerate(self.extra, self.colours):
            if kind in (_ASSOCIATED, _UNASSOCIATED):
                return index
        return 0


def readable(image: Image.Image, name: str, notices: list[str]) -> Image.Image:
    """Return an opened TIFF image, or one in its place that Pillow reads rightly.

    Of several pages, it is the first that is no preview of another, or the current one if it is not
    the first. What is not kept is added to `notices`.

    Raises `ImageError` for what cannot be read rightly.
    """
    tags = getattr(image, "tag_v2", None)
    file = getattr(image, "fp", None)
    if tags is None or image.format != "TIFF":
        return image
    if not getattr(image, "tile", ()) or file is None:
        _check_loaded(image, name, notices)
        return image
    position = file.tell()
    try:
        directory = read_directory(file, tags._offset)
        name_of_file = name if name != "the image" else str(getattr(image, "filename", "") or name)
        if image.tell() == 0:
            page = check_no_raw(directory, name_of_file, name)
            if page:
                notices[:] = [text for text in notices if not text.startswith("only frame 1 ")]
                notices.append(f"only frame {page + 1} is kept, as those before it are previews")
                image.seek(page)
                directory = read_directory(file, tags._offset)
        content = _converted(directory, name, notices, known=True)
    except DirectoryError as error:
        raise ImageError(f"{name} cannot be decoded ({error}); it is cut or damaged") from error
    finally:
        file.seek(position)
    return image if content is None else open_image(io.BytesIO(content), ("TIFF",))


def converted(data: bytes, name: str, notices: list[str]) -> bytes | None:
    """Return, for a TIFF file that Pillow does not know, one that it does; None for other files.

    Raises `ImageError` with what was found in it, if its samples are not known here either.
    """
    try:
        directory = read_directory(io.BytesIO(data))
    except DirectoryError:
        return None
    try:
        check_no_raw(directory, name, name)
        if directory.big and directory.order == ">":
            raise ImageError(
                f"{name} is a BigTIFF file in big-endian order, expected little-endian order;"
                f" {_ADVICE}"
            )
        content = _converted(directory, name, notices, known=False)
    except DirectoryError as error:
        raise ImageError(f"{name} cannot be decoded ({error}); it is cut or damaged") from error
    if content is None:
        raise _unknown(name, _described(directory))
    return content


def _converted(directory: Directory, name: str, notices: list[str], *, known: bool) -> bytes | None:
    """Return an 8-bit file in place of one that Pillow does not read rightly; None if it does.

    `known` says whether Pillow opens it.
    """
    layout = _layout(directory, name, known=known)
    extra = directory.numbers(_EXTRA)
    if len(extra) > any(kind != _UNSPECIFIED for kind in extra):
        notices.append("extra channels that are not transparency are left out")
    if layout is None:
        return None
    check_pixels((layout.width, layout.height))
    with pixel_limit(2**40):  # of bytes; the pixels are limited already
        samples = _samples(directory, layout)
    if layout.bits > 8:
        notices.append(f"{layout.bits} bits a sample are rounded to 8")
    alpha = layout.alpha
    colours = samples[:, :, : layout.colours]
    if layout.photometric == _WHITE_IS_0:
        colours = (2**layout.bits - 1) - colours
    if alpha and layout.extra[alpha - layout.colours] == _ASSOCIATED:
        colours = associated_divided(colours, samples[:, :, alpha], layout.bits)
    kept = [rounded_to_8(colours, layout.bits)]
    if alpha:
        kept.append(rounded_to_8(samples[:, :, alpha : alpha + 1], layout.bits))
    pixels = np.concatenate(kept, 2)
    channels = pixels.shape[2]
    changes: dict[int, tuple[int, ...] | None] = dict.fromkeys(_OF_SAMPLES)
    changes |= dict.fromkeys((_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES))
    changes |= {
        _BITS: (8,) * channels,
        _COMPRESSION: (1,),
        _PHOTOMETRIC: (layout.photometric or _BLACK_IS_0,),
        _STRIPS: (end_of(directory),),
        _SAMPLES: (channels,),
        _ROWS: (layout.height,),
        _STRIP_BYTES: (pixels.size,),
        _PLANAR: (1,),
    }
    if alpha:
        changes[_EXTRA] = (_UNASSOCIATED,)
    return with_directory(directory, changes, pixels.tobytes())


def _layout(directory: Directory, name: str, *, known: bool) -> _Layout | None:
    """Return the layout of samples; None if Pillow reads it rightly, or says that it does not.

    Raises `ImageError` for what nothing here reads rightly.
    """
    photometric = directory.number(_PHOTOMETRIC)
    compression = directory.number(_COMPRESSION, 1)
    samples = directory.number(_SAMPLES, 1)
    bits = set(directory.numbers(_BITS)[:samples] or (1,))
    formats = set(directory.numbers(_FORMAT)) or {_UNSIGNED}
    extra = directory.numbers(_EXTRA)
    planar = directory.number(_PLANAR, 1) == 2 and samples > 1
    found = _described(directory)
    # as Pillow does: 32-bit integers of one channel are looked at by what they hold
    if formats != {_UNSIGNED} and not (bits == {32} and samples == 1):
        raise _unknown(name, found)
    if photometric == _YCBCR and compression == 1 and samples == 3:
        _check_plain_ycbcr(directory, name, found)
    if photometric == _CMYK and directory.number(_INK_SET, 1) != 1:
        raise _unknown(name, f"{found}, of other inks than CMYK")
    deep = max(bits) > 8 and bits != {32}
    if known and not planar and not deep:
        return None
    if len(bits) > 1 or photometric not in _COLOURS or not 1 <= min(bits) <= 16:
        raise _unknown(name, found)
    if compression not in _BYTE_COMPRESSIONS:
        raise _unknown(name, f"{found} of compression {compression}")
    missing = samples - _COLOURS[photometric] - len(extra)
    if missing == 1 and photometric == _RGB and not extra:  # as Pillow takes it for 8 bits
        extra, missing = (_UNASSOCIATED,), 0
    if missing or len(extra) > _MAX_EXTRA or any(kind not in (0, 1, 2) for kind in extra):
        raise _unknown(name, f"{found} in {samples} channels")
    size = directory.number(_WIDTH), directory.number(_HEIGHT)
    layout = _Layout(*size, min(bits), photometric, extra, planar, compression)
    if photometric == _CMYK and layout.alpha:
        raise _unknown(name, f"{found} with transparency")
    return layout


def _samples(directory: Directory, layout: _Layout) -> NDArray[np.uint16]:
    """Return the samples as stored, uint16 [height, width, samples]."""
    planes = layout.samples if layout.planar else 1
    together = 1 if layout.planar else layout.samples
    tiled = bool(directory.numbers(_TILES))
    offsets = directory.numbers(_TILES if tiled else _STRIPS)
    lengths = directory.numbers(_TILE_BYTES if tiled else _STRIP_BYTES)
    width, height = layout.width, layout.height
    columns, rows = width, min(directory.number(_ROWS, height), height)
    if tiled:
        columns, rows = directory.number(_TILE_WIDTH), directory.number(_TILE_HEIGHT)
    if min(columns, rows) < 1:
        raise DirectoryError("strips or tiles without a size")
    across, down = math.ceil(width / columns), math.ceil(height / rows)
    each = across * down
    if len(offsets) != planes * each or (lengths and len(lengths) != len(offsets)):
        raise DirectoryError(f"{len(offsets)} strips or tiles, expected {planes * each}")
    row_bytes = (columns * together * layout.bits + 7) // 8
    if across * row_bytes * rows * down > 64 * max(width * height * together, 2**20):
        raise DirectoryError("tiles far larger than the image")
    found = []
    for plane in range(planes):
        part = slice(plane * each, (plane + 1) * each)
        changes: dict[int, tuple[int, ...] | None] = dict.fromkeys(directory.entries)
        changes |= {
            _WIDTH: (across * row_bytes,),
            _HEIGHT: (down * rows if tiled else height,),
            _BITS: (8,),
            _COMPRESSION: (layout.compression,),
            _PHOTOMETRIC: (_BLACK_IS_0,),
            _FILL_ORDER: (directory.number(_FILL_ORDER, 1),),
            _SAMPLES: (1,),
        }
        if tiled:
            changes |= {_TILE_WIDTH: (row_bytes,), _TILE_HEIGHT: (rows,), _TILES: offsets[part]}
        else:
            changes |= {_STRIPS: offsets[part], _ROWS: (rows,)}
        if lengths:
            changes[_TILE_BYTES if tiled else _STRIP_BYTES] = lengths[part]
        with open_image(io.BytesIO(with_directory(directory, changes)), ("TIFF",)) as image:
            stored = np.asarray(image).reshape(-1, row_bytes)  # a row of a tile each
        unfolded = unpacked(stored, layout.bits, columns * together, directory.order)
        unfolded = unfolded.reshape(-1, columns, together)
        if directory.number(_PREDICTOR, 1) == _HORIZONTAL:
            unfolded = np.cumsum(unfolded, 1, dtype=np.uint16)
            unfolded &= np.uint16(2**layout.bits - 1)
        found.append(unfolded.reshape(-1, across * columns, together)[:height, :width])
    return np.concatenate(found, 2)


def _check_plain_ycbcr(directory: Directory, name: str, found: str) -> None:
    """Refuse what Pillow would read as if each pixel had its own Cb and Cr, of full range."""
    subsampling = directory.numbers(_SUBSAMPLING) or (2, 2)  # by the standard
    if subsampling != (1, 1):
        raise _unknown(name, f"{found}, uncompressed and subsampled {subsampling}")


def _check_loaded(image: Image.Image, name: str, notices: list[str]) -> None:
    """Refuse an image that Pillow has decoded already, if not rightly; tell what it dropped."""
    tags = getattr(image, "tag_v2", {})

    def numbers(tag: int, default: int) -> tuple[int, ...]:
        found = tags.get(tag, default)
        return found if isinstance(found, tuple) else (found,)

    bits, samples = max(numbers(_BITS, 1)), numbers(_SAMPLES, 1)[0]
    wrong = (
        bits == 12
        or (bits == 16 and numbers(_PHOTOMETRIC, 0)[0] == _WHITE_IS_0)
        or (bits == 16 and numbers(_PLANAR, 1)[0] == 2 and samples > 1)
        or (bits in (8, 16) and numbers(_FORMAT, 1)[0] == _SIGNED)
    )
    if wrong:
        raise ImageError(
            f"{name} is a TIFF image that Pillow has decoded, wrongly for its {bits} bits a sample;"
            " give the image before anything has loaded its pixels"
        )
    if bits == 16 and not image.mode.startswith("I"):
        notices.append("16 bits a sample are rounded to 8")


def _described(directory: Directory) -> str:
    samples = directory.number(_SAMPLES, 1)
    bits = "/".join(map(str, sorted(set(directory.numbers(_BITS)[:samples] or (1,)))))
    kind = directory.number(_FORMAT, _UNSIGNED)
    shown = "" if kind == _UNSIGNED else f"{_SAMPLE_FORMATS.get(kind, 'complex')} samples, "
    return f"{shown}{bits} bits a sample in photometric interpretation" + (
        f" {directory.number(_PHOTOMETRIC)}"
    )


def _unknown(name: str, found: str) -> ImageError:
    return ImageError(
        f"{name} is a TIFF file of {found}, expected unsigned integers of 1 to 16 bits, gray, RGB"
        f" or CMYK; {_ADVICE}"
    )
