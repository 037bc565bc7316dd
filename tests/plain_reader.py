"""A reader of `.sbt` files down to their symbols, after `docs/format.md` and nothing else.

In plain integers, without the package and without its libraries: what the specification says is
enough for anyone's program.
"""

import hashlib
import zlib

import numpy as np
from safetensors.numpy import load_file

ONE = 2**24  # probabilities are multiples of its inverse
WORD, STATE = 2**32, 2**64


def integer(data, at):
    """An integer of the tables, and where it ends."""
    for size, first, least in ((3, 252, 276_672), (2, 248, 14_528), (1, 192, 192), (0, 0, 0)):
        if data[at] >= first:
            rest = int.from_bytes(data[at + 1 : at + 1 + size], "big")
            return least + 256**size * (data[at] - first) + rest, at + 1 + size


class RangeDecoder:
    """Symbols of one part, in the order in which they were coded."""

    def __init__(self, data):
        self.data, self.at = data, 0
        self.low, self.range = 0, STATE - 1
        self.point = self.word() * WORD + self.word()

    def word(self):
        word = self.data[self.at : self.at + 4].ljust(4, b"\0")
        self.at += 4
        return int.from_bytes(word, "big")

    def symbol(self, frequencies):
        unit = self.range // ONE
        quantile = (self.point - self.low) % STATE // unit
        assert quantile < ONE
        left = 0
        for symbol, frequency in enumerate(frequencies):
            if quantile < left + frequency + 1:
                break
            left += frequency + 1
        self.low = (self.low + unit * left) % STATE
        self.range = unit * (frequency + 1)
        if self.range < WORD:
            self.low = self.low * WORD % STATE
            self.range *= WORD
            self.point = (self.point * WORD + self.word()) % STATE
        return symbol


class Model:
    """The integers of a model. Planes are int64 [H, W, channels]."""

    def __init__(self, path, config):
        tensors = load_file(path)
        self.config = config
        self.digest = digest(tensors, config)
        self.tensors = {k: v.astype(np.int64) for k, v in tensors.items() if v.dtype != np.float16}
        ends = np.cumsum(self["tables.sizes"])[:-1]
        self.tables = [t.tolist() for t in np.split(self["tables.frequencies"], ends)]

    def __getitem__(self, name):
        return self.tensors[name]

    def layer(self, name, x):
        weight, bias = self[f"{name}.weight"], self[f"{name}.bias"]
        size = weight.shape[2]
        height, width = x.shape[:2]
        padded = np.pad(x, ((size // 2, size // 2), (size // 2, size // 2), (0, 0)))
        total = np.zeros((height, width, len(weight)), np.int64) + bias
        for row in range(size):
            for column in range(size):
                seen = padded[row : row + height, column : column + width]
                tap = weight[:, :, row, column]
                depthwise = tap.shape[1] == 1 and x.shape[2] > 1
                total += seen * tap[:, 0] if depthwise else seen @ tap.T
        return total

    def residual(self, depthwise, mix, x):
        inner = activate(self.layer(depthwise, x))
        return activate(self.layer(mix, inner) + 128 * x)

    def deeper(self, name, x):
        pair = 0
        while f"{name}.{pair}.0.weight" in self.tensors:
            x = self.residual(f"{name}.{pair}.0", f"{name}.{pair}.1", x)
            pair += 1
        return x


def activate(total):
    return np.clip((total + 64) // 128, 0, 255)


def parity(height, width, row, column):
    rows, columns = np.mgrid[:height, :width]
    return (rows % 2 == row) & (columns % 2 == column)


def read(data, model):
    """The symbols of a file: levels uint8 [h, w, dims], and int16 [2 h, 2 w, channels]."""
    assert data[0] == 0xB5
    assert data[1] >> 4 == 0b1010
    assert data[1] >> 1 & 7 == 3
    at, flags = 8, 0
    if data[1] & 1:
        at, flags = 9, data[8]
    sides = int.from_bytes(data[3:7], "little")
    width, height, count = sides & 16383, sides >> 14 & 16383, sides >> 28 & 7
    checked = bytes([data[0], data[1] & 0xFE]) + data[2:8] + bytes([flags & 0xFE])

    token_rows, token_columns = -(-height // 32), -(-width // 32)
    tiles = [
        (top, left, min(top + 32, token_rows), min(left + 32, token_columns))
        for top in range(0, token_rows, 32)
        for left in range(0, token_columns, 32)
    ]
    lengths = []
    for index in range((count + 1) * len(tiles) - 1):
        stored, at = integer(data, at)
        if index < len(tiles):
            top, left, bottom, right = tiles[index]
            difference = stored // 2 if stored % 2 == 0 else -(stored + 1) // 2
            stored = 2 * (bottom - top) * (right - left) + difference
        lengths.append(stored)
    if flags & 1:
        chunks, at = integer(data, at)
        for _ in range(chunks):
            length, end = integer(data, at + 4)
            at = end + length + 4
    parts = []
    for index in range((count + 1) * len(tiles)):
        size = (3, 2, 2, 4)[min(count, 3)] if index // len(tiles) == count else 2
        end = len(data) - size if index == len(lengths) else at + lengths[index]
        parts.append((data[at:end], data[end : end + size]))
        at = end + size

    levels = np.zeros((token_rows, token_columns, len(model.config["levels"])), np.uint8)
    symbols = np.zeros((2 * token_rows, 2 * token_columns, sum(model.config["groups"])), np.int16)
    for tile, (top, left, bottom, right) in enumerate(tiles):
        coded = parts[tile :: len(tiles)]
        crc = zlib.crc32(checked + model.digest + tile.to_bytes(2, "little"))
        tokens = read_levels(model, RangeDecoder(coded[0][0]), bottom - top, right - left)
        crc = zlib.crc32(tokens.transpose(2, 0, 1).tobytes(), crc)
        assert crc.to_bytes(4, "little").startswith(coded[0][1])
        details = np.zeros((2 * (bottom - top), 2 * (right - left), symbols.shape[2]), np.int16)
        for group in range(count):
            coder = RangeDecoder(coded[group + 1][0])
            mine = read_details(model, coder, tokens, details, group, data[7])
            crc = zlib.crc32(np.ascontiguousarray(details[:, :, mine]).tobytes(), crc)
            assert crc.to_bytes(4, "little").startswith(coded[group + 1][1])
        levels[top:bottom, left:right] = tokens
        symbols[2 * top : 2 * bottom, 2 * left : 2 * right] = details
    return levels, symbols


def entered(levels, counts):
    counts = np.array(counts)
    return 64 * (2 * levels.astype(np.int64) + 1 - counts) // counts


def read_levels(model, coder, height, width):
    counts = model.config["levels"]
    levels = np.zeros((height, width, len(counts)), np.uint8)
    known = np.zeros((height, width, 1), np.int64)
    for row, column in ((0, 0), (1, 1), (0, 1), (1, 0)):
        places = parity(height, width, row, column)
        h = np.concatenate([entered(levels, counts) * known, 64 * known], 2)
        h = activate(model.layer("prior.enter", h))
        h = model.residual("prior.depthwise", "prior.mix", h)
        h = model.deeper("prior.deeper", h)
        features = activate(model.layer("prior.mix_more", h))[places][None]
        for dim, count in enumerate(counts):
            before = entered(levels[places][None], counts)[:, :, :dim]
            h = np.concatenate([features, before], 2)
            h = activate(model.layer(f"prior.hidden.{dim}", h))
            logits = (model.layer(f"prior.heads.{dim}", h)[0] + 16) // 32
            found = [coder.symbol(frequencies(model, row, count)) for row in logits]
            levels[places, dim] = found
        known[places] = 1
    return levels


def frequencies(model, logits, count):
    octaves = model["tables.octaves"]
    weights = octaves[np.minimum(logits.max() - logits, len(octaves) - 1)]
    budget = ONE - count
    found = weights * budget // weights.sum()
    found[weights.argmax()] += budget - found.sum()
    return found.tolist()


def read_details(model, coder, tokens, q, group, quality):
    groups = model.config["groups"]
    first, last = sum(groups[:group]), sum(groups[: group + 1])
    height, width = q.shape[:2]
    h = activate(model.layer("scales.trunk.0", entered(tokens, model.config["levels"])))
    h = model.residual("scales.trunk.1", "scales.trunk.2", h)
    h = activate(model.layer("scales.trunk.3", h))
    h = h.reshape(height // 2, width // 2, -1, 2, 2).transpose(0, 3, 1, 4, 2)
    features = h.reshape(height, width, -1)
    anchor_weights = np.broadcast_to(
        model["tables.hats"][quality], (height, width, model["tables.hats"].shape[1])
    )
    offsets = model["tables.gain_offsets"][quality, first:last]
    for odd in (0, 1):
        step = 2 * group + odd
        known = first if odd == 0 else last
        seen = model["scales.magnitudes"][np.minimum(np.abs(q[:, :, :known].astype(int)), 1023)]
        entered_all = [features, anchor_weights, seen]
        if model.config.get("signs"):
            entered_all.append(seen * np.sign(q[:, :, :known].astype(int)))
        h = activate(model.layer(f"scales.enter.{step}", np.concatenate(entered_all, 2)))
        h = model.residual(f"scales.depthwise.{step}", f"scales.mix.{step}", h)
        h = model.deeper(f"scales.deeper.{step}", h)
        total = model.layer(f"scales.heads.{step}", h)
        table = np.clip((total[:, :, : last - first] + offsets + 256) // 512, 0, 63)
        if model.config["shapes"] > 1:
            shape = (total[:, :, last - first :] + 256) // 512
            table = table + 64 * np.clip(shape, 0, model.config["shapes"] - 1)
        places = np.add(*np.mgrid[:height, :width]) % 2 == odd
        picked = table[places]
        found = np.zeros(picked.shape, np.int16)
        for index in np.unique(picked[picked % 64 > 0]):
            for place in zip(*np.nonzero(picked == index), strict=True):
                found[place] = coder.symbol(model.tables[index]) - len(model.tables[index]) // 2
        q[places, first:last] = found
    return slice(first, last)


def digest(tensors, config):
    fixed = {
        "config.architecture": [1],
        "config.groups": config["groups"],
        "config.heads": [config["heads"]],
        "config.levels": config["levels"],
        "config.shapes": [config["shapes"]],
        "constants.activations": [16, 255],
        "constants.grid": [16, 32, 1024, 8],
        "constants.prior": [64, 32, 64, 64],
        "constants.quality": [64],
        "constants.scales": [11, 12800],
        "constants.subgrids": [0, 0, 1, 1, 0, 1, 1, 0],
        "constants.tables": [64, 512, 1023, ONE],
        "constants.weights": [128],
    }
    covered = ("prior.", "scales.", "tables.", "tokenizer.predictor.", "tokenizer.refiners.")
    if config.get("signs"):
        fixed["config.signs"] = [1]
    every = {k: np.array(v, np.int32) for k, v in fixed.items()}
    every |= {k: v for k, v in tensors.items() if k.startswith(covered)}
    found = hashlib.sha256()
    for name in sorted(every):
        array = every[name]
        found.update(name.encode() + b"\0" + str(array.dtype).encode() + b"\0")
        found.update(b"".join(n.to_bytes(4, "little") for n in (array.ndim, *array.shape)))
        found.update(np.where(array == 0, 0, array).astype(array.dtype).tobytes())
    return found.digest()
