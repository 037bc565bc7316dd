"""A codec that stands in for the real one, and running the program with it in this process."""

import functools
import os
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sbtcodec
from sbtcodec import cli
from sbtcodec.codec.chunks import chunks_of, picture_of
from sbtcodec.container import FORMAT_VERSION, Container, Header, Layer, Part, pack, unpack
from sbtcodec.errors import DeviceError
from sbtcodec.image.picture import Picture
from sbtcodec.image.pixels import as_rgb

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 60, 40


@dataclass
class Decoded:
    picture: Picture
    layers: int
    declared_layers: int
    notice: str | None
    realism: float = 0.0

    @property
    def rgb(self):
        return self.picture.rgb


class FakeCodec:
    """Keeps the size and what is not pixels, in a file of a base layer and two detail layers."""

    @classmethod
    def load(cls, device="auto", *, precision="auto", encoder=True):
        if device == "cuda":
            raise DeviceError('no CUDA device is available; use device="cpu"')
        return cls()

    def compress(self, image, quality=50, *, globals_only=False, effort=3, keep_invisible=False):
        if isinstance(image, Image.Image):
            image = as_rgb(image)
        picture = image if isinstance(image, Picture) else Picture(image)
        height, width = picture.rgb.shape[:2]
        layers = 0 if globals_only else 2
        code = round(quality * 2.55)
        header = Header(FORMAT_VERSION, 1, width, height, code, layers, grayscale=picture.grayscale)
        bodies = [b"base"] if globals_only else [b"base", b"first detail", b"second detail"]
        layers = tuple(
            Layer((Part(body, bytes(header.check_bytes(i))),)) for i, body in enumerate(bodies)
        )
        return pack(Container(header, layers, chunks_of(picture)))

    def decode(
        self,
        data,
        layers=None,
        *,
        allow_partial=False,
        crop=None,
        scale=1,
        realism=0.0,
        max_pixels=2**27,
        conceal=None,
    ):
        container = unpack(data, allow_partial=allow_partial)
        header, present = container.header, len(container.layers) - 1
        used = present if layers is None else min(layers, present)
        notice = None if container.complete else f"cut after detail layer {used} of 2"
        rgb = np.full((header.height, header.width, 3), 100 + used, np.uint8)
        rgb = rgb if crop is None else rgb[crop.rows, crop.columns]
        rgb = np.ascontiguousarray(rgb)
        picture = picture_of(
            rgb,
            container.chunks,
            grayscale=header.grayscale,
            size=(header.height, header.width),
            crop=crop,
            scale=scale,
        )
        return Decoded(picture, used, header.detail_layers, notice)

    def has_look(self, number=None):
        return False

    def decompress(self, data, layers=None, *, max_pixels=2**27, **options):
        return self.decode(data, layers, **options).picture.to_image()


def replace_codec(monkeypatch):
    """Put the stand-in where the program finds its codec, and return that module."""
    module = types.ModuleType("sbtcodec.codec.codec")
    module.Codec = FakeCodec
    monkeypatch.setitem(sys.modules, "sbtcodec.codec.codec", module)
    # which would take its place where onnxruntime is installed
    monkeypatch.setattr("sbtcodec.cli.common.shared_codec.light_is_installed", lambda: False)
    loaded = functools.cache(sbtcodec._loaded_codec.__wrapped__)
    monkeypatch.setattr(sbtcodec, "_loaded_codec", loaded)
    monkeypatch.setattr("sbtcodec.cli.common.shared_codec.light_is_installed", lambda: False)
    return module


def runner(monkeypatch, capture):
    """Return a function that runs the program: exit code, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sbtcodec", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        captured = capture.readouterr()
        return exit_.value.code or 0, captured.out, captured.err

    return run


def subprocess_run(*arguments, **options):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        text=True,
        timeout=60,
        **options,
    )


def assert_fails(result, exit_code, sentence):
    code, out, err = result
    assert code == exit_code
    assert out == ""
    assert err.startswith("sbtcodec: ")
    assert err.count("\n") == 1
    assert sentence in err
