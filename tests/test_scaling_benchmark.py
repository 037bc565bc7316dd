"""The benchmark of predictors' sizes: it goes on where it was, and finds the slopes of a law."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from benchmarks import predictor_quality, scaling
from benchmarks.output import dataset_of
from benchmarks.predictor_quality import Judge, Quality, released_predictor
from benchmarks.predictor_samples import Samples
from benchmarks.scaling import Setting, part_of
from benchmarks.scaling_results import Trained, plot, tables
from benchmarks.token_sources import pictures
from sbtcodec.codec.codec import Codec
from sbtcodec.errors import SbtError
from sbtcodec.evaluation.metrics import psnr
from sbtcodec.evaluation.perceptual import VggDistance
from sbtcodec.training.local_data import local_data
from sbtcodec.training.predictor_run import PredictorTraining, train_predictor


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photographs of 224 pixels and more."""
    folder = tmp_path_factory.mktemp("photographs")
    pictures = data.astronaut()[:240, 130:400], data.coffee()[100:330, 150:400]
    for i, rgb in enumerate((*pictures, *(p[::-1] for p in pictures))):
        Image.fromarray(rgb).save(folder / f"{i}.png")
    return folder


def test_the_model_s_own_predictor_gives_the_picture_of_a_file(
    codec: Codec, photographs: Path
) -> None:
    judge = Judge(codec.release, dataset_of(photographs, 2), None)
    quality = judge.quality(released_predictor(codec.release))
    decoded = [
        psnr(rgb, np.asarray(codec.decompress(codec.compress(rgb, globals_only=True))))
        for rgb in judge.squares
    ]
    assert quality.psnr == pytest.approx(np.mean(decoded), abs=0.15)
    assert 0.01 < quality.weighted_error < 0.3
    assert np.isnan(quality.vgg)


def test_the_scaling_benchmark_trains_each_run_once(
    tiny_weights: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = Codec.load("cpu", weights=tiny_weights, precision="float32")
    setting = Setting((str(photographs),), each=2, steps=2, batch=2)
    dataset = dataset_of(photographs, 1)
    runs = tmp_path / "runs"
    text, svg = scaling.run(codec, dataset, runs, setting)
    lines = text.splitlines()
    assert lines[0].startswith("1 image of photographs")
    assert [line.split()[1] for line in lines if line.startswith("1 x")] == ["x"] * 3
    assert len([p for p in runs.iterdir() if p.name.startswith("scale-")]) == 12
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    monkeypatch.setattr(scaling, "train_predictor", None)  # nothing is trained again
    monkeypatch.setattr(Judge, "quality", lambda *_: Quality(1, 1.0, 1.0, 1.0, 1.0, 1.0))
    again, _ = scaling.run(codec, dataset, runs, setting)
    assert again.splitlines()[4:] == lines[4:]
    with pytest.raises(SbtError, match="another setting"):
        scaling.run(codec, dataset, runs, replace(setting, steps=3))


def test_parts_of_the_photographs_are_inside_each_other(
    tiny_weights: Path, photographs: Path, tmp_path: Path
) -> None:
    release = Codec.load("cpu", weights=tiny_weights).release
    whole = local_data(release, tmp_path, folders=[photographs], each=2)
    parts = [part_of(whole, share, 0) for share in (0.25, 0.5, 1)]
    chosen = [{n for s in p.squares for n in s.photographs.tolist()} for p in parts]
    assert [len(c) for c in chosen] == [1, 2, 4] == [p.photographs for p in parts]
    assert chosen[0] < chosen[1] < chosen[2]


def test_slopes_are_those_of_the_law_that_made_the_points() -> None:
    done = [
        Trained(
            scale,
            share,
            seed,
            int(share * 1000),
            Quality(
                int(scale * 1e6), 0.5, 0.1, 20 + np.log2(scale) * (1 + seed), 0.7, float("nan")
            ),
        )
        for seed in (0, 1)
        for scale, share in ((0.5, 1.0), (1.0, 1.0), (2.0, 1.0), (4.0, 1.0), (1.0, 0.25))
    ]
    text = tables(done, done[0].quality)
    parameters, photographs = text.splitlines()[-2:]
    assert "1.5000 ±0.5000" in parameters
    assert "0.0000 ±0.0000" in photographs


def test_only_what_was_measured_is_plotted() -> None:
    without, every = float("nan"), Quality(10**6, 0.5, 0.1, 20, 0.7, 0.4, 0.3)
    for quality, count in ((every, 6), (replace(every, vgg=without, samples=without), 2)):
        done = [
            Trained(scale, 1.0, 0, 1000, replace(quality, parameters=int(1e6 * scale)))
            for scale in (1.0, 2.0)
        ]
        root = ElementTree.fromstring(plot(done))
        assert len(root.findall("{*}svg")) == count
        labels = {text.text or "" for text in root.iter() if text.tag.endswith("}text")}
        assert "1000" in labels
        assert not any("e+" in label for label in labels)


def test_samples_are_completed_by_the_predictor_that_is_asked(
    tiny_weights: Path, trunk_file: Path
) -> None:
    codec = Codec.load("cpu", weights=tiny_weights, precision="float32")
    release, rng = codec.release, np.random.default_rng(0)
    tokenizer, trunk = release.model.tokenizer, VggDistance(trunk_file)
    levels = release.model.config.tokenizer.levels
    windows = rng.integers(0, levels, (66, 64, len(levels))).astype(np.uint8)
    own, other = released_predictor(release), released_predictor(release)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
    shown = list(pictures(codec, windows))
    samples = Samples(tokenizer, windows, trunk, iter(shown))
    for made, decoded in zip(samples.pictures(own), shown, strict=True):
        assert psnr(made, decoded) > 50
    assert samples.distance(own) < 0.01 < samples.distance(other)


def test_samples_without_a_trunk_are_refused(tiny_weights: Path, photographs: Path) -> None:
    release = Codec.load("cpu", weights=tiny_weights).release
    with pytest.raises(SbtError, match="a trunk"):
        Judge(release, dataset_of(photographs, 1), None, held_out=photographs)


def test_a_table_of_checkpoints_says_for_how_long_they_learned(
    tiny_weights: Path, photographs: Path, tmp_path: Path
) -> None:
    codec = Codec.load("cpu", weights=tiny_weights, precision="float32")
    learnt = local_data(codec.release, tmp_path, folders=[photographs], each=1)
    recipe = PredictorTraining(length=3, batch=2)
    path = train_predictor(recipe, codec.tokenizer, learnt, out=tmp_path / "short")
    text = predictor_quality.run(codec, dataset_of(photographs, 1), [path], None)
    _, own, short = (line.split() for line in text.splitlines()[2:5])
    assert own[:3] == ["of", "the", "model"]
    assert short[:3] == ["short", "0", "3"]
    assert len(short) == len(own)
