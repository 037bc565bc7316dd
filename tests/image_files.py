"""Small image files put together by hand, for what Pillow does not write."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

PIXELS = np.random.default_rng(64).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def saved(image_format, image=None, **options):
    """A file of an image, of PIXELS if none is given."""
    buffer = io.BytesIO()
    (Image.fromarray(PIXELS) if image is None else image).save(buffer, image_format, **options)
    return buffer.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*before, after=(), samples=PIXELS):
    """A PNG file, gray or RGB, 8 bits a sample, with chunks before and after its pixels."""
    height, width = samples.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if samples.ndim == 3 else 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    chunks = [(b"IHDR", head), *before, (b"IDAT", zlib.compress(rows)), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def jpeg(*segments, behind=b"", **options):
    """A JPEG file with segments, pairs of a marker and its data, and bytes behind the picture."""
    data = saved("JPEG", **options)
    more = b"".join(
        bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body for marker, body in segments
    )
    return data[:2] + more + data[2:] + behind


def avif_with_code_points(primaries, transfer):
    data = saved("AVIF")
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def exif(*fields, order=">", thumbnail=None, next_at=None):
    """EXIF data of fields (tag, kind, number of elements, bytes), and a JPEG file as thumbnail."""
    start = 8 + 2 + 12 * len(fields) + 4
    table, tail = struct.pack(order + "H", len(fields)), b""
    for tag, kind, number, data in fields:
        table += struct.pack(order + "HHI", tag, kind, number)
        table += (
            data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(order + "I", start + len(tail))
        )
        tail += data if len(data) > 4 else b""
    following = 0
    if thumbnail is not None:
        following = start + len(tail)
        at = following + 2 + 24 + 4
        tail += struct.pack(order + "H", 2)
        tail += struct.pack(order + "HHII", 0x201, 4, 1, at)
        tail += struct.pack(order + "HHII", 0x202, 4, 1, len(thumbnail))
        tail += bytes(4) + thumbnail
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8)
    return head + table + struct.pack(order + "I", next_at or following) + tail
