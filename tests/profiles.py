"""Small ICC profiles, made on the spot."""

import struct

from PIL import ImageCms


def icc_profile(space, tags):
    """A minimal ICC display profile."""
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        offset = 128 + 4 + 12 * len(tags) + len(body)
        table += name + struct.pack(">II", offset, len(value))
        body += value
    white = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    head = struct.pack(">I4sI4s4s4s", 0, b"lcms", 0x02400000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + white
    head = head.ljust(128, b"\0") + table + body
    return struct.pack(">I", len(head)) + head[4:]


def srgb_with_curve(curve):
    """The primaries of sRGB with another curve for all channels."""
    tags = {b"wtpt": WHITE, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    tags[b"rXYZ"] = xyz(0.43607, 0.22249, 0.01392)
    tags[b"gXYZ"] = xyz(0.38515, 0.71687, 0.09708)
    tags[b"bXYZ"] = xyz(0.14307, 0.06061, 0.71410)
    return icc_profile(b"RGB ", tags)


def xyz(x, y, z):
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * v) for v in (x, y, z)))


LINEAR_CURVE = b"curv" + bytes(4) + struct.pack(">IH", 1, 256)
WHITE = xyz(0.9642, 1, 0.8249)
LINEAR_GRAY = icc_profile(b"GRAY", {b"wtpt": WHITE, b"kTRC": LINEAR_CURVE})
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RED_AND_BLUE_SWAPPED = (
    SRGB.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
)
