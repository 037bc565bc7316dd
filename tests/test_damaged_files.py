"""A damaged or cut file gives an error or the right picture, never a wrong picture in silence."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.codec.codec import Codec
from sbtcodec.container import Container, Layer, Part, describe, pack, unpack
from sbtcodec.errors import InvalidFileError, ModelMismatchError, SbtError


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    rng = np.random.default_rng(7)
    small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((40, 36), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def small_file(tiny_codec: Codec, image: NDArray[np.uint8]) -> bytes:
    return tiny_codec.compress(image, quality=45)


def assert_error_or_right_picture(codec: Codec, data: bytes, right: NDArray[np.uint8]) -> None:
    try:
        decoded = codec.decode(data)
    except SbtError as error:
        assert str(error)
        assert "\n" not in str(error)
        return
    assert np.array_equal(decoded.rgb, right)


def flip_everywhere(codec: Codec, data: bytes, changes: list[int]) -> None:
    right = codec.decode(data).rgb
    for at in range(len(data)):
        for change in changes:
            bad = bytearray(data)
            bad[at] ^= change
            assert_error_or_right_picture(codec, bytes(bad), right)


def test_every_flipped_byte_is_noticed(tiny_codec: Codec, small_file: bytes) -> None:
    flip_everywhere(tiny_codec, small_file, [0x01, 0x80, 0xFF])


@pytest.mark.slow
def test_every_value_of_every_byte_is_noticed(tiny_codec: Codec, small_file: bytes) -> None:
    flip_everywhere(tiny_codec, small_file, list(range(1, 256)))


def test_every_truncation_is_an_error_or_whole_layers(tiny_codec: Codec, small_file: bytes) -> None:
    whole = [tiny_codec.decode(small_file, layers=n).rgb for n in range(5)]
    decoded_layers = set()
    for length in range(len(small_file)):
        try:
            decoded = tiny_codec.decode(small_file[:length])
        except InvalidFileError:
            continue
        assert np.array_equal(decoded.rgb, whole[decoded.layers])
        assert decoded.notice is not None or decoded.layers == 4
        decoded_layers.add(decoded.layers)
    assert {0, 1, 2, 3} <= decoded_layers


def test_a_cut_after_each_layer_decodes_what_is_there(tiny_codec: Codec, small_file: bytes) -> None:
    info = describe(small_file)
    end = info.overhead_bytes
    for n, layer in enumerate(info.layers):
        end += layer.present_bytes
        decoded = tiny_codec.decode(small_file[:end])
        assert decoded.layers == n
        assert np.array_equal(decoded.rgb, tiny_codec.decode(small_file, layers=n).rgb)


def test_allow_partial_decodes_the_layers_before_a_cut(
    tiny_codec: Codec, small_file: bytes
) -> None:
    info = describe(small_file)
    inside = info.overhead_bytes + sum(x.present_bytes for x in info.layers[:3]) - 2
    with pytest.raises(InvalidFileError):
        tiny_codec.decode(small_file[:inside])
    decoded = tiny_codec.decode(small_file[:inside], allow_partial=True)
    assert decoded.layers == 1
    assert decoded.notice is not None
    assert np.array_equal(decoded.rgb, tiny_codec.decode(small_file, layers=1).rgb)


def test_allow_partial_drops_a_damaged_layer(tiny_codec: Codec, small_file: bytes) -> None:
    info = describe(small_file)
    at = info.overhead_bytes + sum(x.present_bytes for x in info.layers[:2]) + 1
    bad = bytearray(small_file)
    bad[at] ^= 0x10
    with pytest.raises(InvalidFileError, match="detail layer 2"):
        tiny_codec.decode(bytes(bad))
    decoded = tiny_codec.decode(bytes(bad), allow_partial=True)
    assert decoded.layers == 1
    assert "damaged after detail layer 1" in (decoded.notice or "")
    assert np.array_equal(decoded.rgb, tiny_codec.decode(small_file, layers=1).rgb)


def test_damage_in_the_base_layer_is_always_an_error(tiny_codec: Codec, small_file: bytes) -> None:
    bad = bytearray(small_file)
    bad[describe(small_file).overhead_bytes] ^= 0x40
    with pytest.raises(InvalidFileError, match="base layer"):
        tiny_codec.decode(bytes(bad), allow_partial=True)


def test_a_file_of_an_unknown_model_is_refused(tiny_codec: Codec, small_file: bytes) -> None:
    with pytest.raises(ModelMismatchError, match="model 200"):
        tiny_codec.decode(small_file[:2] + bytes([200]) + small_file[3:])


def test_a_file_of_other_weights_is_refused(codec: Codec, small_file: bytes) -> None:
    same_number = small_file[:2] + bytes([codec.release.number]) + small_file[3:]
    with pytest.raises(InvalidFileError):
        codec.decode(same_number)


def test_more_layers_than_the_model_has_are_refused(tiny_codec: Codec, small_file: bytes) -> None:
    container = unpack(small_file)
    header = replace(container.header, detail_layers=5)
    layers = [
        Layer((Part(b"", bytes(header.check_bytes(i))),)) for i in range(header.detail_layers + 1)
    ]
    data = pack(Container(header, tuple(layers)))
    for read in (tiny_codec.decode, tiny_codec.tokens_of):
        with pytest.raises(InvalidFileError, match="makes at most 4"):
            read(data)


def test_a_damaged_base_layer_advises_nothing_that_cannot_help(
    tiny_codec: Codec, small_file: bytes
) -> None:
    at = describe(small_file).overhead_bytes
    bad = small_file[:at] + bytes([small_file[at] ^ 0x40]) + small_file[at + 1 :]
    with pytest.raises(InvalidFileError, match="get a fresh copy$"):
        tiny_codec.decode(bad, allow_partial=True)
