"""The sizes that images may have, and Pillow held to them while it opens untrusted files."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

# The limits of the format, stated again because rooms do not import each other.
MAX_SIDE = 16383
DEFAULT_MAX_PIXELS = 2**28
MAX_METADATA_BYTES = 2**24 - 1  # a chunk, less its first byte

_pillow_lock = threading.RLock()


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings off standard error; they are global, so threads take turns."""
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def pillow_limit(pixels: int) -> Iterator[None]:
    """Replace Pillow's pixel limit, make it strict, and keep other warnings off standard error.

    The limit is global to Pillow, so threads take turns.
    """
    with quiet_pillow():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
