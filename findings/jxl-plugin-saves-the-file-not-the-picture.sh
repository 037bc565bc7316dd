#!/bin/sh
# pillow-jxl-plugin 1.3.8 with Pillow 13.0.0: a picture that was opened from a JPEG file and then changed in
# place is saved as it was before: what was drawn on it, or blacked out, is not in the JXL file.
#
# `save` looks at `im.format` and `im.filename`, which Pillow keeps through whatever changes a picture in
# place (ImageDraw, paste, putpixel, thumbnail), and transcodes that file from the disk instead of the pixels
# it was given. A warning says "Using JPEG reconstruction to create lossless JXL image from JPEG"; `quality`
# is not looked at either. A thumbnail comes out at full size. `lossless_jpeg=False` saves the pixels, as do
# copies (`im.copy()`, `im.resize`), which have no file name.
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
from PIL import Image, ImageDraw

rng = np.random.default_rng(0)
colours = np.kron(rng.integers(60, 200, (8, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
Image.fromarray(colours).save("photo.jpg", quality=95)
before = np.asarray(Image.open("photo.jpg")).astype(int)


def shown(**options):
    image.save("photo.jxl", **options)
    return np.asarray(Image.open("photo.jxl").convert("RGB")).astype(int)


image = Image.open("photo.jpg")
ImageDraw.Draw(image).rectangle((0, 0, 127, 63), fill=(0, 0, 0))
assert np.asarray(image)[:64].max() == 0
found = shown(quality=30)
print(f"upper half after blacking it out: mean {np.asarray(image)[:64].mean():.0f} in memory,"
      f" {found[:64].mean():.0f} in the file")
assert np.abs(found - before).mean() < 1
size = os.path.getsize("photo.jxl")
assert np.abs(shown(quality=90) - before).mean() < 1
assert os.path.getsize("photo.jxl") == size
assert shown(lossless_jpeg=False)[:56].mean() < 5

image = Image.open("photo.jpg")
image.thumbnail((32, 32))
assert image.size == (32, 32)
assert shown().shape == (128, 128, 3)

image = Image.open("photo.jpg").copy()
ImageDraw.Draw(image).rectangle((0, 0, 127, 63), fill=(0, 0, 0))
assert shown()[:56].mean() < 5
END_OF_PYTHON
