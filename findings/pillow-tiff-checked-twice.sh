#!/bin/sh
# Pillow 13.0.0: a TIFF is checked against `Image.MAX_IMAGE_PIXELS` when it is opened and again when it
# is loaded; PNG, JPEG and BMP are checked once.
#
# So silencing or limiting `Image.open` alone does not do for TIFF: the warning of a large image comes a
# second time from `load()`, outside of a `warnings.catch_warnings` around `open`, and an image that
# opened below the limit raises DecompressionBombError from `load()` if the limit, which is one for the
# whole process, was lowered in between, by another thread say.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0
"$folder/venv/bin/python" - <<'END'
import io
import warnings

from PIL import Image

PIXELS = 100 * 100
refused = {}
for kind in ("PNG", "JPEG", "BMP", "TIFF"):
    file = io.BytesIO()
    Image.new("RGB", (100, 100)).save(file, kind)

    Image.MAX_IMAGE_PIXELS = PIXELS - 1  # between once and twice the limit: a warning
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(file.getvalue()))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        image.load()
    again = [w for w in seen if w.category is Image.DecompressionBombWarning]

    Image.MAX_IMAGE_PIXELS = PIXELS
    image = Image.open(io.BytesIO(file.getvalue()))
    Image.MAX_IMAGE_PIXELS = 10
    try:
        image.load()
        refused[kind] = False
    except Image.DecompressionBombError:
        refused[kind] = True
    assert bool(again) == refused[kind]
print(refused)
assert refused == {"PNG": False, "JPEG": False, "BMP": False, "TIFF": True}
END
