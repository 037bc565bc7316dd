"""Hostile files: mutations of good ones, and what the decoder may do with them.

Run for minutes with `python tests/fuzzing.py --minutes 10`: it prints how many inputs were tried
and every kind of outcome, and keeps the first input of each new kind in `tests/corpus`, which an
ordinary test replays.
"""

import argparse
import random
import re
import resource
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

import sbtcodec.codec.checks
import sbtcodec.codec.tiles
from sbtcodec.codec.codec import Codec
from sbtcodec.container import (
    HEADER_BYTES,
    Chunk,
    Container,
    describe,
    pack,
    unpack,
)
from sbtcodec.errors import InvalidFileError, ModelMismatchError
from sbtcodec.latents.symbols import TileSymbols

CORPUS = Path(__file__).parent / "corpus"
LARGEST_INPUT = 1024
LARGEST_PICTURE = 2**18  # pixels; what `--max-pixels` is for
SLOWEST = 20.0  # seconds for one input, on a busy machine
MOST_MEMORY = 2**30  # bytes by which the process may grow
ERRORS = (InvalidFileError, ModelMismatchError)


def seeds(codec: Codec) -> list[bytes]:
    """Good files below LARGEST_INPUT: sizes, qualities, layers, several tiles, chunks."""
    rng = np.random.default_rng(3)
    made = []
    for height, width, quality in ((1, 1, 0), (33, 40, 20), (64, 64, 60), (40, 1100, 5)):
        rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        made.append(codec.compress(rgb, quality, globals_only=quality == 5))
    plain = unpack(made[1])
    chunks = (Chunk("ICCP", b"\0profile"), Chunk("ALPH", b"none"), Chunk("zzZZ", b""))
    made.append(pack(Container(plain.header, plain.layers, chunks)))
    return [data[:LARGEST_INPUT] for data in made]


def mutated(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """One to four changes: bits, bytes, ranges cut, doubled, taken from elsewhere; numbers."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        size = rng.choice((1, 1, 2, 4, 16))
        kind = rng.randrange(7)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            del out[at : at + size]
        elif kind == 3:
            out[at:at] = out[at : at + size]
        elif kind == 4:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)  # of which one may be empty
            out[at : at + size] = other[start : start + size]
        elif kind == 5 and at < len(out):
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        else:  # the header decides on sizes, so it gets a share of its own
            front = rng.randrange(HEADER_BYTES + 4)
            out[front : front + 1] = bytes((rng.randrange(256),))
    return bytes(out[:LARGEST_INPUT])


@contextmanager
def unchecked() -> Iterator[None]:
    """Within the block, checks of symbols pass: damage goes on into the next step."""
    compare = sbtcodec.codec.tiles.compare
    sbtcodec.codec.tiles.compare = lambda *_: None  # type: ignore[assignment]
    try:
        yield
    finally:
        sbtcodec.codec.tiles.compare = compare


def outcome(codec: Codec, data: bytes, *, checked: bool, whole: bool = True) -> str:
    """What comes of one input: "decoded", or the kind of the error; anything else is a bug.

    Args:
        codec: the decoder.
        data: the input.
        checked: whether the checks of symbols are made.
        whole: decode down to pixels; otherwise symbols alone, the float networks left out.
    """

    def decode_to_pixels(data: bytes) -> None:
        codec.decode(data, allow_partial=True)

    kinds = []
    for read in (describe, unpack, lambda d: unpack(d, allow_partial=True)):
        try:
            read(data)
            kinds.append("read")
        except ERRORS as error:
            kinds.append(_kind(error))
    if kinds[1] != "read" and kinds[2] != "read":
        return " | ".join(kinds)
    header = unpack(data, allow_partial=True).header
    if header.width * header.height > LARGEST_PICTURE:
        return "more pixels than allowed"
    read_symbols = decode_to_pixels if whole else codec.tokens_of
    try:
        if checked:
            read_symbols(data)
        else:
            with unchecked():
                read_symbols(data)
        kinds.append("decoded")
    except ERRORS as error:
        kinds.append(_kind(error))
    return " | ".join(kinds)


def fuzz(codec: Codec, seconds: float, seed: int) -> tuple[Counter[str], dict[str, bytes]]:
    """Try mutations for so long: how often each outcome came, and the first input of each.

    Raises whatever is not an error of a bad file; `AssertionError` for too much time or memory.
    """
    rng = random.Random(seed)
    pool = seeds(codec)
    counts: Counter[str] = Counter()
    first: dict[str, bytes] = {}
    torch.set_num_threads(1)
    before = _memory()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(rng, rng.choice(pool), pool)
        if rng.random() < 0.1:
            data = with_right_check(codec, data)
        start = time.monotonic()
        try:
            kind = outcome(codec, data, checked=rng.random() < 0.3, whole=rng.random() < 0.02)
        except BaseException:
            sys.stderr.write(f"input: {data.hex()}\n")
            raise
        assert time.monotonic() - start < SLOWEST, data.hex()
        counts[kind] += 1
        if kind not in first:
            first[kind] = data
            if len(pool) < 200:
                pool.append(data)  # what did something new is worth changing further
    grown = _memory() - before
    assert grown < MOST_MEMORY, f"{grown} bytes more after {sum(counts.values())} inputs"
    return counts, first


def with_right_check(codec: Codec, data: bytes) -> bytes:
    """The file with the check of its base layer made right, if it is a picture of one tile."""
    try:
        container = unpack(data, allow_partial=True)
        header = container.header
        if len(header.tiles) > 1 or header.width * header.height > LARGEST_PICTURE:
            return data
        with unchecked():
            tokens = codec.tokens_of(pack(container)) if container.complete else None
    except ERRORS:
        return data
    if tokens is None:
        return data
    tile = TileSymbols(codec.release.symbols, header.quality, header.tiles[0])
    tile.levels = tokens.levels.astype(np.int64)
    crc = tile.check(0, sbtcodec.codec.checks.seed_of(header, codec.release.symbols, 0))
    size = header.check_bytes(0)
    at = len(data) - sum(part.length for layer in container.layers for part in layer.parts)
    at += container.layers[0].parts[0].length
    return data[: at - size] + sbtcodec.codec.checks.check_bytes(crc, size) + data[at:]


def _kind(error: Exception) -> str:
    """The error without its numbers and names."""
    numbers = r"\b(?=\w*\d)\w+\b|\b[0-9A-F]{2}\b|\b[0-9A-F]{8}\b"
    checks = r"(?<=check )[a-f]+\b|(?<=says )[a-f]+\b"
    text = re.sub(r"\([A-Za-z]{4}\)", "(TYPE)", str(error))  # of a chunk
    return re.sub(r"[-#]*#([ ,#]*#)?", "#", re.sub(f"{numbers}|{checks}", "#", text))


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Fuzz the shipped model's decoder, and keep what is new."""
    parser = argparse.ArgumentParser(description="Feed mutated files to the decoder.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts, first = fuzz(Codec.load("cpu"), 60 * arguments.minutes, arguments.seed)
    CORPUS.mkdir(exist_ok=True)
    for kind, data in first.items():
        (CORPUS / f"{zlib.crc32(kind.encode()):08x}.sbt").write_bytes(data)
    for kind, count in counts.most_common():
        sys.stdout.write(f"{count:8}  {kind}\n")
    sys.stdout.write(f"{sum(counts.values()):8}  inputs, {len(counts)} kinds of outcome, no bug\n")


if __name__ == "__main__":
    main()
