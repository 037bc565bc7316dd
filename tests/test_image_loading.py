"""Loading images: pixels, transparency, profile, metadata; every failure one `ImageError`."""

import io
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin
from profiles import (
    LINEAR_CURVE,
    LINEAR_GRAY,
    RED_AND_BLUE_SWAPPED,
    SRGB,
    WHITE,
    icc_profile,
    srgb_with_curve,
)
from skimage import data as photographs

from sbtcodec import limits
from sbtcodec.errors import ImageError
from sbtcodec.image import metadata, pixels
from sbtcodec.image.pixels import as_rgb, load_image

PHOTO = photographs.chelsea()[:61, :83].copy()


def encoded(image, image_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png(width, height, depth, colour_type, rows, *chunks):
    """A PNG file from its samples, for what Pillow does not write."""

    def chunk(kind, body):
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    middle = b"".join(chunk(*extra) for extra in chunks)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + middle
    return start + chunk(b"IDAT", body) + chunk(b"IEND", b"")


# Photographs and sizes


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_a_photograph_is_read_as_it_is(name):
    photo = getattr(photographs, name)()
    picture = load_image(encoded(Image.fromarray(photo), compress_level=1))
    assert picture.rgb.dtype == np.uint8
    assert np.array_equal(picture.rgb, photo)
    assert picture.notices == ()
    assert picture.mode == "RGB"
    assert (picture.icc, picture.exif, picture.xmp) == (None, None, None)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (31, 33)])
def test_any_size_comes_back_from_a_file(size, mode):
    rgba = np.random.default_rng(0).integers(0, 256, (*size, 4), dtype=np.uint8)
    image = Image.fromarray(rgba).convert(mode)
    picture = load_image(encoded(image))
    assert picture.mode == mode
    assert np.array_equal(picture.to_image(), image)


def test_every_kind_of_source_gives_the_same_pixels(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(Image.fromarray(PHOTO)))
    with path.open("rb") as file:
        sources = [str(path), path, file, path.read_bytes()]
        assert all(np.array_equal(load_image(source).rgb, PHOTO) for source in sources)
        assert not file.closed


def test_pixels_can_be_changed():
    rgb = load_image(encoded(Image.fromarray(PHOTO))).rgb
    rgb[0, 0] = 0


# Modes


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA", "RGBX"]
)
def test_every_mode_of_8_bits_becomes_nearly_the_same_rgb(mode):
    grays = np.array([[0, 255], [255, 0]], np.uint8)  # survive every conversion
    gray = Image.fromarray(np.repeat(grays[..., None], 3, axis=2))
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(gray, srgb, lab, outputMode="LAB")
    elif mode == "PA":
        image = gray.convert("P").convert("PA")
    else:
        image = gray.convert(mode)
    picture = as_rgb(image)
    assert picture.rgb.shape == (2, 2, 3)
    assert np.abs(picture.rgb - grays[..., None].astype(int)).max() <= 1
    silent = mode in ("L", "LA", "RGB", "RGBA", "RGBX")  # alpha is opaque here
    assert len(picture.notices) == (0 if silent else 1)
    assert picture.grayscale == (mode in ("1", "L", "LA"))
    assert picture.alpha is None


def test_cmyk_jpegs_are_read():
    image = Image.fromarray(PHOTO).convert("CMYK")
    picture = load_image(encoded(image, "JPEG", quality=95))
    assert np.abs(picture.rgb.astype(int) - PHOTO).mean() < 6
    assert picture.notices == ("CMYK colours are converted to RGB",)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_kept_and_so_are_the_colours_under_it(mode):
    rgba = np.array([[[10, 20, 30, 0], [40, 50, 60, 255], [70, 80, 90, 51]]], np.uint8)
    image = Image.fromarray(rgba).convert(mode)
    picture = load_image(encoded(image))
    assert picture.alpha.tolist() == [[0, 255, 51]]
    assert np.array_equal(picture.rgb, image.convert("RGB"))
    assert picture.grayscale == (mode == "LA")
    assert picture.notices == ()


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_transparency_is_divided_out(mode):
    rgba = np.array([[[200, 200, 200, 255], [200, 200, 200, 51]]], np.uint8)
    image = Image.fromarray(rgba)
    image = image.convert("LA").convert(mode) if mode == "La" else image.convert(mode)
    picture = as_rgb(image)
    assert picture.alpha.tolist() == [[255, 51]]
    assert np.abs(picture.rgb.astype(int) - 200).max() <= 2
    assert picture.grayscale == (mode == "La")


def test_alpha_that_is_opaque_everywhere_is_dropped():
    for mode in ("RGBA", "LA"):
        image = Image.fromarray(PHOTO).convert(mode)
        assert load_image(encoded(image)).alpha is None


def test_a_transparent_palette_entry_becomes_alpha():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    picture = load_image(encoded(image, transparency=0))
    assert picture.rgb.tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert picture.alpha.tolist() == [[0, 255]]
    assert picture.notices == ("palette colours are converted to RGB",)


def test_a_palette_of_several_opacities_becomes_alpha():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    picture = load_image(encoded(image, transparency=bytes((7, 99))))
    assert picture.alpha.tolist() == [[7, 99]]


def test_a_transparent_gray_becomes_alpha():
    picture = load_image(encoded(Image.fromarray(np.array([[0, 7]], np.uint8)), transparency=0))
    assert picture.rgb[0, :, 0].tolist() == [0, 7]
    assert picture.alpha.tolist() == [[0, 255]]
    assert picture.mode == "LA"


def test_a_transparent_colour_becomes_alpha():
    rgb = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    picture = load_image(encoded(Image.fromarray(rgb), transparency=(1, 2, 3)))
    assert np.array_equal(picture.rgb, rgb)
    assert picture.alpha.tolist() == [[0, 255]]


# Samples of more than 8 bits


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_16_bits_are_rounded_to_8(mode):
    samples = np.array([[0, 128, 129, 257, 32768, 65535]])
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]
    image = Image.frombytes(mode, (6, 1), samples.astype(dtype).tobytes())
    picture = as_rgb(image)
    assert picture.rgb[0, :, 1].tolist() == [0, 0, 1, 1, 128, 255]
    assert picture.mode == "L"
    assert picture.notices == ("16 bits a sample are rounded to 8",)


def test_a_16_bit_png_keeps_its_transparent_gray():
    picture = load_image(png(2, 1, 16, 0, [b"\1\2\xff\0"], (b"tRNS", b"\1\2")))
    assert picture.rgb[0, :, 0].tolist() == [1, 254]
    assert picture.alpha.tolist() == [[0, 255]]
    assert picture.mode == "LA"


def test_a_16_bit_png_keeps_its_alpha():
    picture = load_image(png(1, 1, 16, 6, [b"\x10\x00\x20\x00\xff\xff\x80\x00"]))
    assert picture.rgb.tolist() == [[[16, 32, 255]]]
    assert picture.alpha.tolist() == [[128]]
    assert picture.notices == ("16 bits a sample are rounded to 8",)


def test_a_16_bit_colour_png_is_read_with_a_notice():
    picture = load_image(png(1, 1, 16, 2, [b"\x10\x00\x20\x00\xff\xff"]))
    assert picture.rgb.tolist() == [[[16, 32, 255]]]
    assert picture.notices == ("16 bits a sample are rounded to 8",)


@pytest.mark.parametrize("samples", [[[-1]], [[65536]]])
def test_32_bit_integers_of_unknown_range_are_refused(samples):
    with pytest.raises(ImageError, match="expected 0 to 65535"):
        as_rgb(Image.fromarray(np.array(samples, np.int32)))


def test_floating_point_samples_are_refused():
    data = encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF")
    with pytest.raises(ImageError, match="floating-point samples"):
        load_image(data)


# Colour profiles


def test_another_profile_is_kept_with_samples_as_they_are():
    image = Image.new("RGB", (2, 2), (255, 0, 0))
    picture = load_image(encoded(image, icc_profile=RED_AND_BLUE_SWAPPED))
    assert np.array_equal(picture.rgb, image)
    assert picture.icc == RED_AND_BLUE_SWAPPED
    assert picture.notices == ()


def test_a_gray_profile_is_kept_with_samples_as_they_are():
    picture = load_image(encoded(Image.new("L", (2, 2), 55), icc_profile=LINEAR_GRAY))
    assert np.all(picture.rgb == 55)
    assert picture.icc == LINEAR_GRAY
    assert picture.mode == "L"
    assert picture.notices == ()


def test_a_stripped_profile_is_converted_to_srgb():
    image = Image.new("RGBA", (2, 2), (255, 0, 0, 51))
    picture = load_image(encoded(image, icc_profile=RED_AND_BLUE_SWAPPED), strip=True)
    assert np.abs(picture.rgb[0, 0].astype(int) - [0, 0, 255]).max() <= 2
    assert np.all(picture.alpha == 51)
    assert picture.icc is None
    assert picture.notices == ("colours are converted from the embedded profile to sRGB",)


def test_a_stripped_gray_profile_is_converted_to_srgb():
    image = Image.new("L", (2, 2), 55)
    picture = load_image(encoded(image, icc_profile=LINEAR_GRAY), strip=True)
    assert np.abs(picture.rgb.astype(int) - 128).max() <= 2  # linear .2157 is sRGB .502
    assert picture.mode == "L"
    assert picture.icc is None
    assert len(picture.notices) == 1


def test_gray_with_a_profile_for_colours_is_converted_and_stays_gray():
    profile = srgb_with_curve(LINEAR_CURVE)
    picture = load_image(encoded(Image.new("L", (2, 2), 55), "TIFF", icc_profile=profile))
    assert np.abs(picture.rgb.astype(int) - 128).max() <= 2
    assert picture.mode == "L"
    assert picture.icc is None
    assert len(picture.notices) == 1


def test_the_profile_of_cmyk_is_applied_and_dropped(monkeypatch):
    """With one notice; the transformation stands in for a CMYK profile, which take a megabyte."""
    image = Image.fromarray(PHOTO).convert("CMYK")
    image.info["icc_profile"] = icc_profile(b"CMYK", {b"wtpt": WHITE})
    blue = Image.new("RGB", image.size, "blue")
    monkeypatch.setattr(ImageCms, "buildTransform", lambda *_: None)
    monkeypatch.setattr(ImageCms, "applyTransform", lambda *_: blue)
    picture = as_rgb(image)
    assert np.array_equal(picture.rgb, blue)
    assert picture.icc is None
    assert picture.notices == ("CMYK colours are converted to RGB",)


def test_an_srgb_profile_is_silent():
    picture = load_image(encoded(Image.fromarray(PHOTO), icc_profile=SRGB))
    assert np.array_equal(picture.rgb, PHOTO)
    assert picture.icc is None
    assert picture.notices == ()


@pytest.mark.parametrize("profile", [b"garbage", SRGB[:200], LINEAR_GRAY])
def test_a_bad_profile_is_ignored_with_a_notice(profile):
    picture = load_image(encoded(Image.fromarray(PHOTO), icc_profile=profile))
    assert np.array_equal(picture.rgb, PHOTO)
    assert picture.icc is None
    assert picture.notices == (
        "the embedded colour profile is unusable: colours are taken as sRGB",
    )


# Metadata and orientation


def exif_data(orientation=None):
    """EXIF data with two strings, a nested number and, if given, an orientation."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Copyright] = "Somebody"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 400
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    return exif


def assert_says_what_exif_data_says(payload):
    exif = Image.Exif()
    exif.load(payload)
    assert exif[ExifTags.Base.Make] == "Maker"
    assert exif[ExifTags.Base.Copyright] == "Somebody"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert exif.get(ExifTags.Base.Orientation, 1) == 1


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
    b' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_upright_exif_data_keeps_every_byte(image_format):
    payload = exif_data().tobytes()
    picture = load_image(encoded(Image.fromarray(PHOTO), image_format, exif=payload))
    assert picture.exif == payload.removeprefix(b"Exif\0\0")
    assert_says_what_exif_data_says(picture.exif)
    assert load_image(encoded(Image.fromarray(PHOTO), exif=payload), strip=True).exif is None


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_the_orientation_is_applied_once(image_format):
    image = Image.fromarray(PHOTO)
    to_be_turned_clockwise = exif_data(orientation=6).tobytes()
    data = encoded(image, image_format, exif=to_be_turned_clockwise)
    picture = load_image(data)
    turned = np.rot90(PHOTO, -1)
    assert picture.rgb.shape == turned.shape
    assert np.abs(picture.rgb.astype(int) - turned).mean() < 12
    assert_says_what_exif_data_says(picture.exif)
    assert picture.notices == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_as_pillow_does(orientation):
    rgba = np.dstack([PHOTO, PHOTO[:, :, 0]])
    image = Image.open(io.BytesIO(encoded(Image.fromarray(rgba), exif=exif_data(orientation))))
    expected = np.asarray(ImageOps.exif_transpose(image))
    picture = as_rgb(image)
    assert np.array_equal(picture.to_image(), expected)
    assert image.getexif()[ExifTags.Base.Orientation] == orientation  # the caller's own


def test_an_orientation_that_does_not_exist_is_taken_out():
    picture = load_image(encoded(Image.fromarray(PHOTO), exif=exif_data(orientation=9)))
    assert np.array_equal(picture.rgb, PHOTO)
    assert_says_what_exif_data_says(picture.exif)


def test_an_orientation_alone_leaves_no_exif_data():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    assert load_image(encoded(Image.fromarray(PHOTO), "JPEG", exif=exif)).exif is None


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "AVIF"])
def test_xmp_is_kept_and_its_orientation_applied_once(image_format):
    picture = load_image(encoded(Image.fromarray(PHOTO), image_format, xmp=XMP))
    assert picture.rgb.shape == np.rot90(PHOTO).shape
    assert picture.xmp == XMP.replace(b'"6"', b'"1"')
    assert picture.exif is None


@pytest.mark.parametrize(
    "stored",
    [b'tiff:Orientation="6"', b"tiff:Orientation='6'", b"<tiff:Orientation>6</tiff:Orientation>"],
)
def test_an_orientation_in_exif_and_xmp_is_applied_once(stored):
    xmp = b"<x:xmpmeta " + stored + b"/>"
    image = Image.fromarray(PHOTO)
    picture = load_image(encoded(image, "JPEG", exif=exif_data(orientation=6), xmp=xmp))
    assert picture.rgb.shape == np.rot90(PHOTO).shape
    assert picture.xmp == xmp.replace(b"6", b"1")
    assert_says_what_exif_data_says(picture.exif)


def test_xmp_of_png_and_tiff_is_kept():
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
    upright = XMP.replace(b'"6"', b'"1"')
    assert load_image(encoded(Image.fromarray(PHOTO), pnginfo=texts)).xmp == upright
    tagged = encoded(Image.fromarray(PHOTO), "TIFF", tiffinfo={700: upright})
    assert load_image(tagged).xmp == upright
    assert load_image(tagged, strip=True).xmp is None


def test_the_layout_of_a_tiff_file_is_not_among_its_exif_data():
    picture = load_image(encoded(Image.fromarray(PHOTO), "TIFF", exif=exif_data().tobytes()))
    assert_says_what_exif_data_says(picture.exif)
    exif = Image.Exif()
    exif.load(picture.exif)
    assert ExifTags.Base.ImageWidth not in exif
    assert ExifTags.Base.StripOffsets not in exif


def test_unreadable_exif_does_not_stop_an_image():
    image = Image.fromarray(PHOTO)
    picture = load_image(encoded(image, "PNG", exif=b"Exif\0\0nonsense"))
    assert np.array_equal(picture.rgb, PHOTO)
    assert picture.exif is None
    assert len(picture.notices) == 1


def test_metadata_too_large_for_a_file_is_dropped_with_a_notice(monkeypatch):
    monkeypatch.setattr(metadata, "MAX_METADATA_BYTES", len(XMP) - 1)
    data = encoded(Image.fromarray(PHOTO), "WEBP", lossless=True, xmp=XMP, exif=exif_data())
    picture = load_image(data)
    assert picture.xmp is None
    assert picture.exif is not None
    assert picture.notices == (
        f"the XMP data is dropped: it has {len(XMP)} bytes, over {len(XMP) - 1}",
    )


# Frames


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    for image_format in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if image_format == "WEBP" else {}
        data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
        picture = load_image(data)
        assert picture.rgb[0, 0].tolist() == [255, 0, 0]
        assert picture.notices == ("only frame 1 of 3 is kept",)


# What cannot be read


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        load_image(tmp_path / "none.png")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)


def test_a_text_file_named_png_is_refused(tmp_path):
    path = tmp_path / "note.png"
    path.write_text("not an image")
    with pytest.raises(ImageError, match=r"note\.png is not an image"):
        load_image(path)


def test_a_file_without_permission_is_refused(monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the superuser may read every file
    with pytest.raises(ImageError, match=r"photo\.png cannot be opened: no permission"):
        load_image("photo.png")


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.5, 0.9])
def test_a_file_cut_in_the_middle_is_refused(image_format, part):
    data = encoded(Image.fromarray(PHOTO), image_format)
    with pytest.raises(ImageError):
        load_image(data[: int(part * len(data))])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "ICO"])
def test_damage_raises_nothing_but_image_errors(image_format):
    data = encoded(Image.fromarray(PHOTO), image_format)
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(data)
        for offset in random.integers(0, min(len(data), 400), 3):
            damaged[offset] = random.integers(256)
        try:
            picture = load_image(bytes(damaged), max_pixels=2**22)
        except ImageError as error:
            assert "\n" not in str(error)
        else:
            assert picture.rgb.ndim == 3


# Limits


def test_the_limits_are_those_of_the_format():
    assert limits.MAX_SIDE == 2**14 - 1  # docs/format.md: 14 bits each
    assert limits.MAX_DETAIL_LAYERS == 2**3 - 1
    assert limits.MAX_METADATA_BYTES == limits.MAX_CHUNK_BYTES - 1


def test_too_many_pixels_are_refused_before_decoding(monkeypatch):
    data = encoded(Image.fromarray(PHOTO))
    assert load_image(data, max_pixels=61 * 83).rgb.shape == PHOTO.shape
    monkeypatch.setattr(pixels, "as_rgb", None)
    with pytest.raises(ImageError, match="too many pixels, expected at most 5062 in all"):
        load_image(data, max_pixels=61 * 83 - 1)


def test_a_side_over_the_limit_of_the_format_is_refused():
    with pytest.raises(ImageError, match="16384 x 1 pixels, expected at most 16383 a side"):
        load_image(encoded(Image.new("L", (16384, 1))))


def test_a_decompression_bomb_is_refused():
    with pytest.raises(ImageError, match="too many pixels, expected at most 134217728"):
        load_image(png(100_000, 100_000, 8, 2, [b"\0"]))


def test_a_bomb_inside_an_icon_is_refused():
    bomb = png(5000, 5000, 8, 6, [b"\0"])
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(bomb), 22)
    with pytest.raises(ImageError, match="too many pixels, expected at most 1048576"):
        load_image(struct.pack("<HHH", 0, 1, 1) + entry + bomb, max_pixels=2**20)


def gif_that_disposes_of_its_first_frame():
    frames = [Image.fromarray(PHOTO[:, :, i]) for i in range(2)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=2)


@pytest.mark.parametrize("of_the_host", [100, None])
@pytest.mark.parametrize(
    "image_format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "ICO", "ICNS", "AVIF"]
)
def test_pillows_own_limit_neither_rules_nor_changes(
    monkeypatch, recwarn, image_format, of_the_host
):
    if image_format == "GIF":
        data = gif_that_disposes_of_its_first_frame()
    elif image_format in ("ICO", "ICNS"):
        data = encoded(Image.fromarray(PHOTO).resize((128, 128)), image_format)
    else:
        data = encoded(Image.fromarray(PHOTO), image_format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", of_the_host)
    pixels = load_image(data).rgb
    assert pixels.shape[0] * pixels.shape[1] > 400
    with pytest.raises(ImageError, match="too many pixels, expected at most 400 in all"):
        load_image(data, max_pixels=400)
    with pytest.raises(ImageError):
        load_image(b"")
    assert of_the_host == Image.MAX_IMAGE_PIXELS
    assert not recwarn.list


def test_formats_that_obey_pillows_limit_say_so(monkeypatch):
    data = jpeg_in_a_blp_file(Image.fromarray(PHOTO), PHOTO.shape[1::-1])
    load_image(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match=r"raise PIL\.Image\.MAX_IMAGE_PIXELS, or save it as PNG"):
        load_image(data)


def jpeg_in_a_blp_file(image, declared):
    jpeg = encoded(image, "JPEG")
    head = b"BLP1" + struct.pack("<iIIIii", 0, 0, *declared, 5, 0)
    offset = len(head) + 128 + 4
    tables = struct.pack("<16I16I", offset, *[0] * 15, len(jpeg), *[0] * 15)
    return head + tables + struct.pack("<I", 0) + jpeg


def test_a_bomb_inside_a_texture_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    data = jpeg_in_a_blp_file(Image.new("L", (3000, 2000)), (16, 16))
    with pytest.raises(ImageError, match="too many pixels, expected at most 1048576"):
        load_image(data, max_pixels=2**20)


def test_a_bomb_inside_icons_of_a_mac_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    bomb = png(5000, 5000, 8, 6, [b"\0"])
    data = b"icns" + struct.pack(">I", 16 + len(bomb)) + b"ic07"
    data += struct.pack(">I", 8 + len(bomb)) + bomb
    with pytest.raises(ImageError, match="too many pixels, expected at most 1048576"):
        load_image(data, max_pixels=2**20)


def test_images_are_loaded_in_parallel_each_under_its_own_limit(monkeypatch):
    data = encoded(Image.fromarray(PHOTO), "WEBP", lossless=True)
    together = threading.Barrier(4, timeout=20)  # which none passes if they take turns
    as_rgb_ = pixels.as_rgb

    def wait(*arguments, **options):
        together.wait()
        return as_rgb_(*arguments, **options)

    monkeypatch.setattr(pixels, "as_rgb", wait)
    limits_ = [5063, 10**4, 10**5, 10**6]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda limit: load_image(data, max_pixels=limit).rgb, limits_))
    assert all(np.array_equal(rgb, PHOTO) for rgb in found)


def test_warnings_are_those_of_the_host():
    """A message of Pillow reaches the host's filters, which are the same afterwards."""
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, 0, 22)
    inside = encoded(Image.fromarray(PHOTO).convert("RGBA"))
    data = struct.pack("<HHH", 0, 1, 1) + entry + inside
    before = list(warnings.filters)
    with pytest.warns(UserWarning, match="not the expected size"):
        assert load_image(data).rgb.shape == PHOTO.shape
    assert list(warnings.filters) == before


def test_a_damaged_orientation_is_said(monkeypatch):
    def fail(_):
        raise SyntaxError("not a TIFF file")

    image = Image.fromarray(PHOTO)
    monkeypatch.setattr(Image.Image, "getexif", fail)
    picture = as_rgb(image)
    assert np.array_equal(picture.rgb, PHOTO)
    assert "EXIF" in picture.notices[0]
