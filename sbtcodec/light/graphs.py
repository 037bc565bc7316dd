"""The float networks of decoding as ONNX graphs; inputs and outputs are named in each docstring."""

from sbtcodec.light.graph import Graph
from sbtcodec.light.weights import Part, Stored
from sbtcodec.light.wire import INT64, UINT8
from sbtcodec.tokenizer.config import TokenizerConfig

H, W = "height", "width"


def attend(config: TokenizerConfig, stored: Stored) -> Graph:
    """The predictor among global tokens.

    Inputs: `values` [1, dims, H, W], and `tokens`, `places`, `mask`, `cos`, `sin` of
    `sbtcodec.light.windows`, of both kinds of layers: `tokens0` not shifted, `tokens1` shifted.
    Output: `attended` [1, global_width, H, W].
    """
    graph, part = Graph("attend"), Part(stored, "predictor")
    x = graph.pointwise(graph.input("values", 1, len(config.levels), H, W), part.part("embed"))
    kinds = range(min(2, config.predictor_attention))
    given = [_windows_input(graph, kind, config) for kind in kinds]
    for layer in range(config.predictor_attention):
        network = part.part(f"attention.{layer}")
        x = _attention_layer(graph, x, network, config, given[layer % 2])
    graph.output("attended", x, 1, config.global_width, H, W)
    return graph


def spread(config: TokenizerConfig, stored: Stored) -> Graph:
    """The predictor among local tokens.

    Input: `attended` [1, global_width, H, W]. Outputs: `features` [1, widths[2], 2H, 2W] and
    `y_hat` [1, coarse_channels, 2H, 2W].
    """
    graph, part, width = Graph("spread"), Part(stored, "predictor"), config.widths[2]
    x = graph.input("attended", 1, config.global_width, H, W)
    x = graph.unfold(graph.pointwise(x, part.part("spread.0")), 2)
    x = graph.blocks(x, part.part("spread"), range(2, 2 + config.predictor_depth), width)
    graph.output("features", x, 1, width, "rows", "columns")
    y_hat = graph.pointwise(x, part.part("head"))
    graph.output("y_hat", y_hat, 1, config.coarse_channels, "rows", "columns")
    return graph


def refine(config: TokenizerConfig, stored: Stored, step: int) -> Graph:
    """The network that corrects the estimate before a step.

    Inputs: `features` [1, widths[2], H, W] and `y_hat` [1, coarse_channels, H, W]. Output:
    `delta` [1, C, H, W] of the coarse channels from the layer of the step on.
    """
    graph, part, width = Graph("refine"), Part(stored, f"refiners.{step}"), config.refine_width
    features = graph.input("features", 1, config.widths[2], H, W)
    y_hat = graph.input("y_hat", 1, config.coarse_channels, H, W)
    both = [
        graph.pointwise(features, part.part("from_features")),
        graph.pointwise(y_hat, part.part("from_estimate")),
    ]
    x = graph.block(graph.gelu(graph.node("Add", *both)), part.part("block"), width)
    for number in range(config.refine_depth - 1):
        x = graph.block(x, part.part(f"deeper.{number}"), width)
    channels = config.coarse_channels - config.group_slice(step // 2).start
    graph.output("delta", graph.pointwise(x, part.part("head")), 1, channels, H, W)
    return graph


def coarse(config: TokenizerConfig, stored: Stored) -> Graph:
    """The decoder at stride 16.

    Inputs: `y_hat` [1, coarse_channels, H, W] and `bias16` [widths[2]], with what the decoder is
    told. Output: `coarse` [1, widths[2], H, W].
    """
    graph, part, width = Graph("coarse"), Part(stored, "decoder"), config.widths[2]
    y_hat, bias = (
        graph.input("y_hat", 1, config.coarse_channels, H, W),
        graph.input("bias16", width),
    )
    x = graph.pointwise(y_hat, part.part("enter16"), bias)
    x = graph.blocks(x, part.part("stage16"), range(config.decoder_depths[2]), width)
    graph.output("coarse", x, 1, width, H, W)
    return graph


def fine(config: TokenizerConfig, stored: Stored) -> Graph:
    """The decoder at strides 8 and 4, to pixels.

    Inputs: `coarse` [1, widths[2], H, W]; `bias8` [4 * widths[1]] and `bias4` [4 * widths[0]],
    with what the decoder is told; int64 [2] each `start8`, `stop8`, what of stride 8 the rest
    needs, and `start4`, `stop4`, what of stride 4 is shown; where the model has fine channels,
    `fine` [1, fine_channels, h, w] of the latents shown. Output: `rgb` uint8 [1, 3, 16 h, 16 w].
    """
    graph, part = Graph("fine"), Part(stored, "decoder")
    (c4, c8, c16), (n4, n8, _) = config.widths, config.decoder_depths
    x = graph.input("coarse", 1, c16, H, W)
    x = graph.pointwise(x, part.part("enter8.0"), graph.input("bias8", 4 * c8))
    x = graph.blocks(graph.unfold(x, 2), part.part("stage8"), range(n8), c8)
    x = graph.crop(x, *_corners(graph, "8"))
    x = graph.pointwise(x, part.part("enter4.0"), graph.input("bias4", 4 * c4))
    x = graph.blocks(graph.unfold(x, 2), part.part("stage4"), range(n4), c4)
    x = graph.convolution(x, part.part("leave.0"))
    x = graph.unfold(graph.crop(x, *_corners(graph, "4")), 4)
    if config.fine_channels:
        fine = graph.input("fine", 1, config.fine_channels, "shown_height", "shown_width")
        x = graph.node(
            "Add", x, graph.unfold(graph.pointwise(fine, part.part("fine_channels.0")), 16)
        )
    x = graph.node("Add", x, graph.constant(0.5))
    x = graph.node("Round", graph.node("Mul", x, graph.constant(255.0)))
    x = graph.node("Clip", x, graph.constant(0.0), graph.constant(255.0))
    graph.output("rgb", graph.node("Cast", x, to=UINT8), 1, 3, "rows", "columns", element=UINT8)
    return graph


def _corners(graph: Graph, stride: str) -> tuple[str, str]:
    """The inputs that say what of a stride is needed."""
    start = graph.input(f"start{stride}", 2, element=INT64)
    return start, graph.input(f"stop{stride}", 2, element=INT64)


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
