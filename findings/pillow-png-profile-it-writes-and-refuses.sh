#!/bin/sh
# Pillow 13.0.0: a PNG with a colour profile above 1 MiB is written without a word, and then the same
# Pillow refuses to open it: ValueError, "Decompressed data too large for PngImagePlugin.MAX_TEXT_CHUNK".
#
# The limit is meant for texts, but profiles are inflated by the same function; profiles with tables of
# colours, of scanners and printers, often have more. JPEG, TIFF and WebP of the same library take the
# same profile both ways. Image.open fails, not load, so the picture cannot be had without its profile
# either, unless the limit is raised first.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0
"$folder/venv/bin/python" - <<'END'
import io

from PIL import Image, ImageCms, PngImagePlugin

# a true sRGB profile, with padding behind its tags that its header counts
small = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def padded(size: int) -> bytes:
    profile = bytearray(small) + bytes(size - len(small))
    profile[:4] = size.to_bytes(4, "big")
    return bytes(profile)


def back(kind: str, size: int) -> int:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 60)).save(file, kind, icc_profile=padded(size))
    file.seek(0)
    with Image.open(file) as image:
        image.load()
        return len(image.info["icc_profile"])


MIB = 2**20
assert back("PNG", MIB) == MIB
for kind in ("JPEG", "TIFF", "WEBP"):
    assert back(kind, MIB + 4) == MIB + 4, kind
try:
    back("PNG", MIB + 4)
except ValueError as error:
    print("refused what it wrote:", error)
    assert "MAX_TEXT_CHUNK" in str(error)
else:
    raise SystemExit("a large profile comes back now")
PngImagePlugin.MAX_TEXT_CHUNK = 4 * MIB
assert back("PNG", MIB + 4) == MIB + 4
END
