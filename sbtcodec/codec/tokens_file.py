"""Token files, `.npz` archives of NumPy arrays, read as hostile: sizes first, then pixels' worth.

An archive has three members, `about`, `levels` and `symbols`. What `about` says fixes the shapes of
the others, and with them how many bytes each must have; only so many are inflated. Headers of
arrays are read here: NumPy's reader evaluates them as Python, and objects would be pickles.
"""

import json
import re
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sbtcodec.errors import InvalidFileError
from sbtcodec.grid import LATENTS_PER_TOKEN, tokens_of
from sbtcodec.limits import MAX_DETAIL_LAYERS, MAX_SIDE

FORMAT = 1
MAX_DIMS = 32  # of a global token
MAX_CHANNELS = 512  # of a local token
MAX_ABOUT_BYTES = 2**14  # UTF-32, an array of one text
MAX_HEADER_BYTES = 2**10  # of an array; NumPy's take 128

_MEMBERS = ("about", "levels", "symbols")
_CHUNK_BYTES = 2**16
_MOST_REASON = 120  # characters: zipfile quotes names, which may be long
_MOST_AT_ONCE = 2**17  # by zipfile: a directory, or a comment of 64 KiB and what is around it
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '([^'\\]{1,16})', 'fortran_order': (False|True),"
    rb" 'shape': \(([\d, ]{0,64})\), \} *\n"
)
_ENCRYPTED = 0x41
# Fields of `about`, each with its least and most.
_NUMBERS = {
    "format": (FORMAT, FORMAT),
    "width": (1, MAX_SIDE),
    "height": (1, MAX_SIDE),
    "quality": (0, 255),
    "detail_layers": (0, MAX_DETAIL_LAYERS),
    "model": (1, 255),
}


class _Array(NamedTuple):
    """What the header of an array says, and where its bytes are."""

    file: Any
    dtype: str
    fortran: bool
    shape: tuple[int, ...]
    left: int


def read_tokens(
    path: Path, max_pixels: int
) -> tuple[NDArray[np.uint8], NDArray[np.int16], dict[str, Any]]:
    """Read levels uint8 [h, w, dims], symbols int16 [2h, 2w, channels] and the other fields.

    Raises `InvalidFileError`, whatever the file is.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidFileError(f"{path} is not a regular file, expected a file of tokens")
        with path.open("rb") as file:
            return _read(_Careful(file), max_pixels)
    except FileNotFoundError as error:
        raise InvalidFileError(f"{path} does not exist; check the path") from error
    except InvalidFileError as error:
        raise InvalidFileError(f"{path} does not hold tokens: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged archive makes zipfile raise nearly anything
        reason = " ".join(str(error).split())[:_MOST_REASON] or type(error).__name__
        raise InvalidFileError(
            f"{path} does not hold tokens: {reason}; it is damaged, or of another kind"
        ) from error


class _Careful:
    """A file that is read in pieces: zipfile would read a directory of any size at once."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable, self._file = file.seek, file.tell, file.seekable, file

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(_MOST_AT_ONCE + 1 if size < 0 else min(size, _MOST_AT_ONCE + 1))
        if len(content) > _MOST_AT_ONCE:
            raise InvalidFileError("its directory is far too large; the file is damaged")
        return content


def _read(
    file: _Careful, max_pixels: int
) -> tuple[NDArray[np.uint8], NDArray[np.int16], dict[str, Any]]:
    with zipfile.ZipFile(file) as archive:
        entries = _entries(archive)
        about = _about(archive, entries["about"])
        width, height = about["width"], about["height"]
        if width * height > max_pixels:
            raise InvalidFileError(
                f"the picture has {width} x {height} pixels, expected at most {max_pixels} in all;"
                " raise max_pixels if they are wanted"
            )
        grid = tokens_of(width, height)
        latents = grid.times(LATENTS_PER_TOKEN)
        levels, symbols = (_array(archive, entries[name], name) for name in ("levels", "symbols"))
        # both, before a byte of either is inflated
        _check_shape("levels", levels, "|u1", grid.height, grid.width, MAX_DIMS)
        _check_shape("symbols", symbols, "<i2", latents.height, latents.width, MAX_CHANNELS)
        return _values(levels), _values(symbols), about


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found = archive.infolist()
    expected = sorted(f"{name}.npy" for name in _MEMBERS)
    if sorted(entry.filename for entry in found) != expected:
        raise InvalidFileError(f"found {len(found)} arrays, expected {', '.join(_MEMBERS)}")
    for entry in found:
        if entry.flag_bits & _ENCRYPTED:
            raise InvalidFileError(f"{entry.filename} is encrypted; write it again, without")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidFileError(
                f"{entry.filename} is compressed by method {entry.compress_type}, expected"
                f" {zipfile.ZIP_STORED} or {zipfile.ZIP_DEFLATED}; write it with numpy.savez"
            )
    return {entry.filename.removesuffix(".npy"): entry for entry in found}


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> _Array:
    """Read the header of an array."""
    file = archive.open(entry)
    start = file.read(len(_MAGIC) + 2)
    if start[: len(_MAGIC)] != _MAGIC:
        raise InvalidFileError(f"{name} is no array of NumPy's format 1.0; the file is damaged")
    (length,) = struct.unpack("<H", start[len(_MAGIC) :])
    header = file.read(length) if length <= MAX_HEADER_BYTES else b""
    match = _HEADER.fullmatch(header)
    if match is None:
        raise InvalidFileError(f"{name} has an unreadable header; write it with numpy.savez")
    numbers = match[3].decode().replace(" ", "").removesuffix(",")
    shape = tuple(int(number) for number in numbers.split(",")) if numbers else ()
    left = entry.file_size - len(start) - length
    return _Array(file, match[1].decode(), match[2] == b"True", shape, left)


def _about(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> dict[str, Any]:
    """Read the fields, every one of the right type and in its range."""
    array = _array(archive, entry, "about")
    text_bytes = re.fullmatch(r"<U(\d{1,5})", array.dtype)
    if text_bytes is None or array.shape or array.left != 4 * int(text_bytes[1]):
        raise InvalidFileError(f"about is {array.dtype} {list(array.shape)}, expected one text")
    if array.left > MAX_ABOUT_BYTES:
        raise InvalidFileError(f"about has {array.left} bytes, expected at most {MAX_ABOUT_BYTES}")
    text = _content(array).tobytes().decode("utf-32-le")
    try:
        about = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidFileError(f"about is not the JSON text expected ({error})") from error
    if not isinstance(about, dict) or about.keys() != {*_NUMBERS, "grayscale"}:
        raise InvalidFileError(f"about has other fields than {', '.join(_NUMBERS)}, grayscale")
    for name, (low, high) in _NUMBERS.items():
        value = about[name]
        if type(value) is not int or not low <= value <= high:
            raise InvalidFileError(f"{name} is {str(value)[:40]}, expected {low} to {high}")
    if type(about["grayscale"]) is not bool:
        raise InvalidFileError(
            f"grayscale is {str(about['grayscale'])[:40]}, expected true or false"
        )
    del about["format"]
    return about


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a field stands there twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _check_shape(name: str, array: _Array, dtype: str, rows: int, columns: int, most: int) -> None:
    shape = array.shape
    last = shape[2] if len(shape) == 3 else 0
    if array.dtype != dtype or shape[:2] != (rows, columns) or not 1 <= last <= most:
        raise InvalidFileError(
            f"{name} is {array.dtype} {list(shape)}, expected {np.dtype(dtype)}"
            f" [{rows}, {columns}, 1 to {most}]"
        )
    expected = rows * columns * last * np.dtype(dtype).itemsize
    if array.left != expected:
        raise InvalidFileError(f"{name} has {array.left} bytes, expected {expected}")


def _values(array: _Array) -> NDArray[Any]:
    flat = _content(array).view(array.dtype)
    if array.fortran:
        return np.ascontiguousarray(flat.reshape(array.shape[::-1]).transpose())
    return flat.reshape(array.shape)


def _content(array: _Array) -> NDArray[np.uint8]:
    """Inflate exactly the bytes that an array has; zipfile checks their CRC with the last."""
    content = np.empty(array.left, np.uint8)
    done = 0
    while done < array.left:
        piece = array.file.read(min(_CHUNK_BYTES, array.left - done))
        if not piece:
            raise InvalidFileError(f"an array is cut after {done} bytes, expected {array.left}")
        content[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
    return content
