"""The float networks of decoding without torch: global tokens and detail symbols to pixels.

onnxruntime runs them; it starts in a tenth of torch's time. The networks are written down as ONNX
graphs when they are needed, and take their weights from the same file as torch's. Nothing in here
imports torch. Pixels are those of torch in float32, but for rounding.

Read in this order:

    networks   what decoding computes with floats, and `Estimate`, what is known of local tokens
    graphs     the networks as ONNX graphs, made of what `graph` has; `wire` is their format
    windows    which tokens the attention puts into which windows
    weights    sizes and weights of a model, from its weights file
    session    a graph that onnxruntime runs
"""
