"""Saving images: the extension names the format, the file is whole or not there."""

import os
import stat
from dataclasses import replace

import numpy as np
import pytest
from PIL import ExifTags, Image
from profiles import LINEAR_GRAY, RED_AND_BLUE_SWAPPED
from skimage import data as photographs

from sbtcodec.errors import ImageError, OutputError
from sbtcodec.image import files
from sbtcodec.image.files import check_output, write_atomically
from sbtcodec.image.picture import Picture
from sbtcodec.image.pixels import as_rgb, load_image
from sbtcodec.image.saving import WRITABLE, encode_image, fitted, save_image

PHOTO = photographs.coffee()[:40, :50]


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.webp", "a.tif", "a.tiff", "a.bmp", "a.ppm"])
def test_lossless_formats_give_the_pixels_back(tmp_path, name):
    save_image(PHOTO, tmp_path / name, force=False)
    assert np.array_equal(load_image(tmp_path / name).rgb, PHOTO)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg"])
def test_jpeg_is_close(tmp_path, name):
    save_image(PHOTO, tmp_path / name, force=False)
    assert np.abs(load_image(tmp_path / name).rgb.astype(int) - PHOTO).mean() < 3


def test_without_an_extension_the_format_is_png(tmp_path):
    save_image(PHOTO, tmp_path / "a", force=False)
    assert (tmp_path / "a").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_extension_lists_what_can_be_written(tmp_path):
    with pytest.raises(ImageError, match=r"extension \.xyz; .*\.png, \.webp"):
        save_image(PHOTO, tmp_path / "a.xyz", force=False)
    assert list(tmp_path.iterdir()) == []


def test_an_image_too_large_for_the_format_is_refused(tmp_path):
    with pytest.raises(ImageError, match="cannot be written as WEBP"):
        save_image(np.zeros((1, 16384, 3), np.uint8), tmp_path / "a.webp", force=False)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)],
)
def test_other_arrays_are_a_mistake_of_the_caller(tmp_path, array):
    with pytest.raises(ValueError, match="expected uint8"):
        save_image(array, tmp_path / "a.png", force=False)


# What belongs to pixels

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">t\xc3\xa4st</x:xmpmeta>'
GRAY = np.repeat(photographs.camera()[100:131, 100:133, None], 3, 2)
ALPHA = photographs.moon()[200:231, 200:233]


def exif_data():
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 400
    return exif.tobytes().removeprefix(b"Exif\0\0")


def a_picture(mode="RGBA", profile=True, exif=True, xmp=True):
    gray = mode.startswith("L")
    return Picture(
        rgb=GRAY if gray else PHOTO[:31, :33],
        grayscale=gray,
        alpha=ALPHA if mode.endswith("A") else None,
        icc=(LINEAR_GRAY if gray else RED_AND_BLUE_SWAPPED) if profile else None,
        exif=exif_data() if exif else None,
        xmp=XMP if xmp else None,
    )


def assert_same(found, expected):
    assert found.mode == expected.mode
    assert np.array_equal(found.rgb, expected.rgb)
    assert (found.alpha is None) == (expected.alpha is None)
    assert found.alpha is None or np.array_equal(found.alpha, expected.alpha)
    assert found.icc == expected.icc
    assert found.xmp == expected.xmp
    assert found.exif == expected.exif


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_everything_comes_back_from_formats_that_hold_it(tmp_path, name, mode):
    picture = a_picture(mode, profile=not (name == "a.webp" and mode in ("L", "LA")))
    assert save_image(picture, tmp_path / name, force=False) == ()
    found = load_image(tmp_path / name)
    assert found.notices == ()
    if name == "a.webp":  # which has no gray
        found = replace(found, grayscale=picture.grayscale)
    if name == "a.tif":  # which lays the tags out anew
        exif = Image.Exif()
        exif.load(found.exif)
        assert exif[ExifTags.Base.Make] == "Maker"
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400
        found = replace(found, exif=picture.exif)
    assert_same(found, picture)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_holds_all_but_transparency(tmp_path, mode):
    picture = a_picture(mode)
    assert save_image(picture, tmp_path / "a.jpg", force=False) == ()
    found = load_image(tmp_path / "a.jpg")
    assert np.abs(found.rgb.astype(int) - picture.rgb).mean() < 3
    assert_same(replace(found, rgb=picture.rgb), picture)


@pytest.mark.parametrize("extension", [".png", ".tif", ".webp", ".bmp", ".ppm"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (31, 33)])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_any_size_comes_back_in_any_mode(extension, size, mode):
    rgba = np.random.default_rng(0).integers(0, 256, (*size, 4), dtype=np.uint8)
    image = Image.fromarray(rgba).convert(mode)
    picture = as_rgb(image)
    found = load_image(encode_image(picture, extension))
    expected = fitted(picture, extension)
    assert np.array_equal(found.rgb, expected.rgb)
    if extension in (".png", ".tif", ".webp"):
        assert np.array_equal(found.alpha, picture.alpha)
    else:
        assert found.alpha is None


@pytest.mark.parametrize("extension", [".png", ".tif", ".webp"])
def test_colours_under_full_transparency_are_kept(extension):
    picture = Picture(PHOTO, alpha=np.zeros(PHOTO.shape[:2], np.uint8))
    found = load_image(encode_image(picture, extension))
    assert np.array_equal(found.rgb, PHOTO)
    assert not found.alpha.any()


@pytest.mark.parametrize("name", ["a.jpg", "a.bmp", "a.ppm"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_composited_over_white_where_there_is_none(tmp_path, name, mode):
    levels = np.repeat(np.array([0, 51, 255], np.uint8), 16)
    alpha = np.repeat(levels[None], 16, axis=0)
    rgb = np.zeros((16, 48, 3), np.uint8)
    notices = save_image(
        Picture(rgb, grayscale=mode == "LA", alpha=alpha), tmp_path / name, force=False
    )
    assert len(notices) == 1
    assert "transparency is composited over white" in notices[0]
    found = load_image(tmp_path / name).rgb
    assert np.abs(found[8, [8, 24, 40], 0].astype(int) - [255, 204, 0]).max() <= 2


@pytest.mark.parametrize("extension", [".bmp", ".ppm"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_profile_is_applied_where_it_cannot_be_held(extension, mode):
    picture = a_picture(mode, exif=False, xmp=False)
    found = fitted(picture, extension)
    assert found.icc is None
    assert found.mode == mode
    assert found.notices == ("colours are converted from the embedded profile to sRGB",)
    expected = load_image(encode_image(picture, ".png"), strip=True)
    assert np.array_equal(found.rgb, expected.rgb)
    assert np.array_equal(load_image(encode_image(picture, extension)).rgb, expected.rgb)


def test_a_gray_profile_is_applied_for_webp_which_has_no_gray():
    found = fitted(a_picture("L"), ".webp")
    assert found.icc is None
    assert len(found.notices) == 1
    assert found.rgb.mean() > GRAY.mean()  # linear to sRGB


@pytest.mark.parametrize("extension", [".bmp", ".ppm"])
def test_metadata_that_cannot_be_held_is_dropped_with_a_notice(extension):
    found = fitted(a_picture("RGB", profile=False), extension)
    assert (found.exif, found.xmp) == (None, None)
    assert [notice.split(" data")[0] for notice in found.notices] == ["EXIF", "XMP"]


def test_metadata_too_long_for_jpeg_is_dropped_with_a_notice():
    most = {"exif": 65533 - 6, "xmp": 65533 - 29}
    for field, length in most.items():
        fits = Picture(PHOTO, **{field: b"x" * length})
        assert fitted(fits, ".jpg").notices == ()
        assert len(encode_image(fits, ".jpg")) > length
        found = fitted(Picture(PHOTO, **{field: b"x" * (length + 1)}), ".jpg")
        assert getattr(found, field) is None
        assert len(found.notices) == 1


def test_exif_data_cannot_change_the_layout_of_a_tiff_file():
    exif = Image.Exif()
    exif[ExifTags.Base.ImageWidth] = 7
    exif[ExifTags.Base.BitsPerSample] = 16
    exif[ExifTags.Base.PhotometricInterpretation] = 0
    exif[ExifTags.Base.Make] = "Maker"
    for rgb, grayscale in ((PHOTO, False), (GRAY, True)):
        picture = Picture(rgb, grayscale=grayscale, exif=exif.tobytes()[6:])
        assert np.array_equal(load_image(encode_image(picture, ".tif")).rgb, rgb)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("extension", WRITABLE)
def test_damaged_exif_data_does_not_stop_saving(extension):
    random = np.random.default_rng(0)
    for _ in range(30):
        exif = bytearray(exif_data())
        for offset in random.integers(0, len(exif), 3):
            exif[offset] = random.integers(256)
        data = encode_image(replace(a_picture("L"), exif=bytes(exif)), extension)
        assert load_image(data).rgb.shape == GRAY.shape


def test_notices_of_saving_are_returned_without_those_of_loading(tmp_path):
    picture = replace(a_picture("RGBA"), notices=("something was lost before",))
    assert save_image(picture, tmp_path / "a.png", force=False) == ()
    assert len(save_image(picture, tmp_path / "a.jpg", force=False)) == 1


def test_fitting_twice_changes_nothing_more():
    once = fitted(a_picture("LA"), ".ppm")
    assert_same(fitted(once, ".ppm"), once)
    assert fitted(once, ".ppm").notices == once.notices


def test_encoding_gives_the_bytes_that_saving_writes(tmp_path):
    for extension in WRITABLE:
        path = tmp_path / f"a{extension}"
        save_image(a_picture("RGB"), path, force=False)
        assert path.read_bytes() == encode_image(a_picture("RGB"), extension)


def test_encoding_refuses_an_unknown_extension():
    with pytest.raises(ImageError, match=r"extension \.xyz"):
        encode_image(PHOTO, ".xyz")


def test_alpha_of_another_shape_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="found alpha of uint8"):
        Picture(PHOTO, alpha=ALPHA)


# The atomic writer


def test_a_new_file_has_the_data_and_the_usual_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"data", force=False)
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == b"data"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_existing_file_is_kept_without_force(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    for write in (
        lambda: check_output(path, force=False),
        lambda: write_atomically(path, b"new", force=False),
    ):
        with pytest.raises(OutputError, match="exists already.*force=True"):
            write()
    assert path.read_bytes() == b"old"
    check_output(path, force=True)
    write_atomically(path, b"new", force=True)
    assert path.read_bytes() == b"new"


def test_a_link_is_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "target")
    write_atomically(tmp_path / "link", b"data", force=False)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "target").read_bytes() == b"data"


def test_a_relative_path_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically(files.Path("a"), b"data", force=False)
    assert (tmp_path / "a").read_bytes() == b"data"


def test_outputs_that_cannot_be_files_are_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cases = {
        tmp_path: "is a folder",
        tmp_path / "none" / "a": "does not exist",
        tmp_path / "file" / "a": "is not a folder|cannot be written",
        tmp_path / ("n" * 300): "cannot be written",
        tmp_path / "a\0b": "cannot be written",
    }
    for path, message in cases.items():
        for force in (False, True):
            with pytest.raises(OutputError, match=message):
                write_atomically(path, b"data", force=force)


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="is not writable"):
        check_output(tmp_path / "a", force=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, error):
    def interrupt(_):
        raise error

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", interrupt)
    with pytest.raises(error):
        write_atomically(tmp_path / "a", b"new", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_full_disk_is_an_output_error(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_atomically(tmp_path / "a", b"new", force=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", lambda _: (tmp_path / "a").write_bytes(b"other"))
    with pytest.raises(OutputError, match="exists already"):
        write_atomically(tmp_path / "a", b"new", force=False)
    assert (tmp_path / "a").read_bytes() == b"other"
    assert len(list(tmp_path.iterdir())) == 1
