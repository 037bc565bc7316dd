"""The pipeline: a picture to the bytes of an `.sbt` file, and back.

Read in this order:

    codec          what callers use: compress, decompress, tokenize, detokenize; `loading` is how
                   a codec comes by its model and device
    encoder        a picture to tokens and symbols, and these to a file
    decoder        a file to symbols, checked, and these to pixels
    chunks         what a picture has beside its colours: transparency, profile, EXIF, XMP, CICP
    tokens         the integers of a picture as arrays; `tokens_file` their `.npz`, `tokenize` the
                   way from a file to them and from them to a picture
    rate_control   the quality that gives a size or a score; `rate_target` what was asked for

Networks and their symbols are in `sbtcodec.latents`, bytes in `sbtcodec.container`.
"""
