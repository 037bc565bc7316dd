#!/bin/sh
# Pillow 13.0.0: an opened image that was pickled or deep-copied keeps its plugin's class, and not
# what the plugin needs.
#
# The twin of a `PngImageFile`, `GifImageFile`, `TiffImageFile` or `WebPImageFile` has the right pixels
# and says it is of that class, but the attributes that the class sets when it opens a file are gone:
# `n_frames`, `is_animated` (GIF, PNG, TIFF, WebP), `tell()` (GIF, PNG, TIFF), `text` (PNG), `tag_v2`
# (TIFF) raise AttributeError. Code that asks `getattr(image, "n_frames", 1)` is safe, since the error
# is an AttributeError; code that asks `isinstance(image, PngImageFile)` and reads `image.text`, or that
# calls `tell()` on what a worker process sent, is not. `image.copy()` gives a plain `Image` instead.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0
"$folder/venv/bin/python" - <<'END'
import copy
import io
import pickle

from PIL import Image

ASKED = {
    "PNG": ("n_frames", "is_animated", "tell", "text"),
    "GIF": ("n_frames", "is_animated", "tell"),
    "TIFF": ("n_frames", "is_animated", "tell", "tag_v2"),
    "WEBP": ("n_frames", "is_animated"),
}


def answers(image, name):
    try:
        value = getattr(image, name)
        if callable(value):
            value()
    except AttributeError:
        return False
    return True


for kind, names in ASKED.items():
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "teal").save(file, kind)
    opened = Image.open(io.BytesIO(file.getvalue()))
    assert all(answers(opened, name) for name in names), kind
    for twin in (pickle.loads(pickle.dumps(opened)), copy.deepcopy(opened)):
        assert type(twin) is type(opened)
        assert twin.tobytes() == opened.tobytes()
        lost = [name for name in names if not answers(twin, name)]
        print(f"{type(twin).__name__}: no {', '.join(lost)}")
        assert lost == list(names), "twins have their plugin's state now"
    assert type(opened.copy()) is Image.Image
END
