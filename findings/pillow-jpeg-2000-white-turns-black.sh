#!/bin/sh
# Pillow 13.0.0: colour JPEG 2000 files of 9 to 16 bits a sample, and gray ones of 9, decode with white as
# black, and opaque as transparent, without a warning.
#
# Samples are reduced to 8 bits by adding half a step and shifting, and the sum is not clamped: what would
# round up to 256 becomes 0. Of 10 bits those are the two uppermost values of each channel, so a blown-out
# sky gets black or coloured holes. Gray files of 10 bits and more are not reduced (mode I;16) and are
# right; so is what another decoder, imagecodecs 2026.3.6 on the same OpenJPEG, makes of the same bytes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import io

import imagecodecs
import numpy as np
from PIL import Image


def decoded(value, bits, channels):
    """The first pixel of a flat picture, as Pillow and as imagecodecs decode it."""
    flat = np.full((16, 16, channels) if channels > 1 else (16, 16), value, np.uint16)
    data = imagecodecs.jpeg2k_encode(flat, bitspersample=bits, reversible=True, level=0)
    exact = imagecodecs.jpeg2k_decode(data)[0, 0]
    assert (exact == value).all()
    with Image.open(io.BytesIO(data)) as image:
        return image.mode, np.asarray(image)[0, 0].tolist()


for bits in (9, 10, 12, 14, 16):
    white, step = 2**bits - 1, 2 ** (bits - 8)
    wraps = white + 1 - step // 2  # from here on, rounding gives 256
    assert decoded(white, bits, 3) == ("RGB", [0, 0, 0])
    assert decoded(white, bits, 4) == ("RGBA", [0, 0, 0, 0])
    assert decoded(wraps, bits, 3) == ("RGB", [0, 0, 0])
    assert decoded(wraps - 1, bits, 3) == ("RGB", [255, 255, 255])
    print(f"{bits} bits: RGB {white} decodes as 0, and so does all from {wraps} on")
assert decoded(511, 9, 1) == ("L", 0)
mode, value = decoded(1023, 10, 1)
assert mode == "I;16" and value > 65000
END
