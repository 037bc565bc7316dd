"""Chunks beside the pixels: transparency, profile, EXIF and XMP come back, bad chunks are said."""

import io
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from profiles import LINEAR_GRAY, RED_AND_BLUE_SWAPPED
from skimage import data as photographs

from sbtcodec.codec import chunks
from sbtcodec.codec.chunks import chunks_of, metadata_of, picture_of
from sbtcodec.container import Chunk
from sbtcodec.errors import ImageError, InvalidFileError
from sbtcodec.grid import Box
from sbtcodec.image.picture import Picture
from sbtcodec.limits import MAX_CHUNK_BYTES

PHOTO = photographs.coffee()[:40, :51]
SOFT = photographs.moon()[100:140, 100:151]
HARD = np.where(SOFT > np.median(SOFT), np.uint8(255), np.uint8(0))
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a/>" * 50 + b"</x:xmpmeta>"


def exif_data():
    exif = Image.Exif()
    exif[271] = "Maker"
    return exif.tobytes().removeprefix(b"Exif\0\0")


def full_picture(alpha=SOFT):
    return Picture(PHOTO, alpha=alpha, icc=RED_AND_BLUE_SWAPPED, exif=exif_data(), xmp=XMP)


def file_of(image, image_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


# There and back


@pytest.mark.parametrize("grayscale", [False, True])
def test_everything_comes_back(grayscale):
    picture = replace(full_picture(), grayscale=grayscale)
    chunks = chunks_of(picture)
    assert [chunk.kind for chunk in chunks] == ["ALPH", "ICCP", "EXIF", "XMPP"]
    found = picture_of(PHOTO, chunks, grayscale=grayscale, notices=("cut",))
    assert found.rgb is PHOTO
    assert np.array_equal(found.alpha, SOFT)
    assert (found.icc, found.exif, found.xmp) == (picture.icc, picture.exif, picture.xmp)
    assert (found.grayscale, found.notices) == (grayscale, ("cut",))


def test_a_plain_picture_has_no_chunks():
    assert chunks_of(Picture(PHOTO)) == ()
    found = picture_of(PHOTO, (), grayscale=False)
    assert (found.alpha, found.icc, found.exif, found.xmp) == (None, None, None, None)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (31, 33)])
@pytest.mark.parametrize("levels", [2, 256])
def test_alpha_of_any_size_comes_back(size, levels):
    alpha = np.random.default_rng(0).integers(0, levels, size).astype(np.uint8)
    alpha = alpha * np.uint8(255 // (levels - 1))
    rgb = np.zeros((*size, 3), np.uint8)
    chunks = chunks_of(Picture(rgb, alpha=alpha))
    assert np.array_equal(picture_of(rgb, chunks, grayscale=False).alpha, alpha)


@pytest.mark.parametrize("image_format, options", [("PNG", {}), ("WEBP", {"lossless": True})])
def test_alpha_in_either_format_is_read(image_format, options):
    chunk = Chunk("ALPH", file_of(Image.fromarray(SOFT), image_format, **options))
    assert np.array_equal(picture_of(PHOTO, [chunk], grayscale=False).alpha, SOFT)


def test_alpha_takes_the_smaller_format():
    for alpha in (SOFT, HARD, np.zeros_like(SOFT)):
        (chunk,) = chunks_of(Picture(PHOTO, alpha=alpha))
        image = Image.fromarray(alpha)
        assert len(chunk.data) <= len(file_of(image, optimize=True))
        assert len(chunk.data) <= len(file_of(image, "WEBP", lossless=True, quality=100))


def test_a_sharp_mask_takes_few_bytes():
    (chunk,) = chunks_of(Picture(PHOTO, alpha=HARD))
    assert len(chunk.data) < HARD.size / 8


def test_metadata_is_deflated_if_that_is_shorter():
    random = np.random.default_rng(0).bytes(100)
    for data, first in ((XMP, 1), (random, 0), (b"a", 0)):
        (chunk,) = chunks_of(Picture(PHOTO, xmp=data))
        assert chunk.data[0] == first
        assert len(chunk.data) <= 1 + len(data)
        assert metadata_of([chunk]) == {"xmp": data}


def test_chunks_of_unknown_kinds_are_ignored():
    chunks = (Chunk("NEWS", b"\xff"), *chunks_of(full_picture()), Chunk("NEWS", b""))
    found = picture_of(PHOTO, chunks, grayscale=False)
    assert found.xmp == XMP
    assert np.array_equal(found.alpha, SOFT)


def test_a_part_of_the_picture_has_that_part_of_the_alpha():
    chunks = chunks_of(full_picture())
    crop = Box(3, 5, 27, 45)
    part = PHOTO[crop.rows, crop.columns]
    found = picture_of(part, chunks, grayscale=False, size=PHOTO.shape[:2], crop=crop)
    assert np.array_equal(found.alpha, SOFT[crop.rows, crop.columns])
    found = picture_of(part, chunks, grayscale=False, size=PHOTO.shape[:2], crop=crop, scale=4)
    reduced = Image.fromarray(np.ascontiguousarray(SOFT[crop.rows, crop.columns])).reduce(4)
    assert np.array_equal(found.alpha, reduced)


def test_metadata_is_read_without_decoding_alpha():
    picture = Picture(PHOTO, icc=LINEAR_GRAY, grayscale=True)
    chunks = (Chunk("ALPH", b"nonsense"), *chunks_of(picture))
    assert metadata_of(chunks) == {"icc": LINEAR_GRAY}


# What is too large


def test_metadata_as_large_as_a_chunk_comes_back():
    data = bytes(MAX_CHUNK_BYTES - 1)
    (chunk,) = chunks_of(Picture(PHOTO, xmp=data))
    assert metadata_of([chunk])["xmp"] == data


def test_metadata_larger_than_a_chunk_is_refused():
    with pytest.raises(ImageError, match="XMPP data has 16777216 bytes, expected at most 16777215"):
        chunks_of(Picture(PHOTO, xmp=bytes(MAX_CHUNK_BYTES)))


def test_alpha_larger_than_a_chunk_is_refused(monkeypatch):
    monkeypatch.setattr(chunks, "MAX_CHUNK_BYTES", 100)
    with pytest.raises(ImageError, match="alpha channel takes .* bytes, expected at most 100"):
        chunks_of(Picture(PHOTO, alpha=SOFT))


# Bad chunks


def assert_refused(kind, data, message):
    with pytest.raises(InvalidFileError, match=message) as caught:
        picture_of(PHOTO, [Chunk(kind, data)], grayscale=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["ICCP", "EXIF", "XMPP"])
@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "is empty"),
        (b"\2abc", "starts with 2, expected 0 or 1"),
        (b"\1abc", "cannot be inflated"),
        (b"\1" + zlib.compress(XMP)[:-5], "has no end"),
        (b"\1" + zlib.compress(XMP) + b"more", "has bytes after its end"),
        (b"\1" + zlib.compress(bytes(MAX_CHUNK_BYTES)), "inflates to over 16777215 bytes"),
    ],
)
def test_bad_metadata_is_refused(kind, data, message):
    assert_refused(kind, data, f"the {kind} chunk .*{message}")


def test_a_bomb_is_not_inflated(monkeypatch):
    asked = []

    class Stream:
        def decompress(self, data, most):
            asked.append(most)
            return bytes(most)

    monkeypatch.setattr(chunks.zlib, "decompressobj", Stream)
    assert_refused("ICCP", b"\1", "inflates to over")
    assert asked == [MAX_CHUNK_BYTES]


@pytest.mark.parametrize("kind", ["ALPH", "ICCP", "EXIF", "XMPP"])
def test_two_chunks_of_a_kind_are_refused(kind):
    (chunk,) = (chunk for chunk in chunks_of(full_picture()) if chunk.kind == kind)
    with pytest.raises(InvalidFileError, match=f"two {kind} chunks"):
        picture_of(PHOTO, [chunk, chunk], grayscale=False)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"GIF89a", b"\x89PNG"])
def test_alpha_that_is_no_known_file_is_refused(data):
    assert_refused("ALPH", data, "expected a PNG or WebP file")


@pytest.mark.parametrize("image_format, options", [("PNG", {}), ("WEBP", {"lossless": True})])
def test_alpha_of_another_size_is_refused_before_decoding(monkeypatch, image_format, options):
    def fail(*_):
        raise AssertionError("it was decoded")

    for size in ((51, 39), (40, 51), (1, 2040)):
        data = file_of(Image.new("L", size), image_format, **options)
        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "getchannel", fail)
            patch.setattr(Image.Image, "load", fail)
            found = f"{size[0]} x {size[1]} pixels, expected 51 x 40"
            assert_refused("ALPH", data, f"{found}|exceeds limit")


@pytest.mark.parametrize("image_format, options", [("PNG", {}), ("WEBP", {"lossless": True})])
def test_alpha_of_far_too_many_pixels_is_refused(image_format, options):
    data = file_of(Image.new("L", (3000, 3000)), image_format, **options)
    assert_refused("ALPH", data, "3000 x 3000 pixels|9000000 pixels, expected at most 2040")


@pytest.mark.parametrize(
    "data",
    [
        file_of(Image.fromarray(PHOTO)),
        file_of(Image.fromarray(np.dstack([PHOTO, SOFT])), "WEBP", lossless=True),
        file_of(Image.fromarray(SOFT.astype(np.uint16))),
    ],
)
def test_alpha_of_more_than_one_channel_is_refused(data):
    assert_refused("ALPH", data, "expected one channel")


def test_an_animation_as_alpha_is_refused():
    frames = [Image.fromarray(SOFT), Image.fromarray(HARD)]
    options = {"save_all": True, "append_images": frames[1:]}
    for data in (file_of(frames[0], **options), file_of(frames[0], "WEBP", **options)):
        assert_refused("ALPH", data, "expected one channel and one frame|has mode RGB")


@pytest.mark.parametrize("image_format, options", [("PNG", {}), ("WEBP", {"lossless": True})])
def test_cut_alpha_is_refused(image_format, options):
    data = file_of(Image.fromarray(SOFT), image_format, **options)
    for part in (0.1, 0.5, 0.9):
        assert_refused("ALPH", data[: int(part * len(data))], "the ALPH chunk")


@pytest.mark.parametrize("image_format, options", [("PNG", {}), ("WEBP", {"lossless": True})])
def test_damaged_alpha_raises_nothing_but_invalid_file_errors(image_format, options):
    data = file_of(Image.fromarray(SOFT), image_format, **options)
    random = np.random.default_rng(1)
    for _ in range(100):
        damaged = bytearray(data)
        for offset in random.integers(0, min(len(data), 200), 3):
            damaged[offset] = random.integers(256)
        try:
            found = picture_of(PHOTO, [Chunk("ALPH", bytes(damaged))], grayscale=False)
        except InvalidFileError:
            continue
        assert found.alpha.shape == PHOTO.shape[:2]
