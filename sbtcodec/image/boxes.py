"""Boxes of ISO base media files (AVIF, HEIF, JPEG XL): colour code points, and items besides.

Letters: an item is a picture or metadata, numbered; the primary one is what is shown.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

_MAX_META_BYTES = 2**24
_MAX_BOXES = 4096
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_DEPTH = (b"urn:mpeg:hevc:2015:auxid:2", b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth")


@dataclass
class Boxes:
    """What boxes say of a file.

    Attributes:
        cicp: the colour code points of the primary item, as of RGB, full range.
        has_profile: whether the primary item has an ICC profile, which comes before `cicp`.
        items: the types of all items.
        depth: whether there is a depth map.
        c2pa: whether there are content credentials.
        xmp: the XMP packet of a JPEG XL file, which has a box of its own.
        kinds: the types of the outermost boxes; of a packed one, of what is inside.
    """

    cicp: bytes | None = None
    has_profile: bool = False
    items: list[bytes] = field(default_factory=list)
    depth: bool = False
    c2pa: bool = False
    xmp: bytes | None = None
    kinds: set[bytes] = field(default_factory=set)


def boxes_of(file: BinaryIO) -> Boxes:
    """Read the boxes of a file, as far as they are whole."""
    found = Boxes()
    offset = 0
    for _ in range(_MAX_BOXES):
        file.seek(offset)
        head = file.read(16)
        if len(head) < 8:
            break
        size, kind = struct.unpack(">I4s", head[:8])
        start = 8
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:])
            start = 16
        if kind == b"meta" and start < size <= _MAX_META_BYTES:
            file.seek(offset + start)
            _read_meta(memoryview(file.read(size - start))[4:], found)
        file.seek(offset + start)
        if kind == b"xml " and start < size <= _MAX_META_BYTES:
            found.xmp = file.read(size - start)
        found.kinds.add(b"brob " + file.read(4) if kind == b"brob" else kind)
        file.seek(offset + start)
        found.c2pa |= kind == b"uuid" and file.read(16) == _C2PA
        found.c2pa |= kind == b"jumb"
        offset += size
        if size < start or offset >= 2**62:  # 0: up to the end; files cannot seek so far
            break
    return found


def _inner(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and content of the boxes in a box."""
    for _ in range(_MAX_BOXES):
        if len(data) < 8:
            return
        size, kind = struct.unpack(">I4s", data[:8])
        if size == 0:
            size = len(data)
        if not 8 <= size <= len(data):
            return
        yield kind, data[8:size]
        data = data[size:]


def _read_meta(meta: memoryview, found: Boxes) -> None:
    children = dict(_inner(meta))
    try:
        primary = _primary(children.get(b"pitm", memoryview(b"")))
        found.items = _item_types(children.get(b"iinf", memoryview(b"")))
        properties = dict(_inner(children.get(b"iprp", memoryview(b""))))
        all_of_them = list(_inner(properties.get(b"ipco", memoryview(b""))))
        used = _properties_of(primary, properties.get(b"ipma", memoryview(b"")))
    except (struct.error, IndexError):
        return
    found.depth = any(
        kind == b"auxC" and bytes(content[4:64]).startswith(_DEPTH) for kind, content in all_of_them
    )
    for index in used:
        if not 0 < index <= len(all_of_them):
            continue
        kind, content = all_of_them[index - 1]
        if kind != b"colr":
            continue
        colours = bytes(content[:4])
        if colours == b"nclx" and len(content) >= 10:
            primaries, transfer = struct.unpack(">HH", content[4:8])
            if max(primaries, transfer) < 256:
                found.cicp = bytes((primaries, transfer, 0, 1))
        elif colours in (b"prof", b"rICC"):
            found.has_profile = True


def _primary(data: memoryview) -> int:
    number: int = struct.unpack(">I" if data[0] else ">H", data[4 : 8 if data[0] else 6])[0]
    return number


def _item_types(data: memoryview) -> list[bytes]:
    if len(data) < 6:
        return []
    entries = _inner(data[8 if data[0] else 6 :])
    types = []
    for kind, content in entries:
        if kind == b"infe" and len(content) >= 12 and content[0] in (2, 3):
            at = 8 if content[0] == 2 else 10
            types.append(bytes(content[at : at + 4]))
    return types


def _properties_of(item: int, data: memoryview) -> list[int]:
    """Return the numbers, from 1, of the properties of an item."""
    version, wide = data[0], data[3] & 1
    (count,) = struct.unpack(">I", data[4:8])
    at = 8
    for _ in range(min(count, _MAX_BOXES)):
        id_bytes = 4 if version else 2
        number = int.from_bytes(data[at : at + id_bytes], "big")
        at += id_bytes
        associations = data[at]
        at += 1
        step = 2 if wide else 1
        if number == item:
            mask = 0x7FFF if wide else 0x7F
            raw = [data[at + step * i : at + step * (i + 1)] for i in range(associations)]
            return [int.from_bytes(value, "big") & mask for value in raw]
        at += step * associations
    return []
