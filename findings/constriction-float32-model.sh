#!/bin/sh
# constriction 0.5.0: the same numbers as float32 and as float64 are two different models.
#
# `Categorical(probabilities, perfect=False)` takes float32 and float64 arrays. float32 values widened
# to float64 are the same numbers, without any rounding, and for 4 symbols the two give the same bytes.
# For 16 or 64 symbols they do not: the fixed-point probabilities are computed in the precision of the
# array, so decoding with the other dtype gives other symbols from the first few on, without an error
# (seen: 14 % and 3 % of 3000 symbols right). A reader that loads its table as float64 where the writer
# had float32, as NumPy, JSON or another framework easily does, reads garbage in silence. Frequencies
# that are integers below 2^24 and sum to 2^24 - K are the same model in both.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet constriction==0.5.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import constriction
import numpy as np

Categorical = constriction.stream.model.Categorical
COUNT = 3000
rng = np.random.default_rng(0)


def coded(symbols, probabilities):
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(symbols, Categorical(probabilities, perfect=False))
    return encoder.get_compressed()


def right(symbols, words, probabilities):
    decoder = constriction.stream.queue.RangeDecoder(words)
    found = decoder.decode(Categorical(probabilities, perfect=False), len(symbols))
    return float((found == symbols).mean())


for size in (16, 64):
    narrow = rng.dirichlet(np.ones(size)).astype(np.float32)
    wide = narrow.astype(np.float64)
    assert (wide == narrow).all()  # the same numbers
    symbols = rng.choice(size, COUNT, p=wide / wide.sum()).astype(np.int32)
    words = coded(symbols, wide)
    assert right(symbols, words, wide) == 1.0
    share = right(symbols, words, narrow)
    print(f"{size} symbols: {100 * share:.0f} % right with the other dtype, and no error")
    assert share < 0.5, "float32 and float64 have become one model"

    counts = np.floor(wide / wide.sum() * (2**24 - size))
    counts[0] += 2**24 - size - counts.sum()
    words = coded(symbols, counts)
    assert right(symbols, words, counts.astype(np.float32)) == 1.0
END
