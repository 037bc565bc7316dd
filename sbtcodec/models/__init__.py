"""Released models: sizes, weights, numbers.

Read in this order:

config     the sizes of all networks, and a model built of them
release    a weights file: read, checked, frozen and kept in memory; and written
registry   models by number, from the manifest, without torch
digest     what a number stands for, for ever
"""
