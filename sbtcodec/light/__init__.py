"""The float networks of the codec without torch: pixels to tokens, and tokens to pixels.

onnxruntime runs them; it starts in a tenth of torch's time. The networks are written down as ONNX
graphs when they are needed, and take their weights from the same file as torch's. Nothing in here
imports torch. Tokens and pixels are those of torch in float32, but for rounding.

Read in this order:

    engine     what a codec asks to decode with one model; `encoding_engine` to encode, too
    networks   what decoding computes with floats, and `Estimate`, what is known of local tokens
    encoding   the same of encoding
    graphs     the networks as ONNX graphs, made of what `graph` has; `wire` is their format;
               `encoder_graphs` those of encoding
    attention  layers among global tokens; `windows` says which tokens are in which windows
    weights    the weights of a network, as its weights file stores them
    session    a graph that onnxruntime runs
"""
