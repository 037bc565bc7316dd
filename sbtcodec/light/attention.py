"""Attention among global tokens: its layers as nodes of a graph, and how they run on any grid."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sbtcodec.grid import Box
from sbtcodec.light.graph import Graph
from sbtcodec.light.session import Session
from sbtcodec.light.weights import Floats, Part
from sbtcodec.light.windows import windows
from sbtcodec.light.wire import INT64
from sbtcodec.tokenizer.config import WINDOW, TokenizerConfig

ATTENTION_TOKENS = 2**15  # that go through the networks at once, for the sake of memory


def attend(
    network: Session, config: TokenizerConfig, layers: int, own: Box, given: dict[str, Floats]
) -> Floats:
    """What a network with attention makes of global tokens, band by band.

    Args:
        network: its graph has `attention_layers`, and one output, [1, channels, H, W].
        config: sizes of the model.
        layers: of attention.
        own: the tokens to give.
        given: its other inputs, float32 [1, ., h, w] each.

    Returns:
        float32 [1, channels, own.height, own.width].
    """
    whole = Box(0, 0, *next(iter(given.values())).shape[2:])
    # a layer sees its window and, by its convolution, a token more
    halo = layers * WINDOW
    rows = own.height
    if whole.height * whole.width > ATTENTION_TOKENS:
        rows = max(2 * halo, ATTENTION_TOKENS // whole.width - 2 * halo)
    made = []
    for top in range(own.top, own.bottom, rows):
        band = Box(top, own.left, min(top + rows, own.bottom), own.right)
        seen = band.grown(halo, whole).over(WINDOW).times(WINDOW).cut(whole)
        inputs: dict[str, NDArray[Any]] = {
            name: planes[:, :, seen.rows, seen.columns] for name, planes in given.items()
        }
        for kind in range(min(2, layers)):
            head_width = config.global_width // config.heads
            found = windows(seen.height, seen.width, shifted=kind == 1, head_width=head_width)
            inputs |= {f"{name}{kind}": array for name, array in vars(found).items()}
        inside = band.seen_from(seen)
        made.append(network(**inputs)[0][:, :, inside.rows, inside.columns])
    return np.concatenate(made, 2)


def attention_layers(graph: Graph, x: str, part: Part, config: TokenizerConfig, layers: int) -> str:
    """The layers `attention` of a network, on planes [1, global_width, H, W].

    They take further inputs of the graph: `tokens`, `places`, `mask`, `cos`, `sin` of
    `sbtcodec.light.windows`, of both kinds of layers: `tokens0` not shifted, `tokens1` shifted.
    """
    given = [_windows_input(graph, kind, config) for kind in range(min(2, layers))]
    for layer in range(layers):
        network = part.part(f"attention.{layer}")
        x = _attention_layer(graph, x, network, config, given[layer % 2])
    return x


def _windows_input(graph: Graph, kind: int, config: TokenizerConfig) -> tuple[str, ...]:
    """The inputs that say which windows there are, in the order of `Windows`."""
    count, size, half = f"windows{kind}", f"size{kind}", config.global_width // config.heads // 2
    return (
        graph.input(f"tokens{kind}", count, size, element=INT64),
        graph.input(f"places{kind}", "all_tokens", element=INT64),
        graph.input(f"mask{kind}", count, 1, 1, size),
        graph.input(f"cos{kind}", size, half),
        graph.input(f"sin{kind}", size, half),
    )


def _attention_layer(
    graph: Graph, x: str, part: Part, config: TokenizerConfig, given: tuple[str, ...]
) -> str:
    """Attention inside windows and a small network, each added to its input, on planes."""
    width = config.global_width
    mixed = graph.node("Add", x, graph.convolution(x, part.part("mix"), width))
    grid = graph.node("Transpose", mixed, perm=[0, 2, 3, 1])
    rows = graph.node("Reshape", grid, graph.constant([-1, width]))
    rows = graph.node("Add", rows, _attention(graph, rows, part, config, given))
    h = graph.gelu(graph.linear(graph.norm(rows, part.part("norm_mlp")), part.part("expand")))
    rows = graph.node("Add", rows, graph.linear(h, part.part("project")))
    return graph.node(
        "Transpose", graph.node("Reshape", rows, graph.node("Shape", grid)), perm=[0, 3, 1, 2]
    )


def _attention(
    graph: Graph, rows: str, part: Part, config: TokenizerConfig, given: tuple[str, ...]
) -> str:
    """Attention inside windows, of rows."""
    tokens, places, mask, cos, sin = given
    heads, width = config.heads, config.global_width
    qkv = graph.linear(graph.norm(rows, part.part("norm")), part.part("qkv"))
    qkv = graph.node("Gather", qkv, tokens, axis=0)  # [windows, places, 3 * width]
    apart = graph.constant([0, 0, 3, heads, width // heads])
    qkv = graph.node("Transpose", graph.node("Reshape", qkv, apart), perm=[2, 0, 3, 1, 4])
    q, k, v = (graph.node("Gather", qkv, graph.constant(i), axis=0) for i in range(3))
    q, k = (_rotated(graph, t, cos, sin) for t in (q, k))
    k = graph.node("Transpose", k, perm=[0, 1, 3, 2])
    scale = graph.constant((width // heads) ** -0.5)
    scores = graph.node("Add", graph.node("Mul", graph.node("MatMul", q, k), scale), mask)
    found = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), v)
    found = graph.node("Transpose", found, perm=[0, 2, 1, 3])
    found = graph.node("Reshape", found, graph.constant([-1, width]))
    return graph.linear(graph.node("Gather", found, places, axis=0), part.part("out"))


def _rotated(graph: Graph, t: str, cos: str, sin: str) -> str:
    """Rotate [windows, heads, places, d] by the angle of each place, [places, d / 2]."""
    a, b = graph.nodes("Split", t, outputs=2, axis=-1, num_outputs=2)
    turned = [
        graph.node("Sub", graph.node("Mul", a, cos), graph.node("Mul", b, sin)),
        graph.node("Add", graph.node("Mul", a, sin), graph.node("Mul", b, cos)),
    ]
    return graph.node("Concat", *turned, axis=-1)
