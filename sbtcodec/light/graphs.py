"""The float networks of decoding as ONNX graphs; inputs and outputs are named in each docstring."""

from sbtcodec.light.attention import attention_layers
from sbtcodec.light.graph import Graph
from sbtcodec.light.weights import Part, Stored
from sbtcodec.light.wire import INT64, UINT8
from sbtcodec.tokenizer.config import TokenizerConfig

H, W = "height", "width"


def attend(config: TokenizerConfig, stored: Stored) -> Graph:
    """The predictor among global tokens.

    Input: `values` [1, dims, H, W], and those of `attention_layers`. Output: `attended`
    [1, global_width, H, W].
    """
    graph, part = Graph("attend"), Part(stored, "predictor")
    x = graph.pointwise(graph.input("values", 1, len(config.levels), H, W), part.part("embed"))
    x = attention_layers(graph, x, part, config, config.predictor_attention)
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
    x = graph.crop(x, *corners(graph, "8"))
    x = graph.pointwise(x, part.part("enter4.0"), graph.input("bias4", 4 * c4))
    x = graph.blocks(graph.unfold(x, 2), part.part("stage4"), range(n4), c4)
    x = graph.convolution(x, part.part("leave.0"))
    x = graph.unfold(graph.crop(x, *corners(graph, "4")), 4)
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


def corners(graph: Graph, stride: str) -> tuple[str, str]:
    """The inputs that say what of a stride is needed."""
    start = graph.input(f"start{stride}", 2, element=INT64)
    return start, graph.input(f"stop{stride}", 2, element=INT64)
