"""Small things the evaluation tests share: a picture, a stub of our codec, a made-up run."""

import io

import numpy as np
from PIL import Image

from sbtcodec.evaluation.machine import Machine
from sbtcodec.evaluation.results import CodecResults, ImageInfo, Measurement, Results


def picture(height=48, width=64, seed=0):
    """A smooth colour picture with some noise, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)], axis=2) * 90 + 128
    return np.clip(waves + rng.normal(0, 4, waves.shape), 0, 255).astype(np.uint8)


class StubModel:
    """Stands in for the real codec: WebP in an envelope, globals at the lowest quality."""

    model_id = "stub-1"

    def compress(self, image, *, quality=50.0, globals_only=False, effort=3):
        buffer = io.BytesIO()
        quality = 0 if globals_only else int(quality)
        Image.fromarray(image).save(buffer, "WEBP", quality=quality, method=min(effort, 6))
        return (b"G" if globals_only else b"Q") + buffer.getvalue()

    def decompress(self, data):
        return Image.open(io.BytesIO(data[1:]))


def run_of(curves):
    """Results in which codec `name` measured the (bpp, psnr) pairs of `curves[name]`."""
    codecs = tuple(
        CodecResults(
            name,
            f"settings of {name}",
            tuple(
                Measurement(
                    image="one",
                    quality=quality,
                    size=int(bpp * 1000),
                    bpp=bpp,
                    psnr=psnr,
                    ms_ssim=1 - 10 ** (-psnr / 20),
                    ssimulacra2=2 * psnr,
                    encode_seconds=0.25,
                    decode_seconds=0.125,
                )
                for quality, (bpp, psnr) in enumerate(pairs)
            ),
        )
        for name, pairs in curves.items()
    )
    return Results(
        date="2026-11-24T12:00:00+00:00",
        commit="0" * 40,
        dataset="sample",
        images=(ImageInfo("one", 100, 80),),
        device="cpu",
        model_id="stub-1" if "sbt" in curves else None,
        machine=Machine("A <fast> CPU", 2, "Linux x86_64", "3.11.7", None),
        packages={"torch": "2.13.0", "numpy": "2.4.6"},
        codecs=codecs,
    )
