"""The walk over all symbols of one file, in coding order; encoder and decoder both take it.

It is given a function that puts symbols or one that gets them, so what selects a probability cannot
differ between the two directions. Integer networks run here on the CPU, exactly; float networks on
any device, in any precision.
Letters: H W are rows and columns of the padded image's 16-pixel cells, h w of its 32-pixel cells.
"""

import time
import zlib
from functools import cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.container import Header, header_bytes
from sbtcodec.entropy.coder import Indices, Symbols
from sbtcodec.entropy.detail import table_index
from sbtcodec.entropy.frequencies import Frequencies, from_logits
from sbtcodec.entropy.prior import SUBGRIDS, centred, subgrid
from sbtcodec.release import Release
from sbtcodec.tokenizer.bootstrap import checkerboard


class LevelCoding(Protocol):
    """Puts or gets levels of global tokens."""

    def __call__(self, frequencies: Frequencies, at: tuple[Tensor, ...], dim: int) -> Symbols:
        """Levels int32 [n] under `frequencies` [n, K]; they stand at `at` in dimension `dim`."""
        ...


class DetailCoding(Protocol):
    """Puts or gets detail symbols; `residual` is only there when encoding."""

    def __call__(self, indices: Indices, residual: NDArray[np.float32] | None) -> Symbols:
        """Symbols int32 [n], coded under tables `indices` uint8 [n]."""
        ...


@cache
def fast_bf16(kind: str) -> bool:
    """Whether bfloat16 is worth using on a kind of device; on a CPU without it, it is far slower.

    The processor is asked by timing a product, because there is no public question for it.
    """
    if kind != "cpu":
        return True
    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(256, 256, dtype=dtype)
        a @ a
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return seconds[1] < 1.2 * seconds[0]


def floats(device: torch.device, *, bf16: bool) -> torch.autocast:
    """The precision in which float networks run."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def check_seed(release: Release, header: Header) -> int:
    """Where the checks of a file with this header, made with this model, start from."""
    return zlib.crc32(header_bytes(header) + bytes.fromhex(release.sha256))


class Walk:
    """One file's symbols, and the prediction that they add up to.

    Attributes:
        levels: int64 [1, dims, h, w], levels of the global tokens so far.
        q: int16 [H, W, local_channels], detail symbols so far.
        y_hat: float32 [1, local_channels, H, W], local tokens: sent ones, and predicted ones.
    """

    def __init__(
        self, release: Release, header: Header, device: torch.device, *, bf16: bool
    ) -> None:
        """Start before the first symbol of a file with this header.

        Args:
            release: the model; its tokenizer is on `device`.
            header: of the file.
            device: where the float networks run.
            bf16: run them in bfloat16.
        """
        self.release, self.tokenizer = release, release.model.tokenizer
        self.device, self.bf16 = device, bf16
        self.h, self.w = -(-header.height // 32), -(-header.width // 32)
        self.quality = header.quality
        self.seed = check_seed(release, header)
        c = self.tokenizer.config.local_channels
        self.levels = torch.zeros(
            1, len(self.tokenizer.config.levels), self.h, self.w, dtype=torch.int64
        )
        self.q = np.zeros((2 * self.h, 2 * self.w, c), dtype=np.int16)
        self.y_hat = torch.zeros(0)

    def globals(self, code: LevelCoding) -> None:
        """Code the global tokens: four sub-grids, level by level."""
        prior, counts = self.release.model.prior, self.tokenizer.config.levels
        known = torch.zeros(1, 1, self.h, self.w, dtype=torch.bool)
        for index in range(len(SUBGRIDS)):
            mask = subgrid(self.h, self.w, index, known.device)
            at = torch.nonzero(mask[0, 0], as_tuple=True)
            if len(at[0]):
                z = _channels_last(centred(self.levels, counts).float())
                features = prior.context(z, known)[:, :, at[0], at[1]][..., None]
                for dim, count in enumerate(counts):
                    here = centred(self.levels, counts)[:, :, at[0], at[1]][..., None].float()
                    logits = prior.logits(features, here, dim)
                    rows = logits[0, :, :, 0].T.numpy().astype(np.int64)
                    assert rows.shape[1] == count
                    got = code(
                        from_logits(rows, self.release.octaves),
                        (torch.zeros_like(at[0]), *at),
                        dim,
                    )
                    self.levels[0, dim, at[0], at[1]] = torch.from_numpy(got.astype(np.int64))
            known = known | mask

    def predict(self) -> None:
        """Predict the local tokens from the global ones alone, and prepare the detail steps."""
        with floats(self.device, bf16=self.bf16):
            z = self.tokenizer.fsq.to_values(self.levels.to(self.device).float())
            self.features, y_hat = self.tokenizer.predictor(_channels_last(z))
        self.y_hat = _channels_last(y_hat.float())
        scales = self.release.model.scales
        z_int = _channels_last(centred(self.levels, self.tokenizer.config.levels).float())
        self.scale_features = scales.features(z_int)
        self.scale_hats = torch.from_numpy(self.release.hats[self.quality]).float()
        self.seen = _channels_last(torch.zeros(1, self.q.shape[2], 2 * self.h, 2 * self.w))
        self.gains = self.release.gains(self.quality)[None, :, None, None].to(self.device)

    def refine(self, step: int) -> None:
        """Correct the prediction of what is not known yet, before `step` (2 * layer + parity)."""
        group, parity = divmod(step, 2)
        channels = self.tokenizer.config.group_slice(group)
        with floats(self.device, bf16=self.bf16):
            delta = self.tokenizer.refiners[step](self.features, self.y_hat).float()
        y_hat = self.y_hat.clone() if parity == 0 else self.y_hat
        if parity == 1:
            mine = channels.stop - channels.start
            delta[:, :mine] *= checkerboard(2 * self.h, 2 * self.w, 1, delta.device)
        y_hat[:, channels.start :] += delta
        self.y_hat = y_hat

    def details(self, group: int, code: DetailCoding, y: Tensor | None) -> None:
        """Code detail layer `group`: its two checkerboard halves, one after the other.

        Args:
            group: 0-based detail layer.
            code: puts or gets symbols.
            y: the local tokens float32 [1, C, H, W], when encoding.
        """
        scales = self.release.model.scales
        channels = self.tokenizer.config.group_slice(group)
        offsets = torch.from_numpy(self.release.gain_offsets[self.quality, channels]).float()
        gain = self.gains[:, channels]
        for parity in (0, 1):
            step = 2 * group + parity
            self.refine(step)
            total = scales.scales(
                step, self.scale_features, self.scale_hats[None, :, None, None], self.seen
            )
            index = table_index(total, offsets[:, None, None])[0].permute(1, 2, 0)
            cells = checkerboard(2 * self.h, 2 * self.w, parity, total.device)[0, 0]
            chosen = cells.numpy()
            residual = None
            if y is not None:
                r = ((y[:, channels] - self.y_hat[:, channels]) * gain)[0].permute(1, 2, 0)
                residual = r.cpu().numpy()[chosen].reshape(-1)
            indices = index.numpy()[chosen].astype(np.uint8).reshape(-1)
            symbols = code(indices, residual).reshape(-1, channels.stop - channels.start)
            self.q[chosen, channels] = symbols
            q = torch.from_numpy(symbols)
            self.seen.permute(0, 2, 3, 1)[0, :, :, channels][cells] = scales.magnitude(q)
            step_size = (1 / gain)[0, :, 0, 0]
            here = self.y_hat.permute(0, 2, 3, 1)[0, :, :, channels]
            here[cells.to(here.device)] += q.to(here.device) * step_size

    def has_details(self, group: int) -> bool:
        """Whether detail layer `group` (0-based) holds anything but zeros."""
        return bool(self.q[:, :, self.tokenizer.config.group_slice(group)].any())

    def check_globals(self) -> int:
        """24-bit check of the levels of the global tokens."""
        return zlib.crc32(self.levels.numpy().astype(np.uint8).tobytes(), self.seed) & 0xFFFFFF

    def check_details(self, group: int) -> int:
        """24-bit check of the symbols of one detail layer."""
        channels = self.tokenizer.config.group_slice(group)
        symbols = np.ascontiguousarray(self.q[:, :, channels]).astype("<i2")
        return zlib.crc32(symbols.tobytes(), self.seed + group + 1) & 0xFFFFFF


def _channels_last(t: Tensor) -> Tensor:
    return t.contiguous(memory_format=torch.channels_last)
