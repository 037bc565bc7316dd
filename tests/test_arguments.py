"""Arguments of the Python interface: what means the same works, the rest is one kind of error."""

import io
import mmap
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs

import sbtcodec
from sbtcodec.codec.codec import Codec
from sbtcodec.codec.rate_control import compress_to_bpp, compress_to_score, compress_to_size
from sbtcodec.codec.tokens import Tokens
from sbtcodec.errors import ArgumentError, DeviceError, ImageError, SbtError, WeightsError
from sbtcodec.evaluation.metrics import psnr

PHOTO = np.ascontiguousarray(photographs.chelsea()[60:109, 100:171])


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def in_steps(array):
    large = np.zeros((2 * array.shape[0], 3 * array.shape[1], *array.shape[2:]), array.dtype)
    large[::2, ::3] = array
    return large[::2, ::3]


LAYOUTS = {
    "flipped": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "channels backwards": lambda a: a[:, :, ::-1].copy()[:, :, ::-1],
    "Fortran order": np.asfortranarray,
    "planes": lambda a: np.moveaxis(np.moveaxis(a, -1, 0).copy(), 0, -1),
    "steps": in_steps,
    "read-only": read_only,
    "a tensor": torch.from_numpy,
}


@pytest.fixture(scope="module")
def file(tiny_codec):
    return tiny_codec.compress(PHOTO, 60)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_is_the_same_picture_in_any_layout_of_memory(tiny_codec, file, layout):
    assert tiny_codec.compress(LAYOUTS[layout](PHOTO), 60) == file


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_channels_of_an_array_are_those_of_pillow(tiny_codec, mode):
    image = Image.fromarray(np.dstack([PHOTO, PHOTO[:, :, 0]])).convert(mode)
    array = np.asarray(image)
    data = tiny_codec.compress(array)
    assert data == tiny_codec.compress(image)
    assert tiny_codec.decompress(data).mode == mode
    if mode == "L":
        assert tiny_codec.compress(array[:, :, None]) == data


def test_alpha_that_is_opaque_everywhere_is_dropped(tiny_codec):
    opaque = np.full(PHOTO.shape[:2], 255, np.uint8)
    assert tiny_codec.compress(np.dstack([PHOTO, opaque])) == tiny_codec.compress(PHOTO)


@pytest.mark.parametrize(
    "array, advice",
    [
        (PHOTO / 255, r"\(image \* 255\)\.round"),
        (PHOTO.astype(np.uint16) * 257, r"image // 257"),
        (PHOTO.astype(np.int64), r"image\.astype"),
        (PHOTO > 3, r"numpy\.uint8\(255\)"),
        (PHOTO.astype(complex), "expected uint8"),
        (np.moveaxis(PHOTO, -1, 0), "moveaxis"),
        (PHOTO[None], "one image"),
        (np.uint8(3), "one image"),
        (PHOTO[:0], "expected 1 to 16383"),
        (np.broadcast_to(np.uint8(0), (16384, 16384)), "expected 1 to 16383"),
    ],
)
def test_other_arrays_are_refused_with_what_to_do(tiny_codec, array, advice):
    with pytest.raises(ImageError, match=advice):
        tiny_codec.compress(array)


@pytest.mark.parametrize(
    "image",
    [
        "photo.png",
        Path("photo.png"),
        None,
        3,
        b"\x89PNG",
        io.BytesIO(),
        [[1, 2], [3, 4]],
        torch.zeros(4, 4, 3, requires_grad=True),
        torch.zeros(4, 4, 3, dtype=torch.bfloat16),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_image_is_refused_with_what_to_do(tiny_codec, image):
    for compress in (
        tiny_codec.compress,
        tiny_codec.tokenize,
        lambda image: compress_to_bpp(tiny_codec, image, 1),
        sbtcodec.compress,
    ):
        with pytest.raises(ArgumentError, match=r"expected an? (PIL )?image|cannot read"):
            compress(image)


NO_QUALITIES = [float("nan"), float("inf"), "50", None, True, 101, -0.1, [1], 1j, 10**5000]


@pytest.mark.parametrize("quality", NO_QUALITIES, ids=lambda q: str(q)[:9] if q != 10**5000 else "")
def test_what_is_no_quality_is_refused(tiny_codec, quality):
    for compress in (tiny_codec.compress, tiny_codec.tokenize, sbtcodec.compress):
        with pytest.raises(ArgumentError, match="quality is"):
            compress(PHOTO, quality)


@pytest.mark.parametrize("number", [np.float32, np.int64, np.float64, np.uint8, Fraction])
def test_numbers_of_any_kind_are_qualities(tiny_codec, file, number):
    assert tiny_codec.compress(PHOTO, number(60)) == file


@pytest.mark.parametrize("effort", [1.5, 3.0, True, None, "3", 10, -1, float("nan")])
def test_what_is_no_effort_is_refused(tiny_codec, effort):
    with pytest.raises(ArgumentError, match=r"effort is .*0 to 9"):
        tiny_codec.compress(PHOTO, effort=effort)
    with pytest.raises(ArgumentError, match=r"effort is .*0 to 9"):
        compress_to_size(tiny_codec, PHOTO, 500, effort=effort)


def test_searches_refuse_what_cannot_be_found(tiny_codec):
    for size in (0, -1, 1.5, "1kB", None, True):
        with pytest.raises(ArgumentError, match="max_bytes is"):
            compress_to_size(tiny_codec, PHOTO, size)
    for bpp in (0, -1, float("nan"), float("inf"), "1", None):
        with pytest.raises(ArgumentError, match="max_bpp is"):
            compress_to_bpp(tiny_codec, PHOTO, bpp)
    for value in ("30", None, float("nan")):
        with pytest.raises(ArgumentError, match="value is"):
            compress_to_score(tiny_codec, PHOTO, psnr, value)


@pytest.mark.parametrize("layers", [-1, True, 1.5, 1.0, "1", [1]])
def test_what_is_no_number_of_layers_is_refused(tiny_codec, file, layers):
    with pytest.raises(ArgumentError, match=r"layers is .*0 or more"):
        tiny_codec.decompress(file, layers)


def test_more_layers_than_there_are_mean_all(tiny_codec, file):
    every = tiny_codec.decode(file)
    assert np.array_equal(tiny_codec.decode(file, np.int64(99)).rgb, every.rgb)


@pytest.mark.parametrize(
    "crop", [(0, 0, 0, 1), (0, 0, 72, 1), (70, 0, 2, 1), (0, 0, 5), "1234", 5, (0, 0, 5, 1.5)]
)
def test_what_is_no_part_of_the_picture_is_refused(tiny_codec, file, crop):
    with pytest.raises(ArgumentError, match="crop"):
        tiny_codec.decompress(file, crop=crop)


@pytest.mark.parametrize("scale", [0, 3, 16, True, 2.0, "1/2", None])
def test_what_is_no_scale_is_refused(tiny_codec, file, scale):
    with pytest.raises(ArgumentError, match="scale is"):
        tiny_codec.decompress(file, scale=scale)


def test_parts_are_given_from_the_top_left(tiny_codec, file):
    whole = np.asarray(tiny_codec.decompress(file)).astype(int)
    part = tiny_codec.decompress(file, crop=(10, 20, 30, 15))
    assert part.size == (30, 15)
    assert np.abs(np.asarray(part) - whole[20:35, 10:40]).max() <= 1
    assert tiny_codec.decompress(file, crop=[10, 20, 30, 16], scale=2).size == (15, 8)


def test_the_limit_of_pixels_comes_before_decoding(tiny_codec, file):
    most = PHOTO.shape[0] * PHOTO.shape[1]
    assert tiny_codec.decompress(file, max_pixels=most).size == (71, 49)
    with pytest.raises(sbtcodec.errors.InvalidFileError, match="raise max_pixels"):
        tiny_codec.decompress(file, max_pixels=most - 1)
    with pytest.raises(ArgumentError, match="max_pixels is"):
        tiny_codec.decompress(file, max_pixels=0)


def as_memory_map(data, folder):
    (folder / "a.sbt").write_bytes(data)
    with (folder / "a.sbt").open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def test_content_may_be_any_buffer(tiny_codec, file, tmp_path):
    spread = np.zeros(2 * len(file), np.uint8)
    spread[::2] = np.frombuffer(file, np.uint8)
    whole = file + bytes(-len(file) % 4)  # read as one more byte of the last layer
    expected = tiny_codec.decode(file).rgb
    for data in (
        bytearray(file),
        memoryview(file),
        memoryview(spread)[::2],
        np.frombuffer(file, np.uint8),
        as_memory_map(file, tmp_path),
    ):
        assert np.array_equal(tiny_codec.decode(data).rgb, expected)
        assert sbtcodec.inspect(data) == sbtcodec.inspect(file)
        assert tiny_codec.tokens_of(data).width == 71
    assert sbtcodec.inspect(memoryview(whole).cast("i")).file_bytes == len(whole)


@pytest.mark.parametrize(
    "data, advice",
    [
        ("a.sbt", "read_bytes"),
        (Path("a.sbt"), "read_bytes"),
        (None, "pass bytes"),
        (3, "pass bytes"),
        ([1, 2], "pass bytes"),
        (io.BytesIO(b"a"), r"file\.read"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_content_is_refused_with_what_to_do(tiny_codec, data, advice):
    for read in (
        tiny_codec.decompress,
        tiny_codec.decode,
        tiny_codec.tokens_of,
        sbtcodec.decompress,
        sbtcodec.inspect,
    ):
        with pytest.raises(ArgumentError, match=advice):
            read(data)


def test_a_closed_buffer_is_refused(tiny_codec, file, tmp_path):
    mapped = as_memory_map(file, tmp_path)
    mapped.close()
    with pytest.raises(ArgumentError, match="closed"):
        tiny_codec.decode(mapped)


def test_paths_are_text_or_paths(tiny_codec, tiny_weights, tmp_path):
    assert Codec.load("cpu", weights=str(tiny_weights)).model_id == tiny_codec.model_id
    tokens = tiny_codec.tokenize(PHOTO)
    tokens.save(str(tmp_path / "t.npz"))
    assert Tokens.load(str(tmp_path / "t.npz")).width == 71
    for path in (None, 3, b"t.npz", io.BytesIO()):
        with pytest.raises(ArgumentError, match="expected a path"):
            Tokens.load(path)
        with pytest.raises(ArgumentError, match="expected a path"):
            tokens.save(path)
        if path is not None:
            with pytest.raises(ArgumentError, match="expected a path"):
                Codec.load("cpu", weights=path)
    with pytest.raises(WeightsError):
        Codec.load("cpu", weights=str(tmp_path))


@pytest.mark.parametrize("device", ["tpu", None, ["cpu"], 0])
def test_what_is_no_device_is_refused(device, file):
    with pytest.raises(DeviceError):
        Codec.load(device)
    with pytest.raises(DeviceError):
        sbtcodec.decompress(file, device=device)


@pytest.mark.parametrize("model", [0, 256, 1.5, True, "8"])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(ArgumentError, match="model is"):
        Codec.load("cpu", model=model)


def test_argument_errors_are_value_errors_and_exit_like_wrong_usage():
    assert issubclass(ArgumentError, SbtError)
    assert issubclass(ArgumentError, ValueError)
    assert ArgumentError.exit_code == 2
    assert sbtcodec.ArgumentError is ArgumentError
