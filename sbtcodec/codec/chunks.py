"""What a file holds beside its pixels: the chunks of transparency, colours, EXIF and XMP data.

    kind  data
    ALPH  the alpha channel, a PNG file of mode L or a lossless WebP file, of the picture's size;
          a WebP file has it in its green channel
    CICP  the colour code points: four bytes as in PNG's cICP
    ICCP  the ICC profile
    EXIF  the EXIF data, a TIFF structure without orientation
    XMPP  the XMP packet

The data of the last three is one byte, 0, and the bytes themselves, or 1, and a zlib stream of
them: what is shorter. They are at most 2**24 - 1 bytes. Chunks of other kinds are ignored. A
profile that only says again what the code points say is left out, and made when they are read.
"""

import io
import zlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.container import Chunk
from sbtcodec.errors import ImageError, InvalidFileError
from sbtcodec.grid import Box
from sbtcodec.image import cicp as code_points
from sbtcodec.image.metadata import of_a_part
from sbtcodec.image.opening import open_image, pixel_limit
from sbtcodec.image.picture import EXIF_PREFIX, Picture
from sbtcodec.image.transparency import reduced
from sbtcodec.limits import MAX_CHUNK_BYTES, MAX_METADATA_BYTES

ALPHA = "ALPH"
CICP = "CICP"
# The kinds of metadata, by the fields of a picture.
METADATA = {"icc": "ICCP", "exif": "EXIF", "xmp": "XMPP"}

_STORED, _DEFLATED = 0, 1
# What the alpha channel may be stored as: the start of the file, and the modes it may have.
_ALPHA_FORMATS = {
    "PNG": (b"\x89PNG\r\n\x1a\n", ("L",)),
    "WEBP": (b"RIFF", ("RGB",)),
}


def chunks_of(picture: Picture) -> tuple[Chunk, ...]:
    """Return the chunks that hold what is not pixels of a picture.

    Raises `ImageError` if one is too large for the format: alpha of more than 2**24 bytes
    compressed, or metadata of 2**24 bytes or more, which `load_image` has dropped already.
    """
    chunks = []
    if picture.alpha is not None:
        chunks.append(Chunk(ALPHA, _packed_alpha(picture.alpha)))
    if picture.cicp:
        chunks.append(Chunk(CICP, picture.cicp))
    for field, kind in METADATA.items():
        data: bytes | None = getattr(picture, field)
        if field == "icc" and data and data == _profile_of(picture.cicp, gray=picture.grayscale):
            continue
        if data:
            if field == "exif":
                data = data.removeprefix(EXIF_PREFIX)
            chunks.append(Chunk(kind, _packed(data, kind)))
    return tuple(chunks)


def picture_of(
    rgb: NDArray[np.uint8],
    chunks: Iterable[Chunk],
    *,
    grayscale: bool,
    notices: tuple[str, ...] = (),
    size: tuple[int, int] | None = None,
    crop: Box | None = None,
    scale: int = 1,
) -> Picture:
    """Return the picture of decoded pixels uint8 [H, W, 3] and of chunks; undoes `chunks_of`.

    If `rgb` is a part of the whole picture, `size` is the whole one's (height, width), which its
    alpha channel has, and `crop` is the part in pixels. `scale` is the factor to reduce both by.
    Metadata of a part holds no pictures of the whole, with a notice if it did.

    Raises `InvalidFileError` if a chunk is bad, or there are two of a kind.
    """
    found = _by_kind(chunks)
    whole, alpha = size or rgb.shape[:2], None
    if ALPHA in found:
        alpha = _unpacked_alpha(found[ALPHA], *whole)
        if crop is not None:
            alpha = alpha[crop.rows, crop.columns]
        alpha = np.ascontiguousarray(alpha)
    rgb, alpha = reduced(rgb, alpha, scale)
    metadata: dict[str, Any] = _unpacked_metadata(found, gray=grayscale)
    picture = Picture(rgb=rgb, notices=notices, grayscale=grayscale, alpha=alpha, **metadata)
    if rgb.shape[:2] == whole:
        return picture
    exif, xmp, lost = of_a_part(picture.exif, picture.xmp, (rgb.shape[1], rgb.shape[0]))
    return replace(picture, exif=exif, xmp=xmp, notices=notices + lost)


def metadata_of(chunks: Iterable[Chunk], *, grayscale: bool = False) -> dict[str, bytes]:
    """Return the metadata in chunks, by the fields of `Picture`; it is not decoded any further.

    `grayscale` is that of the picture that they belong to.

    Raises `InvalidFileError` if a chunk of metadata is bad, or there are two of a kind.
    """
    return _unpacked_metadata(_by_kind(chunks), gray=grayscale)


def _by_kind(chunks: Iterable[Chunk]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for chunk in chunks:
        if chunk.kind in found and chunk.kind in (ALPHA, CICP, *METADATA.values()):
            raise InvalidFileError(
                f"the file has two {chunk.kind} chunks, expected one at most; it is damaged"
            )
        found[chunk.kind] = chunk.data
    return found


def _packed(data: bytes, kind: str) -> bytes:
    if len(data) > MAX_METADATA_BYTES:
        raise ImageError(
            f"the {kind} data has {len(data)} bytes, expected at most {MAX_METADATA_BYTES};"
            " leave it out"
        )
    deflated = zlib.compress(data, 9)
    if len(deflated) < len(data):
        return bytes((_DEFLATED,)) + deflated
    return bytes((_STORED,)) + data


def _profile_of(cicp: bytes | None, *, gray: bool) -> bytes | None:
    return code_points.profile_of(cicp, gray=gray) if cicp else None


def _unpacked_metadata(found: dict[str, bytes], *, gray: bool) -> dict[str, bytes]:
    metadata = {
        field: _unpacked(found[kind], kind) for field, kind in METADATA.items() if kind in found
    }
    if CICP in found:
        try:
            metadata["cicp"] = code_points.checked(found[CICP])
        except ValueError as error:
            raise InvalidFileError(f"the {CICP} chunk: {error}; the file is damaged") from error
        if "icc" not in metadata and (icc := _profile_of(found[CICP], gray=gray)):
            metadata["icc"] = icc
    return metadata


def _unpacked(packed: bytes, kind: str) -> bytes:
    if not packed:
        raise InvalidFileError(f"the {kind} chunk is empty; the file is damaged")
    if packed[0] == _STORED:
        return packed[1:]
    if packed[0] != _DEFLATED:
        raise InvalidFileError(
            f"the {kind} chunk starts with {packed[0]}, expected {_STORED} or {_DEFLATED};"
            " a newer sbtcodec may read it, otherwise the file is damaged"
        )
    stream = zlib.decompressobj()
    try:
        # One byte more than is allowed: enough to see a bomb, and no more of it is inflated.
        data = stream.decompress(packed[1:], MAX_CHUNK_BYTES)
    except zlib.error as error:
        raise InvalidFileError(
            f"the {kind} chunk cannot be inflated ({error}); the file is damaged"
        ) from error
    if len(data) > MAX_METADATA_BYTES:
        raise InvalidFileError(
            f"the {kind} chunk inflates to over {MAX_METADATA_BYTES} bytes, expected at most"
            " that; the file was not written by sbtcodec"
        )
    if not stream.eof or stream.unused_data:
        found = "bytes after its end" if stream.eof else "no end"
        raise InvalidFileError(f"the {kind} chunk has {found}; the file is damaged")
    return data


def _packed_alpha(alpha: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(alpha)
    png = _saved(image, "PNG", optimize=True)
    webp = _saved(image, "WEBP", lossless=True, quality=100)  # the quality is the effort
    packed = min(png, webp, key=len)
    if len(packed) > MAX_CHUNK_BYTES:
        raise ImageError(
            f"the alpha channel takes {len(packed)} bytes, expected at most {MAX_CHUNK_BYTES};"
            " cut or flatten the image"
        )
    return packed


def _saved(image: Image.Image, image_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _unpacked_alpha(packed: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Return the alpha channel uint8 [height, width], its size checked before it is decoded."""
    fitting = (name for name, (magic, _) in _ALPHA_FORMATS.items() if packed.startswith(magic))
    name = next(fitting, None)
    if name is None:
        raise InvalidFileError(
            f"the {ALPHA} chunk starts with {packed[:4].hex(' ').upper() or 'nothing'}, expected a"
            " PNG or WebP file; a newer sbtcodec may read it, otherwise the file is damaged"
        )
    try:
        with (
            pixel_limit(height * width),
            open_image(io.BytesIO(packed), (name,)) as image,
        ):
            if image.size != (width, height):
                raise InvalidFileError(
                    f"the {ALPHA} chunk has {image.width} x {image.height} pixels, expected"
                    f" {width} x {height}; the file is damaged"
                )
            if image.mode not in _ALPHA_FORMATS[name][1] or getattr(image, "n_frames", 1) > 1:
                raise InvalidFileError(
                    f"the {ALPHA} chunk has mode {image.mode}, expected one channel and one frame;"
                    " the file is damaged"
                )
            return np.array(image.getchannel("L" if image.mode == "L" else "G"))
    except InvalidFileError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        reason = str(error) or type(error).__name__
        raise InvalidFileError(
            f"the {ALPHA} chunk cannot be decoded ({reason}); the file is damaged"
        ) from error
