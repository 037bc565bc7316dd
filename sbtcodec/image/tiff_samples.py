"""TIFF files whose samples Pillow misreads or does not read, turned into such of 8 bits.

Pillow chooses by a table of layouts. Of those in it, some come out wrong without an error: 12 bits
as if they were 16, 16 bits that are white at 0, or in a plane for each channel. Here the file's own
tags decide. Samples are taken apart with NumPy, and the picture goes on as an 8-bit TIFF file in
memory that has all other tags of the original; decompression is left to Pillow, which is told that
rows are of plain bytes.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.errors import ImageError
from sbtcodec.image.bits import associated_divided, rounded_to_8, unpacked
from sbtcodec.image.opening import check_pixels, open_image, pixel_limit
from sbtcodec.image.raw_photographs import check_no_raw
from sbtcodec.image.tiff import Directory, DirectoryError, read_directory
from sbtcodec.image.tiff_layout import (
    ADVICE,
    ASSOCIATED,
    BLACK_IS_0,
    SIGNED,
    UNASSOCIATED,
    UNSPECIFIED,
    WHITE_IS_0,
    Layout,
    Tag,
    described,
    layout_of,
    unknown,
)
from sbtcodec.image.tiff_writing import end_of, with_directory

_HORIZONTAL = 2  # the predictor: differences of neighbours
# Of the range of samples and of how they are stored, which is other afterwards.
_OF_SAMPLES = (
    *(280, 281, 340, 341, 292, 293, 347),
    *(Tag.FILL_ORDER, Tag.PREDICTOR, Tag.FORMAT, Tag.EXTRA),
    *(Tag.TILE_WIDTH, Tag.TILE_HEIGHT, Tag.TILES, Tag.TILE_BYTES),
)


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
                f" {ADVICE}"
            )
        content = _converted(directory, name, notices, known=False)
    except DirectoryError as error:
        raise ImageError(f"{name} cannot be decoded ({error}); it is cut or damaged") from error
    if content is None:
        raise unknown(name, described(directory))
    return content


def _converted(directory: Directory, name: str, notices: list[str], *, known: bool) -> bytes | None:
    """Return an 8-bit file in place of one that Pillow does not read rightly; None if it does.

    `known` says whether Pillow opens it.
    """
    layout = layout_of(directory, name, known=known)
    extra = directory.numbers(Tag.EXTRA)
    if len(extra) > any(kind != UNSPECIFIED for kind in extra):
        notices.append("extra channels that are not transparency are left out")
    if layout is None:
        if not _is_one_plane(directory):
            return None
        return with_directory(directory, {Tag.PLANAR: (1,)})
    check_pixels((layout.width, layout.height))
    with pixel_limit(2**40):  # of bytes; the pixels are limited already
        samples = _samples(directory, layout)
    if layout.bits > 8:
        notices.append(f"{layout.bits} bits a sample are rounded to 8")
    alpha = layout.alpha
    colours = samples[:, :, : layout.colours]
    if layout.photometric == WHITE_IS_0:
        colours = (2**layout.bits - 1) - colours
    if alpha and layout.extra[alpha - layout.colours] == ASSOCIATED:
        colours = associated_divided(colours, samples[:, :, alpha], layout.bits)
    kept = [rounded_to_8(colours, layout.bits)]
    if alpha:
        kept.append(rounded_to_8(samples[:, :, alpha : alpha + 1], layout.bits))
    pixels = np.concatenate(kept, 2)
    channels = pixels.shape[2]
    changes: dict[int, tuple[int, ...] | None] = dict.fromkeys(_OF_SAMPLES)
    changes |= {
        Tag.BITS: (8,) * channels,
        Tag.COMPRESSION: (1,),
        Tag.PHOTOMETRIC: (layout.photometric or BLACK_IS_0,),
        Tag.STRIPS: (end_of(directory),),
        Tag.SAMPLES: (channels,),
        Tag.ROWS: (layout.height,),
        Tag.STRIP_BYTES: (pixels.size,),
        Tag.PLANAR: (1,),
    }
    if alpha:
        changes[Tag.EXTRA] = (UNASSOCIATED,)
    return with_directory(directory, changes, pixels.tobytes())


def _is_one_plane(directory: Directory) -> bool:
    """Whether an uncompressed channel stands in a plane of its own, as the only one.

    That says nothing, but of the kind of samples Pillow then forgets all but the first letter: that
    they are white at 0, packed, or in the other byte order.
    """
    alone = directory.number(Tag.SAMPLES, 1) == 1 and directory.number(Tag.PLANAR, 1) == 2
    return alone and directory.number(Tag.COMPRESSION, 1) == 1


def _samples(directory: Directory, layout: Layout) -> NDArray[np.uint16]:
    """Return the samples as stored, uint16 [height, width, samples]."""
    planes = layout.samples if layout.planar else 1
    together = 1 if layout.planar else layout.samples
    tiled = bool(directory.numbers(Tag.TILES))
    offsets = directory.numbers(Tag.TILES if tiled else Tag.STRIPS)
    lengths = directory.numbers(Tag.TILE_BYTES if tiled else Tag.STRIP_BYTES)
    width, height = layout.width, layout.height
    columns, rows = width, min(directory.number(Tag.ROWS, height), height)
    if tiled:
        columns, rows = directory.number(Tag.TILE_WIDTH), directory.number(Tag.TILE_HEIGHT)
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
            Tag.WIDTH: (across * row_bytes,),
            Tag.HEIGHT: (down * rows if tiled else height,),
            Tag.BITS: (8,),
            Tag.COMPRESSION: (layout.compression,),
            Tag.PHOTOMETRIC: (BLACK_IS_0,),
            Tag.FILL_ORDER: (directory.number(Tag.FILL_ORDER, 1),),
            Tag.SAMPLES: (1,),
        }
        if tiled:
            changes |= {
                Tag.TILE_WIDTH: (row_bytes,),
                Tag.TILE_HEIGHT: (rows,),
                Tag.TILES: offsets[part],
            }
        else:
            changes |= {Tag.STRIPS: offsets[part], Tag.ROWS: (rows,)}
        if lengths:
            changes[Tag.TILE_BYTES if tiled else Tag.STRIP_BYTES] = lengths[part]
        with open_image(io.BytesIO(with_directory(directory, changes)), ("TIFF",)) as image:
            stored = np.asarray(image).reshape(-1, row_bytes)  # a row of a tile each
        unfolded = unpacked(stored, layout.bits, columns * together, directory.order)
        unfolded = unfolded.reshape(-1, columns, together)
        if directory.number(Tag.PREDICTOR, 1) == _HORIZONTAL:
            unfolded = np.cumsum(unfolded, 1, dtype=np.uint16)
            unfolded &= np.uint16(2**layout.bits - 1)
        found.append(unfolded.reshape(-1, across * columns, together)[:height, :width])
    return np.concatenate(found, 2)


def _check_loaded(image: Image.Image, name: str, notices: list[str]) -> None:
    """Refuse an image that Pillow has decoded already, if not rightly; tell what it dropped."""
    tags = getattr(image, "tag_v2", {})

    def numbers(tag: int, default: int) -> tuple[int, ...]:
        found = tags.get(tag, default)
        return found if isinstance(found, tuple) else (found,)

    bits, samples = max(numbers(Tag.BITS, 1)), numbers(Tag.SAMPLES, 1)[0]
    wrong = (
        bits == 12
        or (bits == 16 and numbers(Tag.PHOTOMETRIC, 0)[0] == WHITE_IS_0)
        or (bits == 16 and numbers(Tag.PLANAR, 1)[0] == 2 and samples > 1)
        or (bits in (8, 16) and numbers(Tag.FORMAT, 1)[0] == SIGNED)
    )
    if wrong:
        raise ImageError(
            f"{name} is a TIFF image that Pillow has decoded, wrongly for its {bits} bits a sample;"
            " give the image before anything has loaded its pixels"
        )
    if bits == 16 and not image.mode.startswith("I"):
        notices.append("16 bits a sample are rounded to 8")
