"""The entropy decoder of the format in plain integers, after `docs/format.md` and nothing else.

It shows that a file does not hang on a library: what bytes a table of frequencies and symbols give
is written down, and this page reads them.
"""

import numpy as np

PRECISION = 24  # probabilities are multiples of 2^-24
WORD = 32
STATE = 64


class RangeDecoder:
    """Symbols of one part, in the order in which they were coded."""

    def __init__(self, data):
        """Start at the first byte; behind the last one there are zeros."""
        self.data, self.at = data, 0
        self.low, self.range = 0, 2**STATE - 1
        self.point = self._word() << WORD | self._word()

    def _word(self):
        word = self.data[self.at : self.at + 4].ljust(4, b"\0")
        self.at += 4
        return int.from_bytes(word, "big")

    def symbol(self, frequencies):
        """The next symbol, 0..K-1; frequencies sum to 2^24 - K, and each counts one more."""
        unit = self.range >> PRECISION
        quantile = (self.point - self.low) % 2**STATE // unit
        if quantile >= 2**PRECISION:
            raise ValueError("no encoder writes this")
        left = 0
        for symbol, frequency in enumerate(frequencies):
            if quantile < left + frequency + 1:
                break
            left += frequency + 1
        self.low = (self.low + unit * left) % 2**STATE
        self.range = unit * (frequency + 1)
        if self.range < 2 ** (STATE - WORD):
            self.low = self.low << WORD & 2**STATE - 1
            self.range <<= WORD
            self.point = self.point << WORD & 2**STATE - 1 | self._word()
        return symbol


class PlainLayerDecoder:
    """What `sbtcodec.entropy.coder.LayerDecoder` does, by the decoder above."""

    def __init__(self, tables, data):
        """Start reading the coded bytes of a part."""
        self.tables = [list(map(int, t)) for t in tables.frequencies]
        self.coder = RangeDecoder(data)

    def levels(self, frequencies):
        """The next levels, one for each row."""
        rows = frequencies.tolist()
        return np.array([self.coder.symbol(row) for row in rows], dtype=np.int32)

    def details(self, indices):
        """The next detail symbols: table by table, those of table 0 not coded."""
        q = np.zeros(len(indices), dtype=np.int32)
        for table in range(1, len(self.tables)):
            frequencies = self.tables[table]
            for place in np.flatnonzero(indices == table):
                q[place] = self.coder.symbol(frequencies) - len(frequencies) // 2
        return q
