"""Checks over decoded symbols: what each begins with, its bytes, and whether it holds."""

import zlib

from sbtcodec.container import Header, checked_header
from sbtcodec.errors import InvalidFileError
from sbtcodec.models.symbol_model import SymbolModel


def seed_of(header: Header, model: SymbolModel, index: int) -> int:
    """What the checks of a tile begin with: the CRC-32 of header, model and the tile's number."""
    seed = zlib.crc32(checked_header(header) + model.digest)
    return zlib.crc32(index.to_bytes(2, "little"), seed)


def check_bytes(crc: int, size: int) -> bytes:
    """A check as a file has it: the beginning of its four bytes."""
    return crc.to_bytes(4, "little")[:size]


def compare(crc: int, expected: bytes, what: str, advice: str) -> None:
    """Raise if the check of decoded symbols is not what the file says.

    Raises:
        InvalidFileError: they differ.
    """
    found = check_bytes(crc, len(expected))
    if found != expected:
        raise InvalidFileError(
            f"the {what} is damaged or cut: its symbols give check {found.hex()}, the file"
            f" says {expected.hex()}; {advice}"
        )
