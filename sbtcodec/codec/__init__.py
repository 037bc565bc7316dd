"""The pipeline: a picture to the bytes of an `.sbt` file, and back.

Read in this order:

    codec          what callers use: compress, decompress, tokenize, detokenize; `loading` is how
                   a codec comes by its model and device
    compressing    what all codecs that compress have in common; `light_codec` is one without torch
    encoder        the latents of a picture to symbols of one quality, and these to a file
    decoder        a file to symbols, and these to pixels; `checks` of the symbols
    chunks         what a picture has beside its colours: transparency, profile, EXIF, XMP, CICP
    tokens         the integers of a picture as arrays; `tokens_file` their `.npz`, `tokenize` the
                   way from a file to them and from them to a picture
    rate_control   the quality that gives a size or a score; `rate_target` what was asked for

Letters: x pixels; y latents, which the paper calls local tokens; z global tokens, a discrete base
layer from which y is predicted. Networks and symbols are in `sbtcodec.latents`, what effort buys is
in `sbtcodec.rdo`, bytes are in `sbtcodec.container`.
"""
