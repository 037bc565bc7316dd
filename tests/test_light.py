"""Decoding's float networks without torch: the pixels of torch in float32, but for rounding."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from sbtcodec.errors import WeightsError
from sbtcodec.grid import Box, blocks
from sbtcodec.latents.blocks import Networks
from sbtcodec.models.registry import read_manifest, weights_dir
from sbtcodec.models.release import Release, load_release
from sbtcodec.tokenizer.bootstrap import checkerboard

pytest.importorskip("onnxruntime")

from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from sbtcodec.light import attention, windows
from sbtcodec.light import estimate as light_estimate
from sbtcodec.light import networks as light_networks
from sbtcodec.light.networks import LightNetworks
from sbtcodec.light.weights import of_half
from sbtcodec.models.stored import read_tensors

CPU = torch.device("cpu")
SIZES = [(1, 1), (3, 5), (5, 4), (8, 8), (13, 21)]
LARGE = (42, 4)  # tokens; more latents on a side than any block has
QUALITIES = (0, 128, 255)


class Symbols:
    """All symbols of a part of a picture, as torch's networks take them."""

    def __init__(self, q, latents, config):
        self.q, self.latents, self.config = q, latents, config

    def symbols(self, step):
        board = checkerboard(self.latents.height, self.latents.width, step % 2, CPU)[0, 0].numpy()
        part = self.q[self.latents.rows, self.latents.columns, self.config.group_slice(step // 2)]
        return part[board].reshape(-1)


@cache
def both(number: int | None) -> tuple[Networks, LightNetworks]:
    release = load_release(number, encoder=False)
    return Networks(release, CPU, bf16=False), LightNetworks.read(release.path, threads=1)


def drawn(config, height, width):
    """Levels of a grid of tokens, and symbols of its latents."""
    rng = np.random.default_rng(height * 100 + width)
    levels = np.stack([rng.integers(0, count, (height, width)) for count in config.levels])[None]
    q = np.rint(rng.laplace(size=(2 * height, 2 * width, config.local_channels)) * 0.7)
    return levels, q.astype(np.int32)


def by_torch(networks, levels, q, layers, quality, area, tiles):
    tokens = Box(0, 0, *levels.shape[2:])
    parts = [Symbols(q, tile, networks.tokenizer.config) for tile in tiles]
    with networks.inference():
        found = networks.estimate(quality, torch.from_numpy(levels), tokens, area)
        networks.reconstruct(found, parts, layers)
        shown = Box(0, 0, area.height, area.width)
        return networks.show(found, quality, layers, shown)


def without_torch(light, release: Release, levels, q, layers, quality, area, tiles):
    gains, weights = (a.numpy() for a in (release.gains(quality), release.anchor_weights(quality)))
    found = light.estimate(levels, area=area)
    for step in range(2 * layers):
        found.refine(step)
        channels = light.config.group_slice(step // 2)
        for tile in tiles:
            found.add(step, q[tile.rows, tile.columns, channels], gains, tile)
    if layers < light.config.layers:
        found.refine(2 * layers)
    return light.synthesise(found.y_hat, weights, layers)


def compare(networks, light, size, layers, quality, area=None, tiles=None):
    levels, q = drawn(light.config, *size)
    whole = Box(0, 0, *size).times(2)
    given = levels, q, layers, quality, area or whole, tiles or [area or whole]
    wanted = by_torch(networks, *given)
    found = without_torch(light, networks.release, *given)
    assert found.shape == wanted.shape and found.dtype == np.uint8
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.995


@pytest.mark.parametrize("size", SIZES)
def test_the_pixels_are_those_of_torch(size):
    networks, light = both(None)
    for layers in (0, 2, light.config.layers):
        for quality in QUALITIES:
            compare(networks, light, size, layers, quality)


def test_a_picture_of_several_blocks_too():
    compare(*both(None), LARGE, 2, 128)


def test_no_blocks_and_bands_show(monkeypatch):
    monkeypatch.setattr(attention, "ATTENTION_TOKENS", 100)
    monkeypatch.setattr(light_estimate, "SPREAD_BLOCK", 10)
    monkeypatch.setattr("sbtcodec.latents.bands.BAND_LATENTS", 50)
    monkeypatch.setattr(light_networks, "COARSE_BLOCK", 20)
    monkeypatch.setattr(light_networks, "FINE_BLOCK", 9)
    networks, light = both(None)
    compare(networks, light, (55, 3), 5, 128)  # more rows than a band of attention has
    compare(networks, light, (13, 11), 2, 255)


def test_a_part_of_a_picture_and_tiles_that_reach_beyond_it():
    networks, light = both(None)
    area = Box(4, 6, 22, 20)
    tiles = list(blocks(Box(0, 0, 26, 42), 8))
    compare(networks, light, (13, 21), 2, 128, area, [t for t in tiles if not t.cut(area).empty])


@pytest.mark.parametrize("number", [m.number for m in read_manifest(weights_dir()).models])
def test_every_model_that_is_installed_decodes(number):
    compare(*both(number), (3, 9), 2, 128)


def test_a_model_of_other_sizes(tiny_weights):
    release = load_release(folder=tiny_weights)
    networks = Networks(release, CPU, bf16=False)
    light = LightNetworks.read(release.path, threads=2)
    for layers in (0, 1, light.config.layers):
        compare(networks, light, (9, 10), layers, 128)


def test_a_part_at_any_place_of_the_local_tokens_is_shown():
    _, light = both(None)
    rng = np.random.default_rng(2)
    y_hat = rng.normal(size=(1, light.config.local_channels, 24, 20)).astype(np.float32)
    weights = np.eye(light.config.gain_anchors, dtype=np.float32)[1]
    whole = light.synthesise(y_hat, weights, 3).astype(int)
    part = light.synthesise(y_hat, weights, 3, Box(3, 2, 14, 19))
    assert np.abs(whole[48:224, 32:304] - part).max() <= 1


def test_windows_hold_each_token_once():
    for height, width in [(1, 1), (4, 4), (8, 8), (9, 3), (17, 20)]:
        for shifted in (False, True):
            found = windows.windows(height, width, shifted=shifted, head_width=32)
            assert np.array_equal(found.tokens.reshape(-1)[found.places], np.arange(height * width))
            assert (found.mask.reshape(-1) == 0).sum() == height * width


def test_all_finite_numbers_of_float16_are_converted():
    numbers = np.arange(2**16, dtype=np.uint16).view(np.float16)
    numbers = numbers[np.isfinite(numbers)].reshape(4, -1)
    wanted = numbers.astype(np.float32)
    assert np.array_equal(of_half(numbers).view(np.uint32), wanted.view(np.uint32))


def test_the_graphs_are_valid():
    onnx = pytest.importorskip("onnx")
    _, light = both(None)
    for name in ("attend", "spread", "refine0", "refine7", "coarse", "fine"):
        found = onnx.load_from_string(light._graph(name).model())
        for tensor in found.graph.initializer:  # which the checker would look for in a file
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            if not tensor.raw_data:
                tensor.raw_data = bytes(4 * int(np.prod(tensor.dims)))
        onnx.checker.check_model(found, full_check=True)


def test_networks_are_made_ready_when_they_are_needed():
    light = LightNetworks.read(load_release(encoder=False).path, threads=1)
    levels, _ = drawn(light.config, 2, 2)
    light.estimate(levels).refine(2 * light.config.coarse_layers)
    assert set(light._sessions) == {"attend", "spread"}


def test_bad_weights_are_told(tmp_path):
    path = load_release(encoder=False).path
    model, stored, _ = read_tensors(path, encoder=False)
    config = model.tokenizer
    levels, _ = drawn(config, 2, 2)
    key = "tokenizer.predictor.embed.weight"
    for wrong, reason in [
        ({}, f"have no {key}"),
        ({key: np.zeros((256, 8), np.int16)}, "stored as int16, expected float16 or float32"),
        ({key: np.zeros(256, np.float16)}, "do not fit the network attend"),
        ({key: np.zeros((256, 7), np.float16)}, "do not fit the network attend"),
    ]:
        given = {k: v for k, v in stored.items() if k != key} | wrong
        with pytest.raises(WeightsError, match=reason):
            LightNetworks(config, given, 1).estimate(levels)
    with pytest.raises(WeightsError, match="released weights"):
        LightNetworks.read(tmp_path / "missing.safetensors")
    save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="released weights"):
        LightNetworks.read(tmp_path / "other.safetensors")


def test_too_little_memory_is_told_apart_from_bad_weights(monkeypatch):
    light = LightNetworks.read(load_release(encoder=False).path, threads=1)
    levels, _ = drawn(light.config, 2, 2)
    light.estimate(levels)

    class Full:
        def run(self, _names, _inputs):
            raise Fail(
                "Gather node: Failed to allocate memory for requested buffer of size 88080384"
            )

    monkeypatch.setattr(light._sessions["spread"], "_session", Full())
    with pytest.raises(MemoryError, match="the network spread cannot run"):
        light.estimate(levels)


def test_torch_is_not_imported():
    code = """
import pkgutil, sys
import numpy as np
import sbtcodec.light
for module in pkgutil.iter_modules(sbtcodec.light.__path__, "sbtcodec.light."):
    __import__(module.name)
from sbtcodec.light.networks import LightNetworks
from sbtcodec.models.registry import read_manifest, weights_dir
folder = weights_dir()
manifest = read_manifest(folder)
light = LightNetworks.read(folder / manifest.entry(manifest.default).file)
found = light.estimate(np.zeros((1, len(light.config.levels), 1, 2), np.int64))
weights = np.eye(light.config.gain_anchors, dtype=np.float32)[0]
assert light.synthesise(found.y_hat, weights, 0).shape == (32, 64, 3)
sys.exit(any(name.partition(".")[0] in ("torch", "onnx") for name in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
