"""Data sets: found, or downloaded intact; the server is a local one."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from evaluation_samples import picture
from PIL import Image

from sbtcodec.errors import DatasetError
from sbtcodec.evaluation import datasets, download
from sbtcodec.evaluation.kodak import KODAK_SHA256
from sbtcodec.image.listing import DATASET_SUFFIXES, image_suffixes
from sbtcodec.training.data import photograph_paths

NAMES = ("kodim01.png", "kodim02.png", "kodim03.png")


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder and notes what was asked for."""

    asked: list

    def do_GET(self):
        self.asked.append(self.path.lstrip("/"))
        super().do_GET()

    def log_message(self, format, *args):
        pass


@pytest.fixture
def home(tmp_path):
    """A folder with three small images under the names of the first Kodak files."""
    folder = tmp_path / "home"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        Image.fromarray(picture(16, 24, seed)).save(folder / name)
    return folder


@pytest.fixture
def server(home, monkeypatch):
    """The folder on 127.0.0.1: its address in `url`, the files asked for in `asked`."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    handler = type("Handler", (QuietHandler,), {"asked": []})
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=home))
    http.asked = handler.asked
    http.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield http
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test sees or touches the real cache or data folders."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SBTCODEC_DATA", raising=False)
    return tmp_path / "cache" / "sbtcodec" / "kodak"


@pytest.fixture
def small_kodak(home, monkeypatch):
    """Kodak reduced to the three small images."""
    digests = {name: download.sha256_of(home / name) for name in NAMES}
    monkeypatch.setattr(datasets, "KODAK_SHA256", digests)
    return digests


def test_the_published_set_has_24_files_with_a_digest_each():
    assert list(KODAK_SHA256) == [f"kodim{number:02d}.png" for number in range(1, 25)]
    assert len(set(KODAK_SHA256.values())) == 24
    assert all(len(digest) == 64 for digest in KODAK_SHA256.values())


def test_kodak_is_downloaded_once(server, small_kodak, own_cache):
    dataset = datasets.open_dataset("kodak", url=server.url)
    assert dataset.image_names == ("kodim01", "kodim02", "kodim03")
    assert sorted(path.name for path in own_cache.iterdir()) == list(NAMES)
    assert [rgb.shape for _, rgb in dataset.images()] == [(16, 24, 3)] * 3
    datasets.open_dataset("kodak", url=server.url)
    assert server.asked == list(NAMES)


def test_a_limit_downloads_no_more_than_it_needs(server, small_kodak):
    assert len(datasets.open_dataset("kodak", limit=2, url=server.url).paths) == 2
    assert server.asked == list(NAMES[:2])


def test_a_download_goes_on_where_it_stopped(server, home, small_kodak, own_cache):
    (home / NAMES[1]).rename(home / "away")
    with pytest.raises(DatasetError, match="404"):
        datasets.open_dataset("kodak", url=server.url)
    assert [path.name for path in own_cache.iterdir()] == [NAMES[0]]
    (home / "away").rename(home / NAMES[1])
    datasets.open_dataset("kodak", url=server.url)
    assert server.asked == [NAMES[0], NAMES[1], NAMES[1], NAMES[2]]


def test_a_file_with_the_wrong_digest_is_not_kept(server, home, small_kodak, own_cache):
    (home / NAMES[0]).write_bytes(b"a sign-in page")
    with pytest.raises(DatasetError, match="not the file expected: SHA-256"):
        datasets.open_dataset("kodak", url=server.url)
    assert list(own_cache.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_fetched_again(server, home, small_kodak, own_cache):
    own_cache.mkdir(parents=True)
    (own_cache / NAMES[0]).write_bytes((home / NAMES[0]).read_bytes()[:100])
    datasets.open_dataset("kodak", limit=1, url=server.url)
    assert download.sha256_of(own_cache / NAMES[0]) == small_kodak[NAMES[0]]


def test_a_server_that_is_gone_is_reported(server, small_kodak, own_cache):
    server.shutdown()
    server.server_close()
    with pytest.raises(DatasetError, match="cannot download .*data_dir"):
        datasets.open_dataset("kodak", url=server.url)
    assert list(own_cache.iterdir()) == []


def test_an_answer_that_breaks_off_is_reported(server, home, small_kodak, own_cache, monkeypatch):
    def cut(self, source, outputfile):
        outputfile.write(source.read(50))

    monkeypatch.setattr(QuietHandler, "copyfile", cut)
    with pytest.raises(DatasetError, match=r"cannot download|not the file expected"):
        datasets.open_dataset("kodak", url=server.url)
    assert list(own_cache.iterdir()) == []


def test_an_endless_answer_is_given_up(server, home, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_DOWNLOAD_BYTES", 100)
    target = tmp_path / "file"
    with pytest.raises(DatasetError, match="more than 100 bytes"):
        download.download(f"{server.url}/{NAMES[0]}", target, sha256="0" * 64)
    assert not target.exists()


def test_a_cache_that_cannot_be_written_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DatasetError, match="cannot write"):
        datasets.open_dataset("kodak", url="http://127.0.0.1:1")


def test_kodak_is_taken_from_the_folder_given(home, small_kodak, tmp_path, monkeypatch):
    assert datasets.open_dataset("kodak", data_dir=home).paths[0].parent == home
    home.rename(tmp_path / "kodak")
    assert len(datasets.open_dataset("kodak", data_dir=tmp_path).paths) == 3
    monkeypatch.setenv("SBTCODEC_DATA", str(tmp_path))
    assert len(datasets.open_dataset("kodak").paths) == 3


def test_a_folder_without_kodak_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"kodim01\.png is missing"):
        datasets.open_dataset("kodak", data_dir=tmp_path)


def test_other_pixels_are_not_called_kodak(home):
    with pytest.raises(DatasetError, match="not the published Kodak file.*as the data set: "):
        datasets.open_dataset("kodak", data_dir=home)
    assert len(datasets.open_dataset(str(home)).paths) == 3


def test_a_folder_of_images_is_a_data_set(home, tmp_path, monkeypatch):
    (home / "notes.txt").write_text("not an image")
    dataset = datasets.open_dataset("home", data_dir=tmp_path)
    assert (dataset.name, dataset.image_names) == ("home", ("kodim01", "kodim02", "kodim03"))
    assert np.array_equal(dataset.image("kodim02"), picture(16, 24, 1))
    with pytest.raises(DatasetError, match="no image 'lena'"):
        dataset.image("lena")


def test_a_folder_is_the_same_data_set_for_measuring_and_training_whatever_pillow_reads(home):
    assert DATASET_SUFFIXES < image_suffixes()
    for name in ("icon.gif", "icon.ico", "page.jp2", "photo.TIFF"):
        (home / name).write_bytes(b"")
    expected = [*NAMES, "photo.TIFF"]
    assert [path.name for path in datasets.open_dataset(str(home)).paths] == expected
    assert [path.name for path in photograph_paths(home)] == expected


def test_images_of_one_stem_keep_their_endings(home):
    Image.fromarray(picture(8, 8)).save(home / "kodim01.jpg")
    assert "kodim01.jpg" in datasets.open_dataset(str(home)).image_names


def test_an_empty_or_missing_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no image in"):
        datasets.open_dataset(str(tmp_path))
    with pytest.raises(DatasetError, match="neither 'kodak' nor a folder"):
        datasets.open_dataset("clic", data_dir=tmp_path)
    with pytest.raises(DatasetError, match="limit takes 1"):
        datasets.open_dataset("kodak", limit=0)


def test_what_is_no_8_bit_image_is_refused(tmp_path):
    bad, deep = tmp_path / "bad.png", tmp_path / "deep.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + hashlib.sha256().digest())
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(deep)
    with pytest.raises(DatasetError, match="as an image"):
        datasets.load_image(bad)
    with pytest.raises(DatasetError, match="8-bit"):
        datasets.load_image(deep)
