"""A graph in the making: its nodes, its weights, and the blocks that the networks are made of.

Tensors are planes, float32 [1, channels, H, W], the layout that onnxruntime is fast in; or rows,
float32 [places, channels].
"""

import numpy as np
from numpy.typing import NDArray

from sbtcodec.light import wire
from sbtcodec.light.weights import Floats, Part


class Graph:
    """Nodes in the order in which they run; every method adds some and names what they give.

    Attributes:
        weights: what the session is to be given, by name.
    """

    def __init__(self, name: str) -> None:
        """Start without nodes."""
        self.name = name
        self.weights: dict[str, Floats] = {}
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def model(self) -> bytes:
        """The ONNX model, without its weights."""
        tensors = [wire.tensor(name, w, inside=False) for name, w in self.weights.items()]
        parts = self._nodes, [*tensors, *self._constants], self._inputs, self._outputs
        return wire.model(wire.graph(self.name, *parts))

    def input(self, name: str, *shape: int | str, element: int = wire.FLOAT) -> str:
        """An input; its name."""
        self._inputs.append(wire.value(name, element, shape))
        return name

    def output(self, name: str, source: str, *shape: int | str, element: int = wire.FLOAT) -> None:
        """Give a tensor out under a name."""
        self._nodes.append(wire.node("Identity", [source], [name], {}))
        self._outputs.append(wire.value(name, element, shape))

    def node(self, op: str, *inputs: str, **attributes: wire.Attribute) -> str:
        """A node of one output."""
        return self.nodes(op, *inputs, outputs=1, **attributes)[0]

    def nodes(self, op: str, *inputs: str, outputs: int, **attributes: wire.Attribute) -> list[str]:
        """A node of several outputs."""
        names = [f"{op}{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(wire.node(op, inputs, names, attributes))
        return names

    def constant(self, value: float | list[int]) -> str:
        """A few numbers that are part of the graph: float32 where they are floats, else int64."""
        name = f"constant{len(self._constants)}"
        array = np.array(value, np.float32 if isinstance(value, float) else np.int64)
        self._constants.append(wire.tensor(name, array, inside=True))
        return name

    def weight(self, array: NDArray[np.float32]) -> str:
        """Weights that the session is given."""
        name = f"weight{len(self.weights)}"
        self.weights[name] = np.ascontiguousarray(array)
        return name

    def pointwise(self, x: str, part: Part, bias: str | None = None) -> str:
        """A 1x1 convolution of planes; `bias` is an input that takes the place of its own."""
        kernel = self.weight(part["weight"][:, :, None, None])
        return self.node("Conv", x, kernel, bias or self.weight(part["bias"]), kernel_shape=[1, 1])

    def convolution(self, x: str, part: Part, groups: int = 1) -> str:
        """A 3x3 convolution of planes, with zeros around them."""
        kernel, bias = self.weight(part["weight"]), self.weight(part["bias"])
        sides = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        return self.node("Conv", x, kernel, bias, group=groups, **sides)

    def linear(self, x: str, part: Part) -> str:
        """The product of rows with a matrix, plus a bias."""
        return self.node(
            "Gemm", x, self.weight(part["weight"]), self.weight(part["bias"]), transB=1
        )

    def norm(self, x: str, part: Part) -> str:
        """Each row with mean 0 and variance 1, then scaled and shifted."""
        scale, bias = self.weight(part["weight"]), self.weight(part["bias"])
        return self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-5)

    def gelu(self, x: str) -> str:
        """The exact GELU, with the error function."""
        return self.node("Gelu", x)

    def folded(self, x: str, part: Part, side: int, kernel: int = 1) -> str:
        """Places to channels, squares of `side`, then a convolution with zeros around the planes.

        Both at once, as one of larger strides: stored weights have the channels of a square in the
        order (channel, row, column).
        """
        weight = part["weight"]
        c_out, rows = len(weight), side * kernel
        apart = weight.reshape(c_out, -1, side, side, kernel, kernel)
        joined = apart.transpose(0, 1, 4, 2, 5, 3).reshape(c_out, -1, rows, rows)
        around = side * (kernel // 2)
        return self.node(
            "Conv",
            x,
            self.weight(joined),
            self.weight(part["bias"]),
            kernel_shape=[rows, rows],
            strides=[side, side],
            pads=[around] * 4,
        )

    def unfold(self, x: str, side: int) -> str:
        """Channels to places; stored weights have them in the order (channel, row, column)."""
        return self.node("DepthToSpace", x, blocksize=side, mode="CRD")

    def crop(self, x: str, start: str, stop: str) -> str:
        """Rows and columns of planes, from int64 [2] to int64 [2]."""
        return self.node("Slice", x, start, stop, self.constant([2, 3]))

    def blocks(self, x: str, part: Part, numbers: range, channels: int) -> str:
        """Blocks `numbers` of a sequence, on planes of so many channels.

        A product with one comes first: onnxruntime sums up a block in its fast layout only if what
        comes in is the result of a convolution.
        """
        one, zero = np.ones((channels, 1, 1, 1), np.float32), np.zeros(channels, np.float32)
        x = self.node(
            "Conv", x, self.weight(one), self.weight(zero), group=channels, kernel_shape=[1, 1]
        )
        for number in numbers:
            x = self.block(x, part.part(str(number)), channels)
        return x

    def block(self, x: str, part: Part, channels: int) -> str:
        """Depthwise 3x3, then a two-layer pointwise network, scaled and added to the input."""
        h = self.convolution(x, part.part("depthwise"), channels)
        h = self.gelu(self.pointwise(h, part.part("expand")))
        scale, project = part["scale"].reshape(-1), part.part("project")
        kernel = self.weight((project["weight"] * scale[:, None])[:, :, None, None])
        bias = self.weight(project["bias"] * scale)
        return self.node("Add", self.node("Conv", h, kernel, bias, kernel_shape=[1, 1]), x)
