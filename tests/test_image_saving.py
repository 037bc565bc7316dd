"""Saving images: the extension names the format, the file is whole or not there."""

import os
import stat

import numpy as np
import pytest
from skimage import data as photographs

from sbtcodec.errors import ImageError, OutputError
from sbtcodec.image import files
from sbtcodec.image.files import check_output, write_atomically
from sbtcodec.image.pixels import load_image, save_image

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
        with pytest.raises(OutputError, match="exists already.*--force"):
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
    os.mkfifo(tmp_path / "pipe")
    cases = {
        tmp_path: "is a folder",
        tmp_path / "none" / "a": "does not exist",
        tmp_path / "file" / "a": "is not a folder|cannot be written",
        tmp_path / "pipe": "is not a regular file",
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
