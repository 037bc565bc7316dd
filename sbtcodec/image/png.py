"""PNG chunks besides pixels, read for Pillow's plugin: texts and profiles under limits of ours.

Pillow refuses a file for a text or profile of over a megabyte, by limits of the whole process.
Here what is too long is cut right after the limit, for whoever looks at its length, and a damaged
text or profile is none. Of texts, only those that hold EXIF, XMP or a profile are kept.
"""

import zlib
from typing import BinaryIO

from PIL.PngImagePlugin import PngStream

from sbtcodec.limits import MAX_METADATA_BYTES

XMP_KEY = "XML:com.adobe.xmp"
RAW_PROFILE = "Raw profile type "
# Names that ImageMagick and others give profiles stored as text, and Pillow's for what they hold.
_RAW_PROFILES = {
    "exif": "exif",
    "APP1": "exif",
    "app1": "exif",
    "xmp": "xmp",
    "icc": "icc_profile",
    "icm": "icc_profile",
}
_KEPT = frozenset({XMP_KEY, *(RAW_PROFILE + kind for kind in _RAW_PROFILES)})
_EXIF_START = b"Exif\0\0"
_XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
_MAX_INFLATED = 4 * MAX_METADATA_BYTES  # of all texts and profiles of a file together


def is_kept(key: bytes) -> bool:
    """Whether what a text of this name holds is kept, as EXIF, XMP or a profile."""
    return key.decode("latin-1") in _KEPT


def raw_profile(text: bytes) -> bytes | None:
    """Return what a text holds in hexadecimal digits, behind a name and a length; None if bad."""
    words = text[: 8 * MAX_METADATA_BYTES].split()
    if len(words) < 3 or not words[1].isdigit():
        return None
    try:
        data = bytes.fromhex(b"".join(words[2:]).decode("ascii"))
    except ValueError:
        return None
    return data[: int(words[1][:9])] or None


class MetadataStream(PngStream):
    """The chunks of a PNG file, of which Pillow's plugin takes size, palette and `im_info`."""

    def __init__(self, fp: BinaryIO) -> None:
        """Read chunks from a file."""
        super().__init__(fp)
        self._inflated = 0

    def chunk_iCCP(self, pos: int, length: int) -> bytes:  # noqa: N802 - Pillow's names
        """Take the profile; None stands for a damaged one."""
        chunk = self._chunk(length)
        _, _, packed = chunk.partition(b"\0")
        self.im_info["icc_profile"] = self._inflate(packed[1:]) if packed[:1] == b"\0" else None
        return chunk

    def chunk_cICP(self, pos: int, length: int) -> bytes:  # noqa: N802 - see above
        """Take the colour code points, which Pillow has no name for."""
        chunk = self._chunk(length)
        self.im_info["cicp"] = chunk[:16]
        return chunk

    def chunk_tEXt(self, pos: int, length: int) -> bytes:  # noqa: N802 - see above
        """Take a text."""
        chunk = self._chunk(length)
        key, _, text = chunk.partition(b"\0")
        self._take(key, text)
        return chunk

    def chunk_zTXt(self, pos: int, length: int) -> bytes:  # noqa: N802 - see above
        """Take a deflated text."""
        chunk = self._chunk(length)
        key, _, packed = chunk.partition(b"\0")
        if is_kept(key) and packed[:1] == b"\0":
            self._take(key, self._inflate(packed[1:]))
        return chunk

    def chunk_iTXt(self, pos: int, length: int) -> bytes:  # noqa: N802 - see above
        """Take a text in UTF-8, which may be deflated."""
        chunk = self._chunk(length)
        key, _, rest = chunk.partition(b"\0")
        parts = rest[2:].split(b"\0", 2)
        if is_kept(key) and len(parts) == 3:
            deflated = rest[:1] == b"\1"
            self._take(key, self._inflate(parts[2]) if deflated else parts[2])
        return chunk

    def _chunk(self, length: int) -> bytes:
        chunk = self.fp.read(length) if self.fp is not None else b""
        if len(chunk) < length:
            raise OSError("Truncated File Read")  # as Pillow says
        return chunk

    def _inflate(self, packed: bytes) -> bytes | None:
        most = min(MAX_METADATA_BYTES + 1, _MAX_INFLATED - self._inflated)
        if most <= 0:
            return None
        try:
            data = zlib.decompressobj().decompress(packed, most)
        except zlib.error:
            return None
        self._inflated += len(data)
        return data

    def _take(self, key: bytes, text: bytes | None) -> None:
        if not text or not is_kept(key):
            return
        name = key.decode("latin-1")
        if name == XMP_KEY:
            self.im_info["xmp"] = text
            return
        data = raw_profile(text)
        if data is None:
            return
        data = data.removeprefix(_XMP_START)
        kind = _RAW_PROFILES[name.removeprefix(RAW_PROFILE)]
        if kind == "exif" and not data.startswith(_EXIF_START):
            kind = "xmp" if data.startswith(b"<") else "exif"
        # chunks of their own are newer than texts
        self.im_info.setdefault(kind, data)
