"""Images through the whole codec: any size, any layer, the same symbols everywhere."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.codec.checks import seed_of
from sbtcodec.codec.codec import Codec
from sbtcodec.container import describe, unpack
from sbtcodec.errors import DeviceError, ImageError
from sbtcodec.evaluation.metrics import psnr
from sbtcodec.grid import Box
from sbtcodec.image.picture import Picture
from sbtcodec.image.pixels import as_rgb
from sbtcodec.latents.blocks import Networks
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.decoder import Decoder
from sbtcodec.tokenizer.local_encoder import LocalEncoder

M = TypeVar("M", bound=torch.nn.Module)

SIZES = [(1, 1), (1, 200), (200, 1), (31, 33), (64, 64), (100, 257)]


def noise(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("globals_only", [False, True])
def test_any_size_comes_back_with_its_size(
    tiny_codec: Codec, height: int, width: int, globals_only: bool
) -> None:
    data = tiny_codec.compress(noise(height, width), globals_only=globals_only)
    assert tiny_codec.decompress(data).size == (width, height)


def test_layers_that_can_say_nothing_are_not_computed_and_the_file_is_the_same(
    codec: Codec, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    refined: list[int] = []
    refine = Networks.refine
    monkeypatch.setattr(
        Networks, "refine", lambda *given: (refined.append(given[2]), refine(*given))[1]
    )
    files = {quality: codec.compress(photo, quality) for quality in (0, 5, 50)}
    steps = 2 * codec.networks.symbols.config.layers
    assert len(refined) < len(files) * steps
    refined.clear()
    monkeypatch.setattr("sbtcodec.codec.encoder._silent_from", lambda *_: False)
    assert files == {quality: codec.compress(photo, quality) for quality in files}
    assert refined == [*range(steps)] * len(files)


def test_a_photograph_is_recognisable_and_gets_better_with_quality(
    codec: Codec, photo: NDArray[np.uint8]
) -> None:
    files = [codec.compress(photo, globals_only=True)]
    files += [codec.compress(photo, quality=q) for q in (10, 50, 90)]
    sizes = [len(f) for f in files]
    scores = [psnr(photo, codec.decode(f).rgb) for f in files]
    assert sizes == sorted(sizes)
    assert scores == sorted(scores)
    assert scores[0] > 18
    assert scores[-1] > 29


def test_size_grows_with_quality_at_every_step(codec: Codec, photo: NDArray[np.uint8]) -> None:
    sizes = [len(codec.compress(photo, quality=q)) for q in range(0, 101, 10)]
    assert all(a < b for a, b in pairwise(sizes))


def test_each_detail_layer_improves_the_picture(codec: Codec, photo: NDArray[np.uint8]) -> None:
    data = codec.compress(photo, quality=60)
    scores = [psnr(photo, codec.decode(data, layers=n).rgb) for n in range(5)]
    # the last layer holds next to nothing at some qualities; a hair of noise is no harm
    assert all(after > before - 0.05 for before, after in pairwise(scores))
    assert scores[1] > scores[0] + 2
    assert scores[3] > scores[1] + 2


def test_the_same_settings_give_the_same_bytes(
    codec: Codec, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    first = codec.compress(photo, quality=40)
    assert codec.compress(photo, quality=40) == first
    Image.fromarray(photo).save(tmp_path / "photo.png")
    assert codec.compress(Image.open(tmp_path / "photo.png"), quality=40) == first


def symbols(codec: Codec, data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """The levels and residual symbols that decoding `data` passes through."""
    seen: list[TileSymbols] = []
    original = TileSymbols.check

    def spy(tile: TileSymbols, layer: int, before: int) -> int:
        seen.append(tile)
        return original(tile, layer, before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TileSymbols, "check", spy)
        codec.decode(data)
    return seen[-1].levels, seen[-1].q


def test_symbols_do_not_depend_on_threads_or_float_precision(
    photo: NDArray[np.uint8],
) -> None:
    codec = Codec.load("cpu", precision="float32")
    data = codec.compress(photo, quality=50)
    levels, q = symbols(codec, data)
    assert np.abs(q).max() > 0
    half = Codec.load("cpu", precision="bfloat16")
    threads = torch.get_num_threads()
    try:
        for other, count in ((codec, 1), (codec, 2), (half, 2)):
            torch.set_num_threads(count)
            levels_again, q_again = symbols(other, data)
            assert np.array_equal(levels, levels_again)
            assert np.array_equal(q, q_again)
    finally:
        torch.set_num_threads(threads)
    picture = codec.decode(data).rgb.astype(int)
    assert np.abs(picture - half.decode(data).rgb).mean() < 1.5


def test_symbols_are_the_same_in_a_second_process(
    codec: Codec, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "photo.sbt").write_bytes(codec.compress(photo, quality=50))
    script = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from sbtcodec.codec.codec import Codec\n"
        "from PIL import Image\n"
        "import numpy as np\n"
        "Image.fromarray(Codec.load('cpu').decode(open(sys.argv[1], 'rb').read()).rgb)"
        ".save(sys.argv[2])\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "photo.sbt"), str(tmp_path / "out.png")],
        check=True,
    )
    here = codec.decode((tmp_path / "photo.sbt").read_bytes()).rgb.astype(int)
    there = np.asarray(Image.open(tmp_path / "out.png")).astype(int)
    # the symbols passed their checks there; pixels may differ by the rounding of one
    assert np.abs(here - there).max() <= 1


def test_images_decode_alike_in_any_order(codec: Codec, photo: NDArray[np.uint8]) -> None:
    """Decoding keeps no state: alone, after another image, and again after that."""
    other = np.ascontiguousarray(photo[:77, ::-1][:, :91])
    a, b = codec.compress(photo, quality=30), codec.compress(other, quality=70)
    first = codec.decode(a).rgb
    assert np.array_equal(codec.decode(b).rgb, codec.decode(b).rgb)
    assert np.array_equal(codec.decode(a).rgb, first)


def test_a_batch_of_images_has_the_symbols_of_each(tiny_codec: Codec) -> None:
    """Integer networks give each image of a batch what they give it alone."""
    prior = tiny_codec.release.model.prior
    z = torch.randint(-56, 57, (3, len(prior.levels), 5, 7)).float()
    together = prior(z)
    for i in range(3):
        for d, alone in enumerate(prior(z[i : i + 1])):
            assert torch.equal(together[d][i : i + 1], alone)


def large(height: int, width: int) -> NDArray[np.uint8]:
    """A smooth picture, in which seams would show."""
    small = Image.fromarray(noise(max(2, height // 35), max(2, width // 35)))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def test_blocks_and_bands_give_the_picture_of_the_whole(
    tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = large(450, 330)
    files = {quality: tiny_codec.compress(image, quality) for quality in (10, 60)}
    data = files[60]
    whole = tiny_codec.decode(data).rgb.astype(int)
    monkeypatch.setattr("sbtcodec.latents.showing.COARSE_BLOCK", 10)
    monkeypatch.setattr("sbtcodec.latents.showing.FINE_BLOCK", 3)
    monkeypatch.setattr("sbtcodec.latents.estimate.SPREAD_BLOCK", 6)
    monkeypatch.setattr("sbtcodec.latents.bands.BAND_LATENTS", 6)
    for quality, file in files.items():
        before = tiny_codec.tokens_of(file)
        after = tiny_codec.tokens_of(tiny_codec.compress(image, quality))
        # a value between two symbols may fall to either side; a seam would change most of them
        assert (before.levels != after.levels).mean() < 0.01
        assert (before.symbols != after.symbols).mean() < 0.01
    assert np.abs(tiny_codec.decode(data).rgb.astype(int) - whole).max() <= 1


def stirred(module: M) -> M:
    """The module with weights by which all that is near has an effect."""
    torch.manual_seed(0)
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(0, 0.3 if p.ndim > 2 else 0.1)
    return module


SIZES = pytest.mark.parametrize(
    "sizes",
    [
        TokenizerConfig(),
        TokenizerConfig(local_channels=200, groups=(16, 32, 48, 64, 40), fine_channels=40),
    ],
    ids=["plain", "fine channels"],
)


@SIZES
def test_a_part_is_encoded_as_in_the_whole(sizes: TokenizerConfig) -> None:
    encoder = stirred(LocalEncoder(sizes))
    with torch.no_grad():
        x, whole_box = torch.rand(1, 3, 16 * 14, 16 * 12), Box(0, 0, 14, 12)
        whole = encoder.fine(x)
        assert torch.allclose(encoder.coarse(whole), encoder(x))
        for box in (Box(6, 5, 8, 7), Box(0, 0, 3, 12), Box(13, 0, 14, 2)):
            seen = box.grown(encoder.fine_reach, whole_box)
            pixels = seen.times(16)
            part = encoder.fine(x[:, :, pixels.rows, pixels.columns], box.seen_from(seen))
            assert torch.allclose(part, whole[:, :, box.rows, box.columns], rtol=1e-3, atol=1e-3)


@SIZES
def test_a_part_decodes_as_in_the_whole(sizes: TokenizerConfig) -> None:
    decoder = stirred(Decoder(sizes))
    with torch.no_grad():
        y_hat = torch.randn(1, sizes.local_channels, 24, 22)
        anchor_weights, layers = torch.eye(7)[:1], torch.tensor([4])
        whole = decoder(y_hat, anchor_weights, layers)
        for box in (Box(8, 9, 11, 14), Box(0, 0, 5, 22), Box(20, 1, 24, 2), Box(0, 0, 24, 22)):
            pixels = box.times(16)
            part = decoder(y_hat, anchor_weights, layers, box)
            assert torch.allclose(part, whole[:, :, pixels.rows, pixels.columns], atol=1e-2)
            around = box.grown(8, Box(0, 0, 24, 22))
            seen = y_hat[:, :, around.rows, around.columns]
            alone = decoder(seen, anchor_weights, layers, box.seen_from(around))
            assert torch.allclose(alone, part, atol=1e-2)


@pytest.mark.parametrize("quality", [10, 30])
def test_tiles_have_no_seams_and_cost_little(
    codec: Codec, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, quality: int
) -> None:
    whole = codec.compress(photo, quality)
    tokens, picture = codec.tokens_of(whole), codec.decode(whole).rgb.astype(int)
    monkeypatch.setattr("sbtcodec.grid.TOKENS_PER_TILE", 4)
    tiled = codec.compress(photo, quality)
    assert describe(tiled).tiles > 1
    assert len(tiled) < 1.25 * len(whole)
    # The same prediction, and nearly the same symbols: which table is picked near a border depends
    # on the tile, and with it what a symbol costs.
    again = codec.tokens_of(tiled)
    assert np.array_equal(again.levels, tokens.levels)
    moved = np.abs(again.symbols.astype(int) - tokens.symbols)
    assert moved.max() <= 1
    assert moved.sum() < 0.1 * np.abs(tokens.symbols.astype(int)).sum()
    shown = codec.decode(tiled).rgb.astype(int)
    errors = [np.mean((p - photo) ** 2) for p in (shown, picture)]
    assert errors[0] < 1.04 * errors[1]
    side = 4 * 32
    across = [
        np.abs(p[side] - p[side - 1]).mean() + np.abs(p[:, side] - p[:, side - 1]).mean()
        for p in (shown, picture)
    ]
    assert across[0] < 1.1 * across[1]
    assert moved.any() or np.abs(shown - picture).max() <= 1


@pytest.mark.parametrize("box", [(0, 0, 20, 30), (250, 100, 300, 330), (97, 3, 98, 4)])
def test_a_crop_is_cut_out_of_the_picture(
    tiny_codec: Codec, box: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbtcodec.grid.TOKENS_PER_TILE", 2)
    data = tiny_codec.compress(large(300, 330), quality=60)
    whole = tiny_codec.decode(data).rgb.astype(int)
    crop = Box(*box)
    cut = tiny_codec.decode(data, crop=crop).rgb
    assert np.abs(whole[crop.rows, crop.columns] - cut).max() <= 1


def test_a_crop_reads_only_the_tiles_that_it_needs(
    tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbtcodec.grid.TOKENS_PER_TILE", 8)
    image = large(64, 3000)
    data = tiny_codec.compress(image, quality=60)
    seen: list[int] = []
    original = TileSymbols.prepare_details
    monkeypatch.setattr(
        TileSymbols,
        "prepare_details",
        lambda tile: (seen.append(tile.tokens.left), original(tile))[1],
    )
    tiny_codec.decode(data, crop=Box(0, 0, 64, 100))
    assert max(seen) <= 16
    seen.clear()
    tiny_codec.decode(data)
    assert max(seen) == 88


def test_a_scaled_picture_is_the_mean_of_pixels(tiny_codec: Codec) -> None:
    data = tiny_codec.compress(large(61, 130), quality=60)
    whole = Image.fromarray(tiny_codec.decode(data).rgb)
    for scale in (2, 4, 8):
        small = tiny_codec.decode(data, scale=scale).rgb
        assert np.array_equal(small, np.asarray(whole.reduce(scale)))


def test_impossible_crops_and_scales_are_refused(tiny_codec: Codec) -> None:
    data = tiny_codec.compress(noise(40, 50))
    for crop in (Box(0, 0, 41, 50), Box(5, 5, 5, 9), Box(-1, 0, 4, 4)):
        with pytest.raises(ValueError, match="crop"):
            tiny_codec.decode(data, crop=crop)
    with pytest.raises(ValueError, match="scale"):
        tiny_codec.decode(data, scale=3)


def test_header_and_lengths_take_few_bytes(codec: Codec, photo: NDArray[np.uint8]) -> None:
    assert describe(codec.compress(photo, globals_only=True)).overhead_bytes == 8
    for quality in (0, 20, 60, 100):
        info = describe(codec.compress(photo, quality))
        assert info.overhead_bytes <= 8 + 2 * (len(info.layers) - 1)


def test_checks_depend_on_the_header_and_the_model(
    tiny_codec: Codec, codec: Codec, photo: NDArray[np.uint8]
) -> None:
    header = unpack(tiny_codec.compress(photo)).header
    checks = {
        seed_of(other, c.release, index)
        for c in (tiny_codec, codec)
        for other in (header, replace(header, quality=7), replace(header, grayscale=True))
        for index in (0, 1)
    }
    assert len(checks) == 12


def test_trailing_layers_that_say_nothing_are_left_out(
    codec: Codec, photo: NDArray[np.uint8]
) -> None:
    data = codec.compress(photo, quality=0)
    declared = unpack(data).header.detail_layers
    assert declared < 4
    assert codec.decode(data).notice is None
    alone = len(codec.compress(photo, globals_only=True))
    assert alone <= len(data) < alone * 1.4


def test_what_is_not_an_image_is_refused(tiny_codec: Codec) -> None:
    for bad in (
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 16384, 3), np.uint8),
    ):
        with pytest.raises(ImageError):
            tiny_codec.compress(bad)
    with pytest.raises(ValueError, match="quality"):
        tiny_codec.compress(noise(8, 8), quality=101)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(DeviceError, match="auto, cpu or cuda"):
        Codec.load("tpu")


@pytest.mark.gpu
def test_cuda_decodes_the_symbols_of_the_cpu(photo: NDArray[np.uint8]) -> None:
    codec, cuda = (Codec.load(device, precision="float32") for device in ("cpu", "cuda"))
    for data in (codec.compress(photo, quality=50), cuda.compress(photo, quality=50)):
        levels, q = symbols(codec, data)
        levels_there, q_there = symbols(cuda, data)
        assert torch.equal(levels, levels_there)
        assert np.array_equal(q, q_there)
        apart = np.abs(codec.decode(data).rgb.astype(int) - cuda.decode(data).rgb)
        assert apart.max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_what_belongs_to_the_pixels_comes_back(
    tiny_codec: Codec, photo: NDArray[np.uint8], mode: str
) -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    image = Image.fromarray(np.dstack([photo, photo[:, ::-1, 0]])).convert(mode)
    image.info.update({"exif": exif.tobytes(), "xmp": b"<x:xmpmeta/>"})
    data = tiny_codec.compress(image)
    assert unpack(data).header.grayscale == mode.startswith("L")
    back = tiny_codec.decompress(data)
    assert (back.mode, back.info) == (mode, image.info)
    if mode.endswith("A"):
        assert np.array_equal(back.getchannel("A"), image.getchannel("A"))
    assert tiny_codec.decompress(tiny_codec.compress(as_rgb(image))).info == image.info


def test_a_part_of_a_picture_has_its_part_of_the_transparency(
    tiny_codec: Codec, photo: NDArray[np.uint8]
) -> None:
    alpha = np.ascontiguousarray(photo[:, :, 1])
    data = tiny_codec.compress(Picture(photo, alpha=alpha))
    crop = Box(10, 21, 90, 150)
    part = tiny_codec.decode(data, crop=crop).picture.alpha
    assert part is not None
    assert np.array_equal(part, alpha[crop.rows, crop.columns])
    small = tiny_codec.decode(data, crop=crop, scale=4).picture
    assert small.alpha is not None
    assert small.alpha.shape == small.rgb.shape[:2]


def test_transparency_leaves_the_symbols_of_the_pixels_as_they_are(
    tiny_codec: Codec, photo: NDArray[np.uint8]
) -> None:
    plain = unpack(tiny_codec.compress(photo))
    transparent = unpack(tiny_codec.compress(Picture(photo, alpha=photo[:, :, 1].copy())))
    assert [chunk.kind for chunk in transparent.chunks] == ["ALPH"]
    assert transparent.layers == plain.layers
