"""Released models: sizes, weights, numbers.

Read in this order:

    config         the sizes of all networks, and a model built of them
    digest         what a number stands for, for ever
    weights_file   tensors, sizes and card of a model as a file, read and written
    export         trained weights to released ones
    registry       models by number, from the manifest, without torch
    symbol_model   what decides the symbols of files; `prices` what errors and bits are worth
    release        a model loaded by its number: checked, frozen and kept in memory
    looks          further decoders for its files, in weights files of their own
"""
