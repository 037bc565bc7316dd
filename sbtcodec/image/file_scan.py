"""What Pillow does not tell of an image file: metadata that it skips, and what is dropped.

The segments, chunks and blocks of a file are walked before Pillow decodes it; whatever in them is
damaged ends the walk, and what was found before it counts.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from PIL import Image, TiffTags

from sbtcodec.image import png
from sbtcodec.image.boxes import boxes_of
from sbtcodec.image.exif import DESCRIPTIVE as EXIF_TAGS
from sbtcodec.image.jpeg import CREDENTIALS, DEPTH, GAIN_MAP, MORE_PICTURES, dropped_of_jpeg
from sbtcodec.limits import MAX_METADATA_BYTES

_MAX_BLOCKS = 2**20
_MAX_NAMED = 8
# PNG chunks that are kept, or say only how the others are stored.
_PNG_KNOWN = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP cICP eXIf acTL fcTL fdAT pHYs"
    b" sBIT hIST sPLT iDOT".split()
)
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# TIFF tags that are kept, or say how pixels are stored and what their colours are.
_TIFF_KNOWN = EXIF_TAGS | {
    *range(254, 269), *range(273, 282), *range(284, 285), *range(288, 294), 297, 301,
    *range(317, 326), *range(328, 330), *range(338, 348), *range(512, 522), *range(529, 533),
    559, 700, 34665, 34675, 34853,
}  # fmt: skip
_TIFF_NOTICES = {
    330: "further pictures in the TIFF file are dropped",
    33723: "IPTC data is dropped",
    34377: "Photoshop data is dropped",
    37724: "Photoshop layers are dropped",
    52545: CREDENTIALS,
}
_WEBP_KNOWN = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF"))


@dataclass
class FileScan:
    """What a walk through a file finds.

    Attributes:
        notices: one sentence for each thing that is not kept.
        info: what Pillow does not tell, under names as in an image's `info`.
    """

    notices: list[str] = field(default_factory=list)
    info: dict[str, bytes] = field(default_factory=dict)


def scan_of(image: Image.Image) -> FileScan:
    """Walk the file of an image that was opened and not decoded yet; its position stays.

    Nothing is found in an image without a file, or of another format than JPEG, PNG, GIF, WebP,
    TIFF, AVIF, HEIF and JPEG XL.
    """
    scan = FileScan()
    if tags := getattr(image, "tag_v2", None):
        scan.notices += _dropped_of_tiff(tags)
    walk = _WALKS.get(image.format or "")
    file = getattr(image, "fp", None)
    if walk is None or file is None:
        return scan
    try:
        position = file.tell()
    except (AttributeError, OSError, ValueError):  # closed, or none that can be walked
        return scan
    try:
        walk(file, scan)
    except (struct.error, IndexError, ValueError, OSError, AttributeError):
        pass  # what is damaged is for the decoder to judge
    finally:
        file.seek(position)
    scan.notices = list(dict.fromkeys(scan.notices))
    return scan


def _walk_jpeg(file: BinaryIO, scan: FileScan) -> None:
    for sentence in dropped_of_jpeg(file):
        scan.notices.append(sentence)


def _walk_mpo(file: BinaryIO, scan: FileScan) -> None:
    _walk_jpeg(file, scan)
    scan.notices = [notice for notice in scan.notices if notice != MORE_PICTURES]  # its frames


def _walk_png(file: BinaryIO, scan: FileScan) -> None:
    texts: list[str] = []
    others: list[str] = []
    offset = 8
    for _ in range(_MAX_BLOCKS):
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            break
        length, kind = struct.unpack(">I4s", head)
        if kind in _PNG_TEXTS:
            key = file.read(min(length, 80)).partition(b"\0")[0]
            if not png.is_kept(key):
                texts.append(key.decode("latin-1"))
        elif kind == b"caBX":
            scan.notices.append(CREDENTIALS)
        elif kind not in _PNG_KNOWN and kind.isalpha():
            others.append(kind.decode("ascii"))
        offset += length + 12
    iptc = [name for name in texts if name.lower().endswith(("type iptc", "type 8bim"))]
    if iptc:
        scan.notices.append("IPTC data is dropped")
    if named := _names([name for name in texts if name not in iptc]):
        scan.notices.append(f"PNG text is dropped: {named}")
    if named := _names(others):
        scan.notices.append(f"PNG chunks are dropped: {named}")


def _names(names: list[str]) -> str:
    """Return names, each once, as far as they are few and printable."""
    each = list(dict.fromkeys("".join(c for c in name if c.isprintable()) for name in names))
    more = f" and {len(each) - _MAX_NAMED} more" if len(each) > _MAX_NAMED else ""
    return ", ".join(each[:_MAX_NAMED]) + more


def _walk_gif(file: BinaryIO, scan: FileScan) -> None:
    file.seek(10)
    flags = file.read(3)[0]
    file.seek(13 + (3 << (flags & 7) + 1 if flags & 128 else 0))
    for _ in range(_MAX_BLOCKS):
        kind = file.read(1)
        if kind == b",":
            flags = file.read(9)[8]
            file.seek(1 + (3 << (flags & 7) + 1 if flags & 128 else 0), 1)
            _blocks(file, keep=False)
        elif kind == b"!":
            label = file.read(1)
            first = file.read(file.read(1)[0])
            if label == b"\xff" and first == b"XMP DataXMP":
                scan.info["xmp"] = _blocks(file, with_sizes=True)[:-257]  # a trailer of its own
            elif label == b"\xff" and first == b"ICCRGBG1012":
                scan.info["icc_profile"] = _blocks(file)
            elif first:
                _blocks(file, keep=False)
            if label == b"\xfe":
                scan.notices.append("the GIF comment is dropped")
            elif label == b"\1":
                scan.notices.append("GIF text is dropped")
        else:
            break


def _blocks(file: BinaryIO, *, keep: bool = True, with_sizes: bool = False) -> bytes:
    """Read blocks up to an empty one, each behind its size; a longer chain is cut at the limit."""
    data = bytearray()
    while size := file.read(1)[0]:
        block = file.read(size)
        if keep and len(data) <= MAX_METADATA_BYTES:
            data += bytes((size,)) * with_sizes + block
    return bytes(data)


def _dropped_of_tiff(tags: Iterable[int]) -> list[str]:
    known, others = [], []
    for tag in sorted(set(tags) - _TIFF_KNOWN):
        if tag in _TIFF_NOTICES:
            known.append(_TIFF_NOTICES[tag])
        else:
            name = TiffTags.lookup(tag).name
            others.append(str(tag) if name == "unknown" else name)
    return known + ([f"TIFF tags are dropped: {_names(others)}"] if others else [])


def _walk_webp(file: BinaryIO, scan: FileScan) -> None:
    offset = 12
    others = []
    for _ in range(_MAX_BLOCKS):
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:
            break
        kind, length = struct.unpack("<4sI", head)
        if kind == b"C2PA":
            scan.notices.append(CREDENTIALS)
        elif kind not in _WEBP_KNOWN and kind != b"XMP ":
            others.append(kind.decode("latin-1"))
        offset += 8 + length + length % 2
    if named := _names(others):
        scan.notices.append(f"WebP chunks are dropped: {named}")


def _walk_boxes(file: BinaryIO, scan: FileScan) -> None:
    boxes = boxes_of(file)
    if boxes.cicp and not boxes.has_profile:
        scan.info["cicp"] = boxes.cicp
    if boxes.xmp:
        scan.info["xmp"] = boxes.xmp
    if {b"brob Exif", b"brob xml "} & boxes.kinds:
        scan.notices.append("packed EXIF or XMP data is dropped")
    if b"tmap" in boxes.items or b"jhgm" in boxes.kinds:
        scan.notices.append(GAIN_MAP)
    if boxes.depth:
        scan.notices.append(DEPTH)
    if boxes.c2pa:
        scan.notices.append(CREDENTIALS)


_WALKS = {
    "JPEG": _walk_jpeg,
    "MPO": _walk_mpo,
    "PNG": _walk_png,
    "GIF": _walk_gif,
    "WEBP": _walk_webp,
    "AVIF": _walk_boxes,
    "HEIF": _walk_boxes,
    "JXL": _walk_boxes,
}
