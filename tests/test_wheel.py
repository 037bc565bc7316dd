"""The wheel: a package with several models, installed away from the checkout, reads all files."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden import GOLDEN
from numpy.typing import NDArray
from stand_in import ROOT

from sbtcodec.codec.codec import Codec
from sbtcodec.models.registry import read_manifest, write_manifest
from sbtcodec.training.publish import add

PIP = [sys.executable, "-m", "pip", "--quiet"]

SCRIPT = """
import sys
from pathlib import Path
import sbtcodec
assert Path(sbtcodec.__file__).is_relative_to(sys.argv[1]), sbtcodec.__file__
for path in sys.argv[2:]:
    image = sbtcodec.decompress(Path(path).read_bytes(), device="cpu")
    image.save(Path(path).with_suffix(".png"))
"""


REPORT = """
import sys
sys.path.insert(0, sys.argv[1])
import sbtcodec
assert sbtcodec.__file__.startswith(sys.argv[1]), sbtcodec.__file__
from evaluation_samples import run_of
from sbtcodec.evaluation.published import published_curves
from sbtcodec.evaluation.report import render_report
assert published_curves(["vtm"])
print(render_report(run_of({"sbt": [(0.1, 25.0)]})).splitlines()[0])
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Path:
    """A checkout with the tiny model beside the shipped one, as number 200."""
    source = tmp_path_factory.mktemp("source")
    for name in ("sbtcodec", "weights"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    weights = source / "weights"
    default = read_manifest(weights).default
    shutil.copy(next(tiny_weights.glob("*.safetensors")), weights / "new")
    add(weights, weights / "new", number=200, name="tiny")
    write_manifest(weights, replace(read_manifest(weights), default=default))
    return source


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of that checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", folder, source], check=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_a_wheel_with_two_models_reads_the_files_of_both(
    source: Path, wheel: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    target = tmp_path / "installed"
    subprocess.run([*PIP, "install", "--no-deps", "--target", target, wheel], check=True)

    weights = source / "weights"
    default = read_manifest(weights).default
    shutil.copy(next(GOLDEN.glob(f"{default}/*-q050.sbt")), tmp_path / "first.sbt")
    tiny = Codec.load("cpu", model=200, weights=weights)
    (tmp_path / "second.sbt").write_bytes(tiny.compress(photo, 40))
    files = [tmp_path / "first.sbt", tmp_path / "second.sbt"]
    environment = os.environ | {"PYTHONPATH": str(target)}
    subprocess.run(
        [sys.executable, "-c", SCRIPT, target, *files], cwd=tmp_path, env=environment, check=True
    )
    for path in files:
        assert path.with_suffix(".png").is_file()


@pytest.mark.slow
def test_a_wheel_makes_pages_even_where_it_is_not_unpacked(wheel: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(
        [sys.executable, "-c", REPORT, wheel],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "<!doctype html>\n"
