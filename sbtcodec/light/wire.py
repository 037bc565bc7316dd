"""The bytes of an ONNX model: as much of its protobuf schema as our graphs need.

The package `onnx` writes the same, but takes longer to import than all networks take to start.
Numbers of fields are those of `onnx.proto`.
"""

import struct
from collections.abc import Iterable, Sequence

from numpy.typing import NDArray

IR_VERSION = 9
OPSET = 20  # the first with Gelu
FLOAT, UINT8, INT64 = 1, 2, 7  # TensorProto.DataType
ELEMENT_TYPES = {"float32": FLOAT, "uint8": UINT8, "int64": INT64}

Attribute = int | float | str | Sequence[int]
Shape = Sequence[int | str]  # a name where a side is only known when the graph runs


def model(graph: bytes) -> bytes:
    """A ModelProto of a GraphProto."""
    opset = _text(1, "") + _number(2, OPSET)
    return _number(1, IR_VERSION) + _bytes(7, graph) + _bytes(8, opset)


def graph(
    name: str,
    nodes: Iterable[bytes],
    tensors: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
) -> bytes:
    """A GraphProto of its parts, made by the functions below."""
    repeated = ((1, nodes), (5, tensors), (11, inputs), (12, outputs))
    return _text(2, name) + b"".join(_bytes(at, part) for at, parts in repeated for part in parts)


def node(
    op: str, inputs: Sequence[str], outputs: Sequence[str], attributes: dict[str, Attribute]
) -> bytes:
    """A NodeProto."""
    names = [_text(1, name) for name in inputs] + [_text(2, name) for name in outputs]
    made = [_bytes(5, _attribute(name, value)) for name, value in attributes.items()]
    return b"".join(names) + _text(3, outputs[0]) + _text(4, op) + b"".join(made)


def tensor(name: str, array: NDArray, *, inside: bool) -> bytes:  # type: ignore[type-arg]
    """A TensorProto: with its numbers inside, or to be given to the session by its name.

    Args:
        name: in the graph.
        array: float32, uint8 or int64, any shape.
        inside: whether the numbers are part of the model.
    """
    head = b"".join(_number(1, side) for side in array.shape)
    head += _number(2, ELEMENT_TYPES[array.dtype.name]) + _text(8, name)
    if inside:
        return head + _bytes(9, array.astype(array.dtype.newbyteorder("<")).tobytes())
    # no file of this name is ever looked for
    where = {"location": "given", "offset": "0", "length": str(array.nbytes)}
    entries = [_bytes(13, _text(1, key) + _text(2, value)) for key, value in where.items()]
    return head + b"".join(entries) + _number(14, 1)


def value(name: str, element: int, shape: Shape) -> bytes:
    """A ValueInfoProto: an input or an output of a graph.

    Args:
        name: in the graph.
        element: FLOAT, UINT8 or INT64.
        shape: its sides.
    """
    sides = [_text(2, side) if isinstance(side, str) else _number(1, side) for side in shape]
    dims = b"".join(_bytes(1, side) for side in sides)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, element) + _bytes(2, dims)))


def _attribute(name: str, value: Attribute) -> bytes:
    """An AttributeProto."""
    if isinstance(value, float):
        return _text(1, name) + _tag(2, 5) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, 2)
    if isinstance(value, str):
        return _text(1, name) + _text(4, value) + _number(20, 3)
    return _text(1, name) + b"".join(_number(8, i) for i in value) + _number(20, 7)


def _number(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(value)) + value


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; negative numbers as of 64 bits."""
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
