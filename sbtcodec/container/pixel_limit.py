"""Files refused for what they declare, before anything is allocated for it."""

from sbtcodec.container.description import FileInfo
from sbtcodec.container.parts import Header
from sbtcodec.errors import InvalidFileError


def check_pixels(header: Header | FileInfo, max_pixels: int) -> None:
    """Fail if a file declares more pixels than are allowed.

    Raises `InvalidFileError`.
    """
    if header.width * header.height > max_pixels:
        raise InvalidFileError(
            f"the picture has {header.width} x {header.height} pixels, expected at most"
            f" {max_pixels} in all; raise max_pixels if they are wanted"
        )
