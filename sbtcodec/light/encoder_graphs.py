"""The float networks of encoding as ONNX graphs; inputs and outputs are named in each docstring."""

from sbtcodec.light.attention import attention_layers
from sbtcodec.light.graph import Graph
from sbtcodec.light.graphs import H, W, corners
from sbtcodec.light.weights import Part, Stored
from sbtcodec.light.wire import FLOAT, UINT8
from sbtcodec.tokenizer.config import ADAPTER_DEPTH, TokenizerConfig


def analyse_finely(config: TokenizerConfig, stored: Stored) -> Graph:
    """The local encoder at strides 4 and 8.

    Inputs: `rgb` uint8 [16 H, 16 W, 3]; int64 [2] each `start4`, `stop4`, what of stride 4 the
    rest needs, `start8`, `stop8`, what of stride 8 is inside, and, where the model has fine
    channels, `start1`, `stop1`, the pixels of that. Outputs: `features` [1, widths[2], h, w] and,
    where the model has them, `fine` [1, fine_channels, h, w] of the pixels.
    """
    graph, part = Graph("analyse_finely"), Part(stored, "local_encoder")
    layers = part.part("layers")
    (c4, c8, c16), (n4, n8, _) = config.widths, config.encoder_depths
    rgb = graph.input("rgb", "image_height", "image_width", 3, element=UINT8)
    planes = graph.node("Transpose", graph.node("Cast", rgb, to=FLOAT), perm=[2, 0, 1])
    planes = graph.node("Unsqueeze", planes, graph.constant([0]))
    planes = graph.node("Div", planes, graph.constant(255.0))
    planes = graph.node("Sub", planes, graph.constant(0.5))
    x = graph.folded(planes, layers.part("1"), 4, kernel=3)
    x = graph.blocks(x, layers, range(2, 2 + n4), c4)
    x = graph.folded(graph.crop(x, *corners(graph, "4")), layers.part(str(n4 + 3)), 2)
    x = graph.blocks(x, layers, range(n4 + 4, n4 + 4 + n8), c8)
    x = graph.folded(graph.crop(x, *corners(graph, "8")), layers.part(str(n4 + n8 + 5)), 2)
    graph.output("features", x, 1, c16, "rows", "columns")
    if config.fine_channels:
        shown = graph.crop(planes, *corners(graph, "1"))
        fine = graph.folded(shown, part.part("fine_channels.of_pixels.1"), 16)
        graph.output("fine", fine, 1, config.fine_channels, "rows", "columns")
    return graph


def analyse_coarsely(config: TokenizerConfig, stored: Stored) -> Graph:
    """The local encoder at stride 16.

    Inputs: `features` [1, widths[2], H, W] and, where the model has fine channels, `fine`
    [1, fine_channels, H, W]. Output: `y` [1, local_channels, H, W].
    """
    graph, part = Graph("analyse_coarsely"), Part(stored, "local_encoder")
    layers, width = part.part("layers"), config.widths[2]
    n4, n8, n16 = config.encoder_depths
    first = n4 + n8 + 6
    x = graph.input("features", 1, width, H, W)
    x = graph.blocks(x, layers, range(first, first + n16), width)
    y = graph.pointwise(x, layers.part(str(first + n16)))
    if config.fine_channels:
        fine = graph.input("fine", 1, config.fine_channels, H, W)
        told = graph.pointwise(y, part.part("fine_channels.of_tokens"))
        y = graph.node("Concat", y, graph.node("Add", fine, told), axis=1)
    graph.output("y", y, 1, config.local_channels, H, W)
    return graph


def pool(config: TokenizerConfig, stored: Stored) -> Graph:
    """The global encoder among local tokens.

    Input: `y` [1, local_channels, 2 H, 2 W]. Output: `pooled` [1, global_width, H, W].
    """
    graph, part = Graph("pool"), Part(stored, "global_encoder.pool")
    y = graph.input("y", 1, config.local_channels, "rows", "columns")
    x = graph.block(graph.pointwise(y, part.part("0")), part.part("1"), config.widths[2])
    graph.output("pooled", graph.folded(x, part.part("3"), 2), 1, config.global_width, H, W)
    return graph


def choose(config: TokenizerConfig, stored: Stored) -> Graph:
    """The global encoder among global tokens.

    Input: `pooled` [1, global_width, H, W], and those of `attention_layers`. Output: `z`
    [1, dims, H, W].
    """
    graph, part = Graph("choose"), Part(stored, "global_encoder")
    x = graph.input("pooled", 1, config.global_width, H, W)
    x = attention_layers(graph, x, part, config, config.encoder_attention)
    graph.output("z", graph.pointwise(x, part.part("head")), 1, len(config.levels), H, W)
    return graph


def compare(config: TokenizerConfig, stored: Stored, adapter: str) -> Graph:
    """An adapter of global tokens, of that name, among local tokens.

    Inputs: `y` and `y_hat` [1, local_channels, 2 H, 2 W]. Output: `compared`
    [1, global_width, H, W].
    """
    graph, part = Graph(f"compare.{adapter}"), Part(stored, adapter)
    x = _together(graph, part, config)
    x = graph.block(x, part.part("pool.0"), config.adapter_width)
    x = graph.folded(x, part.part("pool.2"), 2)
    graph.output("compared", x, 1, config.global_width, H, W)
    return graph


def move(config: TokenizerConfig, stored: Stored, adapter: str) -> Graph:
    """An adapter of global tokens, of that name, among global tokens.

    Inputs: `compared` [1, global_width, H, W], `z` and its quantised `values` [1, dims, H, W], and
    those of `attention_layers`. Output: `moved` [1, dims, H, W], to quantise instead of z.
    """
    graph, part, dims = Graph(f"move.{adapter}"), Part(stored, adapter), len(config.levels)
    layers = config.adapter_attention if adapter == "token_adapter" else config.alone_attention
    compared = graph.input("compared", 1, config.global_width, H, W)
    z, values = (graph.input(name, 1, dims, H, W) for name in ("z", "values"))
    choice = graph.pointwise(graph.node("Concat", z, values, axis=1), part.part("from_choice"))
    x = attention_layers(graph, graph.node("Add", compared, choice), part, config, layers)
    moved = graph.node("Add", z, graph.pointwise(x, part.part("head")))
    graph.output("moved", moved, 1, dims, H, W)
    return graph


def adapt(config: TokenizerConfig, stored: Stored) -> Graph:
    """The adapter of local tokens.

    Inputs: `y` and `y_hat` [1, local_channels, H, W]; `gains` [1, local_channels, 1, 1], steps per
    unit; `told` [1, adapter_width, 1, 1], what the network is told of the quality. Output: `sent`
    [1, local_channels, H, W].
    """
    graph, part = Graph("adapt"), Part(stored, "adapter")
    channels, width = config.local_channels, config.adapter_width
    h = _together(graph, part, config)
    gains = graph.input("gains", 1, channels, 1, 1)
    steps = graph.node("Mul", gains, graph.node("Sub", "y", "y_hat"))
    steps = graph.pointwise(graph.node("Softsign", steps), part.part("from_steps"))
    h = graph.node("Add", graph.node("Add", h, steps), graph.input("told", 1, width, 1, 1))
    x = graph.blocks(graph.gelu(h), part.part("blocks"), range(ADAPTER_DEPTH), width)
    moved = graph.node("Div", graph.pointwise(x, part.part("head")), gains)
    graph.output("sent", graph.node("Add", "y", moved), 1, channels, "rows", "columns")
    return graph


def _together(graph: Graph, part: Part, config: TokenizerConfig) -> str:
    """What an adapter makes of its inputs `y` and `y_hat` before its blocks."""
    return graph.node(
        "Add",
        *(
            graph.pointwise(
                graph.input(name, 1, config.local_channels, "rows", "columns"), part.part(source)
            )
            for name, source in (("y", "from_tokens"), ("y_hat", "from_estimate"))
        ),
    )
