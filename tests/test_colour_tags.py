"""Colours that a file names without a profile: kept, converted, or said, in files of every kind."""

import io
import struct
import zlib

import numpy as np
import pytest
from image_files import PIXELS, avif_with_code_points, exif, jpeg, png, saved
from PIL import Image, ImageCms
from profiles import RED_AND_BLUE_SWAPPED

from sbtcodec import Codec
from sbtcodec.codec.chunks import chunks_of, metadata_of, picture_of
from sbtcodec.container import Chunk
from sbtcodec.errors import InvalidFileError
from sbtcodec.image import cicp, profiles
from sbtcodec.image.picture import Picture
from sbtcodec.image.pixels import as_rgb, load_image
from sbtcodec.image.saving import encode_image, fitted

P3, PQ, HLG, SRGB = (bytes((*codes, 0, 1)) for codes in ((12, 13), (9, 16), (9, 18), (1, 13)))
UNUSABLE = ("the colour tags of the file are unusable: colours are taken as sRGB",)


def gamma(value):
    return b"gAMA", struct.pack(">I", round(100_000 * value))


def chromaticities(primaries, white=profiles.D65):
    return b"cHRM", struct.pack(">8I", *(round(100_000 * v) for v in (*white, *primaries)))


def in_srgb(rgb, primaries, decode):
    """Samples as sRGB, computed without profiles."""

    def matrix(points):
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in np.reshape(points, (3, 2))]).T
        x, y = profiles.D65
        return columns * np.linalg.solve(columns, [x / y, 1, (1 - x - y) / y])

    linear = decode(rgb / 255) @ (np.linalg.inv(matrix(profiles.SRGB)) @ matrix(primaries)).T
    linear = np.clip(linear, 0, 1)
    curved = 1.055 * linear ** (1 / 2.4) - 0.055
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, curved)


def srgb_decoded(values):
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


P3_PRIMARIES = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)


# What is read


@pytest.mark.parametrize(
    "chunks, primaries, decode",
    [
        ([gamma(1.0)], profiles.SRGB, lambda v: v),
        ([gamma(1 / 1.8)], profiles.SRGB, lambda v: v**1.8),
        ([gamma(0.45455), chromaticities(P3_PRIMARIES)], P3_PRIMARIES, srgb_decoded),
        ([chromaticities(profiles.ADOBE_RGB)], profiles.ADOBE_RGB, srgb_decoded),
        ([(b"cICP", P3)], P3_PRIMARIES, srgb_decoded),
        ([(b"cICP", bytes((1, 8, 0, 1)))], profiles.SRGB, lambda v: v),
        ([(b"cICP", bytes((1, 4, 0, 1))), gamma(1.0)], cicp._PRIMARIES[1][0], lambda v: v**2.2),
    ],
)
def test_colours_of_png_are_kept_and_converted_rightly(chunks, primaries, decode):
    kept = load_image(png(*chunks))
    assert np.array_equal(kept.rgb, PIXELS)
    assert kept.icc
    assert kept.notices == ()
    converted = load_image(png(*chunks), strip=True)
    assert converted.icc is None
    assert converted.cicp is None
    assert len(converted.notices) == 1
    error = np.abs(converted.rgb - in_srgb(PIXELS, primaries, decode))
    assert error.max() <= 4
    assert error.mean() < 0.7


def test_what_says_srgb_is_silent():
    for chunks in (
        [gamma(0.45455)],
        [gamma(0.45455), chromaticities(profiles.SRGB)],
        [(b"sRGB", b"\0"), gamma(1.0)],
        [(b"cICP", SRGB), gamma(1.0)],
        [(b"cICP", bytes((2, 2, 0, 1)))],
    ):
        picture = load_image(png(*chunks))
        assert (picture.icc, picture.cicp, picture.notices) == (None, None, ())


def test_code_points_stand_before_a_profile_and_that_before_the_rest():
    profile = (b"iCCP", b"swapped\0\0" + zlib.compress(RED_AND_BLUE_SWAPPED))
    assert load_image(png(profile, gamma(1.0))).icc == RED_AND_BLUE_SWAPPED
    assert load_image(png(profile, (b"cICP", SRGB))).icc is None
    found = load_image(png(profile, (b"cICP", P3)))
    assert found.cicp == P3
    assert found.icc == cicp.profile_of(P3, gray=False)
    found = load_image(png(profile, (b"cICP", PQ)))
    assert (found.cicp, found.icc) == (PQ, RED_AND_BLUE_SWAPPED)  # for whoever knows no PQ


def test_gray_has_a_curve_alone():
    gray = np.full((4, 4), 55, np.uint8)
    for chunks in ([gamma(1.0), chromaticities(P3_PRIMARIES)], [(b"cICP", bytes((9, 8, 0, 1)))]):
        assert load_image(png(*chunks, samples=gray)).icc
        stripped = load_image(png(*chunks, samples=gray), strip=True)
        assert stripped.mode == "L"
        assert np.abs(stripped.rgb.astype(int) - 128).max() <= 2  # linear .2157 is sRGB .502


@pytest.mark.parametrize("code_points, name", [(PQ, "PQ"), (HLG, "HLG")])
def test_high_dynamic_range_is_said_and_kept(code_points, name):
    notice = f"the picture is of high dynamic range ({name}): 8 bits a sample are kept"
    for data in (png((b"cICP", code_points)), avif_with_code_points(*code_points[:2])):
        picture = load_image(data)
        assert (picture.cicp, picture.icc, picture.notices) == (code_points, None, (notice,))
        stripped = load_image(data, strip=True)
        assert stripped.cicp == code_points
        assert "not converted" in stripped.notices[-1]


def test_code_points_of_avif_are_kept():
    assert load_image(avif_with_code_points(12, 13)).cicp == P3
    assert load_image(saved("AVIF")).cicp is None
    with_profile = load_image(saved("AVIF", icc_profile=RED_AND_BLUE_SWAPPED))
    assert (with_profile.cicp, with_profile.icc) == (None, RED_AND_BLUE_SWAPPED)


def test_colours_of_tiff_are_kept():
    ramp = tuple(257 * value for value in range(256))
    for tags in (
        {319: P3_PRIMARIES, 318: profiles.D65},
        {301: ramp},
        {301: ramp * 3, 319: P3_PRIMARIES},
    ):
        assert load_image(saved("TIFF", tiffinfo=tags)).icc
    linear = load_image(saved("TIFF", tiffinfo={301: ramp}), strip=True)
    assert np.abs(linear.rgb - in_srgb(PIXELS, profiles.SRGB, lambda v: v)).max() <= 4


def colour_space(code, index=b""):
    interop = struct.pack(">H", 1) + struct.pack(">HHI", 1, 2, 4) + index.ljust(4, b"\0") + bytes(4)
    inner_at = 8 + 2 + 12 + 4
    fields = [struct.pack(">HHIHH", 0xA001, 3, 1, code, 0)]
    if index:
        fields.append(struct.pack(">HHII", 0xA005, 4, 1, inner_at + 2 + 24 + 4))
    inner = struct.pack(">H", len(fields)) + b"".join(fields) + bytes(4)
    pointer = struct.pack(">I", inner_at)
    return b"Exif\0\0" + exif((0x8769, 4, 1, pointer)) + inner + (interop if index else b"")


def test_adobe_rgb_of_exif_is_kept():
    for data in (colour_space(0xFFFF, b"R03"), colour_space(2)):
        picture = load_image(jpeg(exif=data))
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.icc))
        assert ImageCms.getProfileDescription(profile).strip() == "Adobe RGB (1998)"
        assert picture.notices == ()
    assert load_image(jpeg(exif=colour_space(1, b"R98"))).icc is None
    uncalibrated = load_image(jpeg(exif=colour_space(0xFFFF)))
    assert uncalibrated.icc is None
    assert len(uncalibrated.notices) == 1
    own = load_image(jpeg(exif=colour_space(2), icc_profile=RED_AND_BLUE_SWAPPED))
    assert own.icc == RED_AND_BLUE_SWAPPED


# What is bad


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(0)],
        [gamma(40_000)],
        [(b"cHRM", bytes(32))],
        [(b"cHRM", b"\xff" * 32)],
        [chromaticities((0.3, 0.3, 0.3, 0.3, 0.3, 0.3))],
        [chromaticities(profiles.SRGB, (0.9, 0.05))],
    ],
)
def test_impossible_colours_are_said(chunks):
    picture = load_image(png(*chunks))
    assert np.array_equal(picture.rgb, PIXELS)
    assert (picture.icc, picture.notices) == (None, UNUSABLE)


@pytest.mark.parametrize("data", [b"", b"\x0c", bytes((12, 13, 1, 1)), bytes((12, 13, 0, 0))])
def test_impossible_code_points_are_said(data):
    picture = load_image(png((b"cICP", data)))
    assert picture.cicp is None
    assert picture.notices == ("the colour code points of the file are unusable: they are ignored",)


@pytest.mark.parametrize("data", [b"", b"x\0\0garbage", b"x\0\1garbage", b"garbage"])
def test_a_damaged_profile_of_png_is_said(data):
    picture = load_image(png((b"iCCP", data)))
    assert picture.icc is None
    assert len(picture.notices) == 1
    assert "unusable" in picture.notices[0]


def test_a_profile_of_jpeg_that_lacks_a_part_is_said():
    picture = load_image(jpeg((0xE2, b"ICC_PROFILE\0\1\2" + RED_AND_BLUE_SWAPPED)))
    assert picture.notices == (
        "the embedded colour profile is unusable: colours are taken as sRGB",
    )


# What is written


def test_code_points_take_one_chunk_of_four_bytes():
    picture = load_image(png((b"cICP", P3)))
    chunks = chunks_of(picture)
    assert chunks == (Chunk("CICP", P3),)
    found = picture_of(PIXELS, chunks, grayscale=False)
    assert (found.cicp, found.icc) == (picture.cicp, picture.icc)
    assert metadata_of(chunks) == {"cicp": P3, "icc": picture.icc}


def test_a_codec_keeps_them():
    codec = Codec.load("cpu")
    for code_points in (P3, PQ):
        data = codec.compress(load_image(png((b"cICP", code_points))))
        assert codec.decode(data).picture.cicp == code_points
        assert as_rgb(codec.decompress(data)).cicp == code_points


@pytest.mark.parametrize("data", [b"", b"\x0c\r\0", bytes((12, 13, 1, 1))])
def test_a_bad_chunk_is_refused(data):
    with pytest.raises(InvalidFileError, match="the CICP chunk: .* expected four bytes"):
        picture_of(PIXELS, [Chunk("CICP", data)], grayscale=False)
    with pytest.raises(InvalidFileError, match="two CICP chunks"):
        picture_of(PIXELS, [Chunk("CICP", P3)] * 2, grayscale=False)


@pytest.mark.parametrize("extension", [".png", ".tif", ".webp", ".jpg"])
def test_formats_hold_code_points_or_the_profile_that_says_the_same(extension):
    picture = load_image(png((b"cICP", P3)))
    assert fitted(picture, extension).notices == ()
    found = load_image(encode_image(picture, extension))
    assert found.icc == picture.icc
    assert found.cicp == (P3 if extension == ".png" else None)


def test_formats_without_profiles_get_srgb():
    found = fitted(load_image(png((b"cICP", P3))), ".bmp")
    assert np.abs(found.rgb - in_srgb(PIXELS, P3_PRIMARIES, srgb_decoded)).max() <= 4
    assert len(found.notices) == 1


@pytest.mark.parametrize("extension", [".tif", ".webp", ".jpg", ".bmp", ".ppm"])
def test_what_a_format_cannot_say_is_said(extension):
    picture = Picture(PIXELS, cicp=PQ)
    found = fitted(picture, extension)
    assert np.array_equal(found.rgb, PIXELS)
    assert found.cicp is None
    assert len(found.notices) == 1
    assert "BT.2020 with PQ" in found.notices[0]
    assert load_image(encode_image(picture, ".png")).cicp == PQ


def test_every_curve_and_primaries_make_a_profile_that_can_be_applied():
    for primaries in cicp._PRIMARIES:
        for transfer in cicp._CURVES:
            profile = cicp.profile_of(bytes((primaries, transfer, 0, 1)), gray=False)
            image = Image.new("RGB", (1, 1), "white")
            image.info["icc_profile"] = profile
            assert as_rgb(image, strip=True).rgb.min() >= 254
    assert cicp.profile_of(PQ, gray=False) is None
    assert cicp.profile_of(bytes((10, 13, 0, 1)), gray=False) is None
