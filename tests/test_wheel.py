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

SCRIPT = """
import sys
from pathlib import Path
import sbtcodec
assert Path(sbtcodec.__file__).is_relative_to(sys.argv[1]), sbtcodec.__file__
for path in sys.argv[2:]:
    image = sbtcodec.decompress(Path(path).read_bytes(), device="cpu")
    image.save(Path(path).with_suffix(".png"))
"""


@pytest.mark.slow
def test_a_wheel_with_two_models_reads_the_files_of_both(
    tiny_weights: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "installed"
    for name in ("sbtcodec", "weights"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    weights = source / "weights"
    default = read_manifest(weights).default
    shutil.copy(next(tiny_weights.glob("*.safetensors")), weights / "new")
    add(weights, weights / "new", number=200, name="tiny")
    write_manifest(weights, replace(read_manifest(weights), default=default))

    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, source], check=True)
    wheel = next(tmp_path.glob("*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)

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
