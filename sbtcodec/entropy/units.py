"""The units in which the entropy coder counts: what its integers stand for.

A file's meaning depends on all of them. They are here and not with the networks so that coding, in
NumPy, needs no torch.
"""

import math

# Integer networks: activations, weights, and their sums (accumulators).
ACTIVATION_ONE = 16
WEIGHT_ONE = 128
SUM_ONE = ACTIVATION_ONE * WEIGHT_ONE
ACTIVATION_MAX = 255
EXACT_LIMIT = 2**24
SUMS_FREE = EXACT_LIMIT - ACTIVATION_MAX * WEIGHT_ONE  # a skip connection adds at most that

# Global tokens.
SUBGRIDS = ((0, 0), (1, 1), (0, 1), (1, 0))  # (row parity, column parity), in coding order
LOGITS_PER_OCTAVE = 64  # a logit difference of 64 halves the probability
SUMS_PER_LOGIT = 32  # accumulator units per logit unit
VALUE_ONE = 64  # integer units of a token value of one
KNOWN = 64  # the value of the "this token is known" plane

# Detail symbols.
TABLES = 64  # of one shape: scales, in steps of a factor
MAX_SHAPES = 4  # indices are bytes
SCALE_MIN = 0.11
SCALE_MAX = 128.0
SCALE_STEP = math.log(SCALE_MAX / SCALE_MIN) / (TABLES - 1)  # nats between neighbouring tables
SUMS_PER_INDEX = 512  # accumulator units per table index
MAX_SYMBOL = 1023

# Qualities.
ANCHOR_WEIGHT_ONE = 64  # one, in weights of the anchors of the gains
