"""Bytes and integers of a file, read one after the other: never past the end of the data."""

from sbtcodec.container.parts import MAX_VARINT, check_range
from sbtcodec.errors import InvalidFileError

_VARINT_BYTES = 4


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

    def varint(self, what: str) -> int:
        """Return the next varint, 0..MAX_VARINT; `what` names it in the error."""
        value = 0
        for index in range(_VARINT_BYTES):
            byte = self.take(1, what)[0]
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if byte == 0 and index > 0:
                    raise InvalidFileError(
                        f"{what} is stored in {index + 1} bytes, expected the shortest form;"
                        " the file is damaged"
                    )
                return value
        raise InvalidFileError(
            f"{what} runs over {_VARINT_BYTES} bytes, expected fewer; the file is damaged"
        )


def varint(value: int) -> bytes:
    """Return 0..MAX_VARINT as seven bits a byte, lowest first; `ValueError` outside."""
    check_range("a length", value, 0, MAX_VARINT)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> int:
    """Return an integer as a natural number, small if near to zero."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """Return the integer of a natural number; the inverse of `zigzag`."""
    return value // 2 if value % 2 == 0 else -(value + 1) // 2
