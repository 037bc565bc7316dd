"""Bytes and integers of a file, read one after the other: never past the end of the data."""

from sbtcodec.container.parts import check_range
from sbtcodec.errors import InvalidFileError

# Integers of one to four bytes, as the format's specification has them: the first byte from which
# on a length is used, and the smallest integer of that length. Every integer has one form.
_FORMS = ((0, 0), (192, 192), (248, 14_528), (252, 276_672))
MAX_INTEGER = 276_672 + 4 * 2**24 - 1


class CutError(InvalidFileError):
    """The data ended inside the field that was being read."""


class Reader:
    """A position in the data that never passes its end."""

    def __init__(self, data: bytes) -> None:
        """Start at the first byte."""
        self._data = data
        self._offset = 0

    @property
    def left(self) -> int:
        """The bytes not yet read."""
        return len(self._data) - self._offset

    def take(self, size: int, what: str) -> bytes:
        """Return the next `size` bytes; `what` names them in the error."""
        if size > self.left:
            raise CutError(
                f"the file is cut inside {what}: found {self.left} bytes, expected {size};"
                " get the whole file"
            )
        self._offset += size
        return self._data[self._offset - size : self._offset]

    def integer(self, what: str) -> int:
        """Return the next integer, 0..MAX_INTEGER; `what` names it in the error."""
        byte = self.take(1, what)[0]
        size = max(n for n, (first, _) in enumerate(_FORMS) if byte >= first)
        first, least = _FORMS[size]
        rest = int.from_bytes(self.take(size, what), "big")
        return least + ((byte - first) << 8 * size) + rest


def integer(value: int) -> bytes:
    """Return 0..MAX_INTEGER as one to four bytes; `ValueError` outside."""
    check_range("a length", value, 0, MAX_INTEGER)
    size = max(n for n, (_, least) in enumerate(_FORMS) if value >= least)
    first, least = _FORMS[size]
    return ((first << 8 * size) + value - least).to_bytes(size + 1, "big")


def zigzag(value: int) -> int:
    """Return an integer as a natural number, small if near to zero."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """Return the integer of a natural number; the inverse of `zigzag`."""
    return value // 2 if value % 2 == 0 else -(value + 1) // 2
