#!/bin/sh
# Pillow 13.0.0: a TIFF file with 16 bits a sample whose planes are stored one after another, without
# compression, opens without a word and shows another picture; the same planes, compressed, show the
# right one.
#
# Colour images of 16 bits become RGB of 8 bits, by the high byte of each sample. Uncompressed planes are
# read as if their samples had 8 bits: low and high bytes of the first half of the plane become pixels in
# turns, two rows for each row of the plane (the low bytes are noise). So a flat plane of 0x7fff shows stripes of 255 and 127, and a
# picture of two ramps is wrong by 70 of 255 on average. Chunky 16-bit files, 8-bit planes and zlib planes,
# which libtiff decodes, are right. Converters that ask only whether the file opened keep the wrong one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$folder/venv/bin/python" - <<'END_OF_PYTHON'
import io

import numpy as np
import tifffile
from PIL import Image

ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
planes = np.stack([ramp, ramp.T, np.full_like(ramp, 0x7FFF)])
wanted = (planes >> 8).transpose(1, 2, 0).astype(int)


def shown(samples, **options):
    stored = io.BytesIO()
    tifffile.imwrite(stored, samples, photometric="rgb", **options)
    assert np.array_equal(tifffile.imread(io.BytesIO(stored.getvalue())), samples)
    image = Image.open(io.BytesIO(stored.getvalue()))
    image.load()
    assert image.mode == "RGB"
    assert image.size == (64, 64)
    return np.asarray(image).astype(int)


chunky = np.ascontiguousarray(planes.transpose(1, 2, 0))
assert np.array_equal(shown(chunky, planarconfig="contig"), wanted)
assert np.array_equal(shown((planes >> 8).astype(np.uint8), planarconfig="separate"), wanted)
assert np.array_equal(shown(planes, planarconfig="separate", compression="zlib"), wanted)

for order, flat in (("<", (255, 127)), (">", (127, 255))):
    wrong = shown(planes, planarconfig="separate", byteorder=order)
    print(f"{order} off by {np.abs(wrong - wanted).mean():.1f} of 255; flat plane: {wrong[0, :4, 2]}")
    assert np.abs(wrong - wanted).mean() > 70
    assert set(zip(wrong[:, ::2, 2].ravel(), wrong[:, 1::2, 2].ravel())) == {flat}
    half = planes.astype(f"{order}u2").view(np.uint8).reshape(3, -1)[:, : 64 * 64]
    assert np.array_equal(wrong.transpose(2, 0, 1), half.reshape(3, 64, 64))
END_OF_PYTHON
