"""What a JPEG file holds that is not kept, in its segments and behind its picture."""

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

CREDENTIALS = "content credentials (C2PA) are dropped"
GAIN_MAP = "the HDR gain map is dropped"
MORE_PICTURES = "pictures behind the first one in the JPEG file are dropped"
DEPTH = "the depth map is dropped"

_MAX_SEGMENTS = 2**16
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_GAIN_MAP_NAMES = re.compile(rb"hdrgm:Version|urn:iso:std:iso:ts:21496:-1|HDRGainMap")


def dropped_of_jpeg(file: BinaryIO) -> Iterator[str]:
    """Yield a sentence for each thing that is not kept, perhaps twice.

    Raises `struct.error` where the file ends too early.
    """
    file.seek(2)
    for _ in range(_MAX_SEGMENTS):
        marker = file.read(2)
        while marker == b"\xff\xff":
            marker = marker[1:] + file.read(1)
        if len(marker) < 2 or marker[0] != 0xFF or marker[1] in (0xD9, 0xDA):
            break
        (length,) = struct.unpack(">H", file.read(2))
        following = file.tell() + length - 2
        if 0xE0 <= marker[1] <= 0xEF or marker[1] == 0xFE:
            yield from _dropped_of_segment(marker[1], file.read(max(0, length - 2)))
        file.seek(following)
    if marker == b"\xff\xda":
        yield from _dropped_behind(file)


def _dropped_of_segment(marker: int, segment: bytes) -> list[str]:
    if marker == 0xFE:
        return ["the JPEG comment is dropped"]
    if marker == 0xE1:
        if segment.startswith(_EXTENDED_XMP):
            return ["the extended part of the XMP data is dropped"]
        if segment.startswith(b"http://ns.adobe.com/xap/"):
            gain_map = [GAIN_MAP] if _GAIN_MAP_NAMES.search(segment) else []
            return gain_map + ([DEPTH] if b"GDepth:" in segment else [])
        if segment.startswith(b"Exif\0"):
            return []
    if marker == 0xED and segment.startswith(b"Photoshop 3.0\0"):
        iptc = b"8BIM\x04\x04" in segment
        others = re.search(rb"8BIM(?!\x04\x04|\x04\x25|\x03\xed)", segment)  # digest, resolution
        return ["IPTC data is dropped"] * iptc + ["Photoshop data is dropped"] * bool(others)
    if marker == 0xE2:
        if segment.startswith((b"ICC_PROFILE\0", b"MPF\0")):
            return []
        if _GAIN_MAP_NAMES.search(segment[:64]):
            return [GAIN_MAP]
    if marker == 0xEB and segment.startswith(b"JP"):
        return [CREDENTIALS] if b"c2pa" in segment else ["JUMBF data is dropped"]
    if marker in (0xE0, 0xEE) or segment.startswith(b"Ducky"):
        return []  # JFIF, Adobe's and a quality: how the file is stored
    name = segment[:32].partition(b"\0")[0].decode("ascii", "replace")
    name = "".join(character for character in name if character.isalnum() or character in " .:/")
    return [f"application data of JPEG ({name or f'APP{marker - 0xE0}'}) is dropped"]


def _dropped_behind(file: BinaryIO) -> Iterator[str]:
    """Look at what follows the end of the first picture, from its first scan on."""
    rest = file.read()
    end = rest.find(b"\xff\xd9")  # which is in no scan, nor in the tables between scans
    trailer = rest[end + 2 :].strip(b"\0\xff \r\n") if end >= 0 else b""
    if not trailer:
        return
    if b"ftyp" in trailer[:64] or b"MotionPhoto_Data" in trailer:
        yield "the video of a motion photo, behind the picture, is dropped"
    elif trailer.startswith(b"\xd8"):
        yield MORE_PICTURES
    else:
        yield f"{len(trailer)} bytes behind the picture are dropped"
