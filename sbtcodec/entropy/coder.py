"""The range coder: symbols and integer frequencies to bytes and back, with constriction.

Words are serialised big-endian and the tail is cut to the byte, since at a hundred bytes an image
three bytes count. A decoder that runs out of bytes reads zeros and decodes nonsense without an
error: the check of each layer's symbols is what tells (see `sbtcodec.container`).
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.frequencies import TOTAL, Frequencies
from sbtcodec.entropy.units import MAX_SYMBOL, TABLES
from sbtcodec.errors import InvalidFileError

TRIM_LIMIT = 20_000  # symbols up to which the tail is trimmed by trial; beyond it does not matter

UNSEEN_COST = 40.0  # bits of a symbol outside of its table, which is clamped

Symbols = NDArray[np.int32]
Indices = NDArray[np.uint8]


class DetailTables:
    """The shipped distributions of detail symbols, ready for the coder."""

    def __init__(self, tables: list[Frequencies]) -> None:
        """`tables[i]` holds the frequencies of the symbols -M_i..M_i, summing to 2^24 - K_i."""
        self.frequencies = tables
        self.half_widths = np.array([len(t) // 2 for t in tables], dtype=np.int32)
        self.models = [
            constriction.stream.model.Categorical(t.astype(np.float64), perfect=False)
            for t in tables
        ]

    @cached_property
    def costs(self) -> NDArray[np.float32]:
        """Bits of the symbols 0..MAX_SYMBOL under each table: [tables, MAX_SYMBOL + 1]."""
        costs = np.full((len(self.frequencies), MAX_SYMBOL + 1), UNSEEN_COST, dtype=np.float32)
        for row, table in zip(costs, self.frequencies, strict=True):
            m = len(table) // 2
            row[: m + 1] = -np.log2((table[m:] + 1) / TOTAL)
        costs[::TABLES, 0] = 0  # symbols of the least scale are not sent
        return costs


class LayerEncoder:
    """Collects the symbols of one layer."""

    def __init__(self, tables: DetailTables) -> None:
        """Start an empty layer."""
        self.tables = tables
        self.coder = constriction.stream.queue.RangeEncoder()
        self.calls: list[tuple[Symbols, Any]] = []
        self.symbols = 0

    def _put(self, symbols: Symbols, *model: Any) -> None:  # noqa: ANN401 (constriction's models)
        self.coder.encode(symbols, *model)
        self.symbols += len(symbols)
        if self.symbols <= TRIM_LIMIT:
            self.calls.append((symbols, model))

    def levels(self, frequencies: Frequencies, levels: Symbols) -> Symbols:
        """Code levels int32 [n] under frequencies [n, K]; returns them."""
        family = constriction.stream.model.Categorical(perfect=False)
        self._put(levels, family, frequencies.astype(np.float64))
        return levels

    def details(self, indices: Indices, q: Symbols) -> Symbols:
        """Code symbols int32 [n] under tables uint8 [n]; returns what a decoder will get.

        Symbols of the least scale are not sent and are 0; others are held within their table.
        """
        limit = np.where(indices % TABLES > 0, self.tables.half_widths[indices], 0)
        q = np.clip(q, -limit, limit).astype(np.int32)
        for table, at in _by_table(indices):
            model = self.tables.models[table]
            self._put(q[at] + self.tables.half_widths[table], model)
        return q

    def finish(self) -> bytes:
        """The bytes of the layer."""
        data = self.coder.get_compressed().astype(">u4").tobytes().rstrip(b"\0")
        if self.symbols > TRIM_LIMIT:
            return bytes(data)
        best = bytes(data)
        for cut in range(1, min(8, len(data)) + 1):
            prefix = data[:-cut]
            bumped = prefix[:-1] + bytes([prefix[-1] + 1]) if prefix and prefix[-1] < 255 else None
            found = next((c for c in (prefix, bumped) if c is not None and self._reads(c)), None)
            if found is None:
                break
            best = found.rstrip(b"\0")
        return best

    def _reads(self, data: bytes) -> bool:
        """Whether `data` decodes to the symbols that were put."""
        decoder = _range_decoder(data)
        for symbols, model in self.calls:
            count = () if len(model) > 1 else (len(symbols),)
            try:
                if not np.array_equal(_decode(decoder, *model, *count), symbols):
                    return False
            except InvalidFileError:
                return False
        return True


class LayerDecoder:
    """Gives the symbols of one layer, in the order in which they were put."""

    def __init__(self, tables: DetailTables, data: bytes) -> None:
        """Start reading the coded bytes of a layer."""
        self.tables = tables
        self.coder = _range_decoder(data)

    def levels(self, frequencies: Frequencies) -> Symbols:
        """The next levels int32 [n], coded under frequencies [n, K]."""
        family = constriction.stream.model.Categorical(perfect=False)
        return _decode(self.coder, family, frequencies.astype(np.float64))

    def details(self, indices: Indices) -> Symbols:
        """The next symbols int32 [n], coded under tables uint8 [n]."""
        q = np.zeros(len(indices), dtype=np.int32)
        for table, at in _by_table(indices):
            model = self.tables.models[table]
            q[at] = _decode(self.coder, model, len(at)) - self.tables.half_widths[table]
        return q


def _range_decoder(data: bytes) -> Any:  # noqa: ANN401 (constriction has no stubs)
    """A decoder over bytes, filled up with zeros to whole words."""
    words = np.frombuffer(data + bytes(-len(data) % 4), dtype=">u4").astype(np.uint32)
    return constriction.stream.queue.RangeDecoder(words)


def _decode(decoder: Any, *arguments: Any) -> Symbols:  # noqa: ANN401 (as above)
    """Decode, turning every way in which constriction can fail into one error."""
    try:
        symbols: Symbols = decoder.decode(*arguments)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # constriction's panics are not Exceptions
        raise InvalidFileError(
            "the coded symbols are damaged: the coder cannot read them"
        ) from error
    return symbols


def _by_table(indices: Indices) -> Iterable[tuple[int, NDArray[np.int64]]]:
    """Positions of each table in use, in rising order, without those of the least scale.

    Symbols are coded grouped by table: ten times faster than one model per symbol.
    """
    order = np.argsort(indices, kind="stable")
    counts = np.bincount(indices, minlength=1)
    ends = np.cumsum(counts)
    for table in np.flatnonzero(counts):
        if table % TABLES > 0:
            yield int(table), order[ends[table] - counts[table] : ends[table]]
