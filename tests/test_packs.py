"""Packs of photographs: of a given size, all different, and what comes out is what went in."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from benchmarks import pack
from benchmarks.pack import packed, read_packs, write_packs
from sbtcodec.errors import DatasetError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photographs of which no two are alike, one that is too small, one that is none."""
    folder = tmp_path_factory.mktemp("photographs")
    rgb = data.coffee()
    for i in range(12):
        Image.fromarray(rgb[10 * i : 10 * i + 200, 20 * i : 20 * i + 300]).save(
            folder / f"{i:02}.png"
        )
    Image.fromarray(rgb[:100, :300]).save(folder / "small.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def test_packs_have_the_size_asked_for_and_hold_each_photograph_once(
    folder: Path, tmp_path: Path
) -> None:
    size = 30_000
    paths = write_packs(folder, tmp_path, packs=9, size=size, side=240, smallest=128)
    assert len(paths) > 2
    assert all(path.stat().st_size <= size for path in paths)
    assert all(path.stat().st_size > size / 2 for path in paths[:-1])
    images = read_packs(paths)
    assert len(images) == 12
    assert {image.shape for image in images} == {(160, 240, 3)}
    originals = []
    for path in sorted(folder.glob("[01]*.png")):
        with Image.open(path) as image:
            image.thumbnail((240, 240), Image.Resampling.LANCZOS)
            originals.append(np.asarray(image))
    nearest = [int(np.argmin([apart(i, o) for o in originals])) for i in images]
    assert sorted(nearest) == list(range(12))
    assert max(apart(i, originals[n]) for i, n in zip(images, nearest, strict=True)) < 5


def test_the_same_packs_are_made_again_and_others_with_another_seed(
    folder: Path, tmp_path: Path
) -> None:
    made = [
        write_packs(folder, tmp_path / name, size=60_000, side=240, smallest=128, seed=seed)[0]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    first, again, other = (path.read_bytes() for path in made)
    assert first == again
    assert first != other


def test_lots_end_where_the_next_photograph_no_longer_fits() -> None:
    sizes = [400, 500, 300, 2000, 600, 100]
    photographs = (bytes([i]) * size for i, size in enumerate(sizes))
    lots = list(packed(photographs, pack.ROOM + 1000, 9))
    assert [[len(data) for data in lot] for lot in lots] == [[400, 500], [300], [600, 100]]
    photographs = (bytes([i]) * size for i, size in enumerate(sizes))
    assert len(list(packed(photographs, pack.ROOM + 1000, 1))) == 1


def test_what_is_no_pack_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pack.safetensors").write_bytes(b"0123456789")
    with pytest.raises(DatasetError, match="is not a pack of photographs"):
        read_packs([tmp_path / "pack.safetensors"])
    with pytest.raises(DatasetError, match="is not a pack of photographs"):
        read_packs([tmp_path / "none.safetensors"])
    with pytest.raises(DatasetError, match="no photograph of at least 1000 pixels"):
        write_packs(folder, tmp_path, smallest=1000)


def test_the_command_says_what_is_in_each_pack(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = "--megabytes 0.06 --packs 2 --side 240 --smallest 128"
    monkeypatch.setattr(
        sys, "argv", ["pack", str(folder), "--out", str(tmp_path), *options.split()]
    )
    pack.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "photographs" in lines[1]


def test_files_are_kept_as_they_are_where_they_can_be(folder: Path, tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    with Image.open(folder / "00.png") as image:
        plain = image.convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6
    plain.save(photographs / "kept.jpg")
    plain.save(photographs / "kept.webp", quality=50)
    plain.save(photographs / "turned.jpg", exif=turned)
    plain.resize((600, 400)).save(photographs / "large.jpg")
    plain.save(photographs / "other.png")
    plain.convert("L").save(photographs / "grey.jpg")
    (path,) = write_packs(photographs, tmp_path, quality=None, side=300, smallest=128)
    held = path.read_bytes()
    kept = {p.name for p in photographs.iterdir() if p.read_bytes() in held}
    assert kept == {"kept.jpg", "kept.webp"}
    shapes = sorted(image.shape for image in read_packs([path]))
    assert shapes == [(200, 300, 3)] * 5 + [(300, 200, 3)]
