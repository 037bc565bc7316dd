#!/bin/sh
# pillow-jxl-plugin 1.3.8: a picture opened from a JPEG file and saved with a quality of 18 or below becomes
# a JXL file of its upper left quarter.
#
# The plugin transcodes the JPEG file without loss whatever quality is asked for, and so it does from 19 on,
# with the same bytes at every quality. But below that libjxl also sets its resampling by two (for large
# distances), which is for pixels: the transcoded picture has half the width and half the height, and shows
# not all of it made smaller but its upper left corner, at full size. Nothing is raised, and the warning
# ("Using JPEG reconstruction ...") is the same as of the qualities that work. The same picture without its
# file (a copy, an array) is saved whole at quality 10.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow-jxl-plugin==1.3.8 pillow==13.0.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'END_OF_PYTHON'
import os

import numpy as np
import pillow_jxl  # noqa: F401
from PIL import Image

rng = np.random.default_rng(0)
colours = np.kron(rng.integers(60, 200, (9, 12, 3)), np.ones((16, 16, 1))).astype(np.uint8)
Image.fromarray(colours).save("photo.jpg", quality=95)
opened = Image.open("photo.jpg")
opened.load()
pixels = np.asarray(opened).astype(int)


def saved(image, quality):
    image.save("photo.jxl", quality=quality)
    shown = np.asarray(Image.open("photo.jxl").convert("RGB")).astype(int)
    return shown, os.path.getsize("photo.jxl")


(high, size), (also, same) = saved(opened, 90), saved(opened, 19)
assert size == same and np.array_equal(high, also)
assert high.shape == (144, 192, 3) and np.abs(high - pixels).mean() < 1

for quality in (18, 10, 0):
    low, less = saved(opened, quality)
    print(f"quality {quality}: {low.shape[1]}x{low.shape[0]} of 192x144")
    assert low.shape == (72, 96, 3) and less < size
    assert np.abs(low - pixels[:72, :96]).mean() < 1

assert saved(opened.copy(), 10)[0].shape == (144, 192, 3)
END_OF_PYTHON
