"""Sets of sampled pictures against sets of real ones: features in parts, distances, options."""

import json
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from stand_in import assert_fails, replace_codec, runner
from test_perceptual_distance import trunk

import sbtcodec.evaluation.samples as samples_module
from sbtcodec.errors import DatasetError
from sbtcodec.evaluation import feature_networks
from sbtcodec.evaluation.distribution import VggNetwork, features_of, kernel_distance
from sbtcodec.evaluation.perceptual import VggDistance
from sbtcodec.evaluation.preparation import Preparation
from sbtcodec.evaluation.sample_distance import sample_distance
from sbtcodec.evaluation.samples import pictures_in, sampled

RANDOM = np.random.default_rng(11)


@pytest.fixture(scope="module")
def trunk_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("trunk") / "trunk.safetensors"
    save_file(trunk(), path)
    return path


@pytest.fixture
def folders(tmp_path):
    """70 pictures each, those of the reference darker."""
    for name, most in (("sampled", 256), ("real", 90)):
        folder = tmp_path / name
        folder.mkdir()
        for index in range(70):
            pixels = RANDOM.integers(0, most, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index:02}.png")
    return tmp_path / "sampled", tmp_path / "real"


@pytest.fixture
def parts_of_20(monkeypatch):
    monkeypatch.setattr(samples_module, "PART", 20)


@pytest.fixture
def counted(monkeypatch):
    """How many pictures were read."""
    seen = []
    read = Preparation.__call__

    def note(self, path):
        seen.append(path.name)
        return read(self, path)

    monkeypatch.setattr(Preparation, "__call__", note)
    return seen


@pytest.fixture
def run(monkeypatch, capsys):
    replace_codec(monkeypatch)
    return runner(monkeypatch, capsys)


# Parts


@pytest.mark.usefixtures("parts_of_20")
def test_features_of_parts_are_those_of_all(folders, trunk_file):
    found = sampled(folders[0], VggNetwork(trunk_file), Preparation())
    pixels = [np.asarray(Image.open(path)) for path in sorted(folders[0].iterdir())]
    expected = features_of(VggDistance(trunk_file), pixels)
    assert found.features.dtype == np.float32
    assert np.allclose(found.features, expected, rtol=1e-5, atol=1e-4)
    assert found.sizes.tolist() == [[16, 16]] * 70
    assert len(list(folders[0].with_name("sampled.features").iterdir())) == 4


@pytest.mark.usefixtures("parts_of_20")
def test_a_run_that_was_stopped_goes_on(folders, trunk_file, monkeypatch, counted, tmp_path):
    network, cache = VggNetwork(trunk_file), tmp_path / "kept" / "features"
    read, left = Preparation.__call__, iter(range(50))

    def stop(self, path):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return read(self, path)

    with monkeypatch.context() as patched:
        patched.setattr(Preparation, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            sampled(folders[0], network, Preparation(), cache_folder=cache)
    assert len(list(cache.iterdir())) == 2  # whole ones, and nothing else
    counted.clear()
    resumed = sampled(folders[0], network, Preparation(), cache_folder=cache)
    assert counted == [f"{index}.png" for index in range(40, 70)]
    again = sampled(folders[0], network, Preparation(), cache_folder=cache)
    assert len(counted) == 30
    fresh = sampled(folders[0], network, Preparation(), cache_folder=tmp_path / "other")
    for found in (resumed, again):
        assert np.array_equal(found.features, fresh.features)
        assert np.array_equal(found.sizes, fresh.sizes)


@pytest.mark.usefixtures("parts_of_20")
def test_what_has_changed_is_computed_again(folders, trunk_file, counted, tmp_path):
    network = VggNetwork(trunk_file)
    before = sampled(folders[0], network, Preparation())
    counted.clear()
    Image.new("RGB", (16, 16)).save(folders[0] / "45.png")
    after = sampled(folders[0], network, Preparation())
    assert counted == [f"{index}.png" for index in range(40, 60)]
    assert np.flatnonzero((before.features != after.features).any(1)).tolist() == [45]
    counted.clear()
    sampled(folders[0], network, Preparation(side=8))
    assert len(counted) == 70
    other = {name: 2 * value for name, value in trunk().items()}
    save_file(other, tmp_path / "other.safetensors")
    sampled(folders[0], VggNetwork(tmp_path / "other.safetensors"), Preparation())
    assert len(counted) == 140


@pytest.mark.usefixtures("parts_of_20")
def test_a_part_that_was_damaged_is_computed_again(folders, trunk_file, counted):
    network = VggNetwork(trunk_file)
    before = sampled(folders[0], network, Preparation())
    kept = sorted(folders[0].with_name("sampled.features").iterdir())
    kept[0].write_bytes(kept[0].read_bytes()[:-9])
    kept[1].write_bytes(b"")
    counted.clear()
    assert np.array_equal(sampled(folders[0], network, Preparation()).features, before.features)
    assert len(counted) in (30, 40)


@pytest.mark.slow
@pytest.mark.usefixtures("parts_of_20")
def test_processes_find_what_one_finds(folders, trunk_file, tmp_path):
    network = VggNetwork(trunk_file)
    one = sampled(folders[0], network, Preparation(), cache_folder=tmp_path / "one")
    two = sampled(folders[0], network, Preparation(), cache_folder=tmp_path / "two", jobs=2)
    assert np.array_equal(one.features, two.features)
    (folders[0] / "33.png").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"33\.png"):
        sampled(folders[0], network, Preparation(), cache_folder=tmp_path / "three", jobs=2)


# Pictures


def test_what_was_sampled_counts_once(tmp_path):
    for name in ("a/1.sbt", "a/1.png", "a/2.sbt", "a/sheet.png", "b/sheet.png", "b/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [str(path.relative_to(tmp_path)) for path in pictures_in(tmp_path)]
    assert sorted(found) == ["a/1.png", "a/2.sbt", "b/1.png", "b/sheet.png"]


def test_subfolders_and_files_of_all_kinds_are_taken(tmp_path, tiny_codec, monkeypatch, photo):
    monkeypatch.setattr("sbtcodec.evaluation.preparation._codec", lambda *_: tiny_codec)
    (tmp_path / "b").mkdir()
    data = tiny_codec.compress(photo)
    (tmp_path / "b" / "two.sbt").write_bytes(data)
    Image.fromarray(photo).convert("L").save(tmp_path / "one.png")
    (tmp_path / ".hidden.png").write_bytes(b"not taken")
    (tmp_path / "notes.txt").write_text("not taken")
    one, two = pictures_in(tmp_path)
    assert (one.name, two.name) == ("one.png", "two.sbt")
    assert pictures_in(tmp_path, 1) == (one,)
    rgb, size = Preparation()(two)
    assert np.array_equal(rgb, np.asarray(tiny_codec.decompress(data)))
    assert size == (photo.shape[1], photo.shape[0])
    assert Preparation()(one)[0].shape == photo.shape


def test_the_middle_square_is_resized(tmp_path):
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    rgb, size = Preparation(side=20)(tmp_path / "wide.png")
    assert (rgb.shape, size) == ((20, 20, 3), (100, 40))
    assert (rgb == 200).all()
    exact = RANDOM.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(exact).save(tmp_path / "exact.png")
    assert np.array_equal(Preparation(side=20)(tmp_path / "exact.png")[0], exact)


@pytest.mark.parametrize("name", ["35.png", "broken.sbt"])
def test_a_broken_picture_is_named(run, folders, trunk_file, name):
    (folders[0] / name).write_bytes(b"nothing of the kind")
    result = run(*vgg(folders, trunk_file))
    assert_fails(result, 3 if name.endswith("sbt") else 9, name)


def test_a_picture_that_is_too_small_is_named(run, folders, trunk_file):
    Image.new("RGB", (5, 90)).save(folders[0] / "35.png")
    result = run(*vgg(folders, trunk_file))
    assert_fails(result, 5, "35.png is 5x90 pixels; each side takes 8")


# Distances


def vgg(folders, trunk_file, *more):
    common = ("bench", "--samples", folders[0], "--reference", folders[1], "--metric", "vgg")
    return (*common, "--trunk", trunk_file, *more)


def test_distances_of_our_own_are_never_called_fid(run, folders, trunk_file, tmp_path):
    out = tmp_path / "out.json"
    code, told, err = run(*vgg(folders, trunk_file, "--out", out))
    assert (code, err) == (0, "")
    lines = told.splitlines()
    assert lines[0].startswith("VGG Frechet distance (64 components): ")
    assert lines[1].startswith("VGG kernel distance: ")
    assert lines[2] == f"samples: {folders[0]}, 70 pictures, 16x16 pixels"
    assert "not FID" in lines[4]
    found = json.loads(out.read_text())
    assert found["schema"] == "sbtcodec-samples/1"
    assert set(found["values"]) == {"vgg_frechet", "vgg_kernel"}
    assert found["values"]["vgg_frechet"] > 0.5
    assert found["samples"]["pictures"] == 70
    code, told, _ = run(*vgg(folders, trunk_file, "--json", "--limit", "66", "--side", "8"))
    assert code == 0
    assert json.loads(told)["reference"]["pictures"] == 66
    assert "resized to 8x8" in json.loads(told)["preparation"]


def test_a_set_is_at_no_distance_from_itself(folders, trunk_file):
    found = sample_distance(folders[0], folders[0], "vgg", weights=trunk_file)
    assert found.values["vgg_frechet"] == pytest.approx(0, abs=1e-6)


def test_sizes_that_differ_are_told(run, folders, trunk_file):
    Image.new("RGB", (17, 16)).save(folders[0] / "35.png")
    code, told, err = run(*vgg(folders, trunk_file))
    assert code == 0
    assert "70 pictures, 16x16 to 17x16 pixels" in told
    assert "give --side N" in err
    assert run(*vgg(folders, trunk_file, "--side", "16"))[2] == ""


def test_a_feature_that_never_fires_in_the_reference_counts_as_the_others_do():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(60, 8)), rng.normal(size=(60, 8))
    b[:, 0] = 0
    a[:, 0] = 0.01
    assert abs(kernel_distance(a, b)) < 1


def test_the_kernel_distance_does_not_depend_on_its_blocks(monkeypatch):
    a, b = RANDOM.normal(size=(50, 8)), RANDOM.normal(0.5, 1, (40, 8))
    whole = kernel_distance(a, b)
    monkeypatch.setattr("sbtcodec.evaluation.distribution.BLOCK", 7)
    assert kernel_distance(a, b) == pytest.approx(whole, rel=1e-9)


def test_too_few_pictures_are_refused_before_the_work(run, folders, trunk_file, counted):
    for path in sorted(folders[1].iterdir())[60:]:
        path.unlink()
    assert_fails(run(*vgg(folders, trunk_file)), 5, "real has 60 pictures, expected 65 or more")
    assert not counted


def test_what_is_missing_is_told_with_the_option(run, folders, trunk_file, tmp_path):
    code, _, err = run("bench", "--samples", folders[0])
    assert code == 2
    assert "give both" in err
    assert run(*vgg(folders, trunk_file)[:-2])[0] == 2
    assert run(*vgg(folders, trunk_file)[:5], "--metric", "lpips")[0] == 2
    missing = tmp_path / "no.safetensors"
    assert_fails(run(*vgg(folders, missing)), 7, "; give --trunk PATH")
    assert_fails(run(*vgg(folders, trunk_file, "--limit", "0")), 9, "--limit takes 1 or more")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_fails(run(*vgg((empty, folders[1]), trunk_file)), 9, "holds no pictures")
    assert_fails(run(*vgg((tmp_path / "none", folders[1]), trunk_file)), 9, "is not a folder")
    blocked = folders[0].with_name("sampled.features")
    blocked.write_text("a file where the folder is to be")
    assert_fails(run(*vgg(folders, trunk_file)), 6, "name another one with --cache")


# FID


@pytest.fixture
def fidelity(monkeypatch):
    """A stand-in for torch-fidelity, whose network gives means of colours."""

    class Network(torch.nn.Module):
        def __init__(self, name, layers, *, feature_extractor_weights_path):
            super().__init__()
            assert (name, layers) == ("inception-v3-compat", ["2048"])
            self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=True))

        def forward(self, x):
            assert x.dtype == torch.uint8
            assert x.shape[1] == 3
            return (x.float().mean((2, 3)),)

    def statistics(features):
        assert features.dtype == torch.float32
        return features.numpy().mean(0)

    def metric(a, b, verbose):
        assert not verbose
        return {"fid": ((a - b) ** 2).sum()}

    for name, content in (
        ("torch_fidelity", {}),
        ("torch_fidelity.feature_extractor_inceptionv3", {"FeatureExtractorInceptionV3": Network}),
        (
            "torch_fidelity.metric_fid",
            {
                "fid_features_to_statistics": statistics,
                "fid_statistics_to_metric": metric,
                "KEY_METRIC_FID": "fid",
            },
        ),
    ):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("sbtcodec.evaluation.inception._version", lambda: "0.4.0")
    feature_networks._loaded.cache_clear()


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({}, path)
    return path


def fid(folders, *more):
    return ("bench", "--samples", folders[0], "--reference", folders[1], *more)


@pytest.mark.usefixtures("fidelity")
def test_fid_is_told_with_its_protocol(run, folders, weights):
    code, told, err = run(*fid(folders, "--inception", weights, "--side", "16", "--json"))
    found = json.loads(told)
    assert code == 0
    assert found["metric"] == "fid"
    assert found["values"]["fid"] > 1000
    assert found["network"].startswith("torch-fidelity 0.4.0, inception-v3-compat, weights ")
    assert "not antialiased" in found["network"]
    assert [notice in err for notice in found["notices"]] == [True, True]
    assert "this number is no FID" in found["notices"][0]
    assert "FID of 70 pictures" in found["notices"][1]


@pytest.mark.usefixtures("fidelity")
def test_weights_that_are_not_there_are_told_with_their_place(run, folders, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    result = run(*fid(folders))
    name = "hub/checkpoints/weights-inception-2015-12-05-6726825d.pth"
    assert_fails(result, 7, f"there is no file {tmp_path}/{name}; download https://")
    assert "give --inception PATH" in result[2]


@pytest.mark.usefixtures("fidelity")
@pytest.mark.parametrize("content", [b"no weights", b""])
def test_what_are_no_weights_is_told(run, folders, weights, content):
    weights.write_bytes(content)
    assert_fails(run(*fid(folders, "--inception", weights)), 7, "does not hold torch-fidelity's")


@pytest.mark.usefixtures("fidelity")
def test_weights_run_nothing(run, folders, weights, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    torch.save({"fc": Evil()}, weights)
    assert_fails(run(*fid(folders, "--inception", weights)), 7, "does not hold")
    assert not (tmp_path / "made").exists()


def test_the_missing_package_is_told(run, folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    assert_fails(run(*fid(folders)), 1, "pip install 'sbtcodec[fid]'")


@pytest.mark.usefixtures("fidelity")
def test_fid_takes_two_pictures(run, folders, weights):
    for path in sorted(folders[0].iterdir())[1:]:
        path.unlink()
    result = run(*fid(folders, "--inception", weights))
    assert_fails(result, 5, "sampled has 1 pictures, expected 2 or more for fid")


@pytest.fixture
def real_fidelity():
    """torch-fidelity itself, where it loads."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except Exception as error:  # noqa: BLE001  beside a torch of another build it fails in many ways
        pytest.skip(f"torch-fidelity: {error}")
    return FeatureExtractorInceptionV3


@pytest.mark.slow
def test_torch_fidelity_finds_the_same_of_the_folders(
    real_fidelity, run, folders, tmp_path, monkeypatch
):
    import torch_fidelity

    with monkeypatch.context() as patched:
        patched.setattr(real_fidelity, "load_state_dict", lambda *_: None)
        patched.setattr(torch, "load", lambda *_, **__: None)
        torch.manual_seed(1)
        made = real_fidelity("x", ["2048"], feature_extractor_weights_path="none")
    for layer in made.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    weights = tmp_path / "random.pth"
    torch.save(made.state_dict(), weights)
    few = tuple(folder.with_name(folder.name + "-few") for folder in folders)
    for old, new in zip(folders, few, strict=True):
        new.mkdir()
        for path in sorted(old.iterdir())[:8]:
            path.rename(new / path.name)
    expected = torch_fidelity.calculate_metrics(
        input1=str(few[0]),
        input2=str(few[1]),
        fid=True,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
        feature_extractor_weights_path=str(weights),
    )["frechet_inception_distance"]
    code, told, _ = run(*fid(few, "--inception", weights, "--json"))
    assert code == 0
    assert json.loads(told)["values"]["fid"] == pytest.approx(expected, rel=1e-4)
