"""Pictures as `data:` URIs, so that a page of one file holds them."""

import base64
import io

import numpy as np
from PIL import Image

from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.image.file_scan import scan_of
from sbtcodec.image.opening import open_image

WEBP_MAX_SIDE = 16383

_BROWSER_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
# What Pillow may say of a file that shows the same in a browser, and tells nothing of its maker.
_HARMLESS = {"adobe", "adobe_transform", "background", "dpi", "interlace", "jfif", "jfif_density"}
_HARMLESS |= {"jfif_unit", "jfif_version", "loop", "progression", "progressive", "timestamp"}
_HARMLESS_SEGMENTS = {"APP0", "APP14"}


def data_uri(kind: str, data: bytes) -> str:
    """The bytes of a file of a MIME type such as `image/png` as a `data:` URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def png_uri(rgb: Rgb) -> str:
    """An image, uint8 `[H, W, 3]`, as a `data:` URI of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", optimize=True)
    return data_uri("image/png", buffer.getvalue())


def lossless_uri(rgb: Rgb) -> str:
    """An image, uint8 `[H, W, 3]`, as a `data:` URI of a lossless WebP file, or PNG if too long."""
    if max(rgb.shape[:2]) > WEBP_MAX_SIDE:
        return png_uri(rgb)
    buffer = io.BytesIO()
    # Method 2 takes half the time of the default, for files a few per cent larger.
    Image.fromarray(rgb).save(buffer, "WEBP", lossless=True, quality=50, method=2)
    return data_uri("image/webp", buffer.getvalue())


def original_uri(file: bytes, rgb: Rgb) -> str:
    """An original, uint8 `[H, W, 3]`, as a `data:` URI: of its own file if possible, else lossless.

    Its own file is taken if browsers show exactly these pixels: a PNG, JPEG or WebP of 8-bit RGB
    without profile, gamma, orientation or transparency. Nor may it have other metadata: pages are
    passed on, and should not tell where a photograph was taken.

    Args:
        file: the image file, or anything else that the picture was read from.
        rgb: the pixels to show, of the whole picture or of a part.
    """
    kind = _kind_as_given(file, rgb)
    return lossless_uri(rgb) if kind is None else data_uri(kind, file)


def _kind_as_given(file: bytes, rgb: Rgb) -> str | None:
    """The MIME type of a file that may stand in a page as it is, see `original_uri`, or None."""
    try:
        with open_image(io.BytesIO(file), tuple(_BROWSER_FORMATS)) as image:
            kind = _BROWSER_FORMATS[image.format or ""]
            more = scan_of(image).notices  # texts and the like, which `info` does not have
            same = image.mode == "RGB" and np.array_equal(np.asarray(image), rgb)
            segments = {str(name) for name, _ in getattr(image, "applist", ())}
            plain = not more and image.info.keys() <= _HARMLESS and segments <= _HARMLESS_SEGMENTS
            one = getattr(image, "n_frames", 1) == 1 and not image.getexif()
            return kind if same and plain and one else None
    except Exception:  # noqa: BLE001 - whatever kept it from being read, the pixels are there
        return None
