"""Hostile token files: mutations of good ones, and what `Tokens.load` may make of them.

Run for minutes with `python tests/fuzzing_tokens.py --minutes 10`: it prints how many inputs were
tried and every kind of outcome. Archives are mutated as bytes, and below their checksums: members
are changed, doubled, renamed, and packed again with the right CRC.
"""

import argparse
import io
import json
import random
import re
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from sbtcodec.codec.codec import Codec
from sbtcodec.codec.tokens import Tokens
from sbtcodec.errors import InvalidFileError, SbtError

LARGEST_PICTURE = 2**18  # pixels
SLOWEST = 20.0  # seconds for one input, on a busy machine
MOST_MEMORY = 2**30  # bytes by which the process may grow
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)

# What a field of the zip format may be set to.
NUMBERS = (0, 1, 2, 8, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
VALUES = (
    *(0, 1, -1, 2, 31, 33, 255, 256, 16383, 16384, 2**31, 10**30, 1.5, 1e999, float("nan")),
    *(True, False, None, "", "1", [], {}, [[[[]]]]),
)


def seeds(codec: Codec) -> list[bytes]:
    """Good files: sizes, gray, without details, stored, in Fortran order."""
    rng = np.random.default_rng(5)
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for n, (height, width, quality) in enumerate(((1, 1, 0), (33, 70, 40), (64, 20, 90))):
            rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            tokens = codec.tokenize(rgb if n else rgb[:, :, 0], quality, globals_only=n == 2)
            tokens.save(Path(folder, f"{n}.npz"))
            made.append(Path(folder, f"{n}.npz").read_bytes())
    made.append(packed(members(made[1]), zipfile.ZIP_STORED))
    with np.load(io.BytesIO(made[1])) as arrays:
        buffer = io.BytesIO()
        turned = {name: np.asfortranarray(arrays[name]) for name in ("levels", "symbols")}
        np.savez(buffer, about=arrays["about"], **turned)
        made.append(buffer.getvalue())
    return made


def members(data: bytes) -> list[tuple[str, bytes]]:
    """Names and contents of the members of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def packed(content: list[tuple[str, bytes]], method: int) -> bytes:
    """An archive of members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in content:
            archive.writestr(name, data)
    return buffer.getvalue()


def mutated(rng: random.Random, data: bytes) -> bytes:
    """One to three changes of an archive, as bytes or below its checksums."""
    if rng.random() < 0.4:
        return with_changed_bytes(rng, data, 3)
    if rng.random() < 0.3:
        return with_changed_fields(rng, data)
    content = members(data)
    for _ in range(rng.randint(1, 3)):
        content = with_changed_member(rng, content)
    method = rng.choice(METHODS) if rng.random() < 0.1 else zipfile.ZIP_DEFLATED
    return packed(content, method)


def with_changed_bytes(rng: random.Random, data: bytes, most: int) -> bytes:
    """Bits, bytes and ranges changed, cut, doubled."""
    out = bytearray(data)
    for _ in range(rng.randint(1, most)):
        at, size = rng.randrange(len(out) + 1), rng.choice((1, 1, 2, 4, 16))
        kind = rng.randrange(5)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            del out[at : at + rng.choice((size, 200))]
        elif kind == 3:
            out[at:at] = out[at : at + size]
        elif at < len(out):
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(out)


def with_changed_fields(rng: random.Random, data: bytes) -> bytes:
    """A number set in a local header, in the directory, or at the end of it."""
    out = bytearray(data)
    sizes = {b"PK\3\4": 30, b"PK\1\2": 46, b"PK\5\6": 22}
    starts = [m.start() for m in re.finditer(rb"PK(?:\x03\x04|\x01\x02|\x05\x06)", data)]
    start = rng.choice(starts)
    at = start + 4 + 2 * rng.randrange((sizes[data[start : start + 4]] - 4) // 2)
    width = rng.choice((2, 4))
    out[at : at + width] = rng.choice(NUMBERS).to_bytes(8, "little")[:width]
    return bytes(out)


def with_changed_member(
    rng: random.Random, content: list[tuple[str, bytes]]
) -> list[tuple[str, bytes]]:
    """A member changed in its text, in the header of its array or anywhere, doubled or renamed."""
    content = list(content)
    if not content:
        return [("about.npy", b"")]
    at = rng.randrange(len(content))
    name, data = content[at]
    kind = rng.randrange(10)
    if kind == 0:
        content.insert(at, (rng.choice((name, "more.npy", "a/../b")), data))
    elif kind == 1:
        del content[at]
    elif kind == 2:
        content[at] = rng.choice(("about", "levels.npy", "../levels.npy", "é.npy", name)), data
    elif kind < 6 and name == "about.npy":
        content[at] = name, _array(np.array(_changed_text(rng, data)))
    elif kind < 8:
        header, rest = data[:128], data[128:]
        content[at] = name, _changed_header(rng, header) + rest
    else:
        content[at] = name, with_changed_bytes(rng, data, 2)
    return content


def _changed_text(rng: random.Random, data: bytes) -> str:
    text = data[128:].decode("utf-32-le", "replace").rstrip("\0")
    try:
        about = json.loads(text)
        about[rng.choice([*about, "more"])] = rng.choice(VALUES)
        if rng.random() < 0.2:
            about.pop(rng.choice([*about]))
        text = json.dumps(about)
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError):
        return rng.choice(("", "{}", "[" * 3000, "1" * 4000))
    return text.replace("{", '{"width": 5, ', 1) if rng.random() < 0.1 else text


def _changed_header(rng: random.Random, header: bytes) -> bytes:
    """Another dtype, order or shape, or any other bytes; the length need not fit any more."""
    if rng.random() < 0.3:
        return with_changed_bytes(rng, header, 2)
    old, new = rng.choice(
        (
            (
                rb"\|u1|<i2|<U\d+",
                rng.choice((b"|O", b"<f8", b">i2", b"<i2", b"|u1", b"<U9", b"V0")),
            ),
            (rb"False", b"True "),
            (rb"\(\d+, ", rng.choice((b"(0, ", b"(9999, ", b"(2, 3, ", b"(-1, ", b"("))),
            (rb", \d+\)", rng.choice((b", 0)", b", 1)", b", 9999)", b", 99999999999)", b",)"))),
            (rb"\}", rng.choice((b", 'more': 1}", b"", b"}}", b"(" * 40))),
        )
    )
    return re.sub(old, lambda _: new, header, count=1)


def _array(array: "np.ndarray[tuple[int, ...], np.dtype[np.str_]]") -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def outcome(codec: Codec, path: Path, *, whole: bool) -> str:
    """What comes of one file: "tokens", "picture", or the kind of the error; the rest are bugs.

    Args:
        codec: what makes pictures of tokens.
        path: of the file.
        whole: make one.
    """
    try:
        tokens = Tokens.load(path, max_pixels=LARGEST_PICTURE)
    except InvalidFileError as error:
        return _kind(error, path)
    if not whole:
        return "tokens"
    try:
        codec.detokenize(tokens)
    except SbtError as error:
        return f"tokens, {_kind(error, path)}"
    return "picture"


def _kind(error: Exception, path: Path) -> str:
    """The error without its numbers and names."""
    text = str(error).replace(str(path), "FILE")
    text = re.sub(r"'[^']*'|\\x[0-9a-f]{2}|[^\x20-\x7e]", "#", text)
    text = re.sub(r"(in directory).*", r"\1 #", text)
    return re.sub(r"[-#\d.]*[#\d]([ ,#\d]*[#\d])?", "#", text)[:110]


def fuzz(codec: Codec, seconds: float, seed: int, most: int = sys.maxsize) -> "Counter[str]":
    """Try mutations for some time; returns how often each kind of outcome was met.

    Raises:
        AssertionError: an input took too long or too much memory.
        BaseException: whatever else an input caused, after it was printed.
    """
    rng, good = random.Random(seed), seeds(codec)
    counts: Counter[str] = Counter()
    before, end = _memory(), time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tokens.npz")
        while time.monotonic() < end and sum(counts.values()) < most:
            data = mutated(rng, rng.choice(good))
            path.write_bytes(data)
            start = time.monotonic()
            try:
                counts[outcome(codec, path, whole=rng.random() < 0.2)] += 1
            except BaseException:
                sys.stderr.write(f"input: {data.hex()}\n")
                raise
            assert time.monotonic() - start < SLOWEST, data.hex()
    grown = _memory() - before
    assert grown < MOST_MEMORY, f"{grown} bytes more after {sum(counts.values())} inputs"
    return counts


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Fuzz the reader of token files, and make pictures of what it reads."""
    parser = argparse.ArgumentParser(description="Feed mutated files to Tokens.load.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--inputs", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    codec = Codec.load("cpu")
    counts = fuzz(codec, 60 * arguments.minutes, arguments.seed, arguments.inputs)
    for kind, count in counts.most_common():
        sys.stdout.write(f"{count:8}  {kind}\n")
    sys.stdout.write(f"{sum(counts.values()):8}  inputs, {len(counts)} kinds of outcome, no bug\n")


if __name__ == "__main__":
    main()
