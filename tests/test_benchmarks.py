"""The benchmarks that print tables: their structure, and what must hold in any of them."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import norm
from skimage import data

from benchmarks import base_layer, bootstrap, output, predictions, rivals
from benchmarks.inside import Inside, by_channel, recording
from sbtcodec.codec.codec import Codec
from sbtcodec.container import unpack
from sbtcodec.errors import DatasetError, SbtError
from sbtcodec.evaluation.codecs import load_codec
from sbtcodec.evaluation.metrics import psnr
from sbtcodec.grid import LATENTS_PER_TOKEN, tokens_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two photographs, large enough for MS-SSIM."""
    folder = tmp_path_factory.mktemp("photographs")
    Image.fromarray(data.astronaut()[:176, 130:338]).save(folder / "astronaut.png")
    Image.fromarray(data.coffee()[100:276, 150:358]).save(folder / "coffee.png")
    return folder


@pytest.fixture(scope="module")
def photos(codec, folder):
    inside = Inside(codec)
    return [predictions.photo_of(inside, rgb) for _, rgb in output.dataset_of(folder).images()]


def test_the_networks_called_from_outside_give_the_codec_s_own_picture(photo):
    codec = Codec.load("cpu", precision="float32")
    inside = Inside(codec)
    alone = predictions.photo_of(inside, photo)
    picture = inside.picture(alone.predicted, photo.shape[:2], 0, 0)
    # by the networks of all files; those of global tokens alone may have ones of their own
    tokens = codec.tokens_of(codec.compress(photo, globals_only=True))
    whole = tokens_of(photo.shape[1], photo.shape[0])
    area, networks = whole.times(LATENTS_PER_TOKEN), codec.networks
    with networks.inference():
        estimate = networks.predict(tokens.levels, 0, whole, area)
        networks.reconstruct(estimate, [], 0)
        decoded = networks.show(estimate, 0, 0, area)[: photo.shape[0], : photo.shape[1]]
    assert np.abs(picture.astype(int) - decoded).max() <= 1


def test_recorded_symbols_are_those_of_the_file(photos):
    """As far as residuals to the unrefined prediction tell: the first half of the first layer.

    Some are chosen nearer to zero than that, where it saves bits.
    """
    codec = Codec.load("cpu", precision="float32")
    photo, inside = photos[0], Inside(codec)
    coding = codec.code(codec.analyse(photo.rgb), 40)
    file, predicted = coding.data, inside.predicted(inside.values(coding.levels))
    with recording() as calls:
        decoded = codec.decode(file)
    groups = codec.tokenizer.config.groups
    latents = photo.y.shape[2] * photo.y.shape[3]
    q = by_channel(calls, decoded.layers, groups, latents)
    assert q.shape == (latents, sum(groups))
    assert sum(len(symbols) for _, symbols in calls) == latents * sum(groups[: decoded.layers])
    gains = codec.release.gains(unpack(file).header.quality)[: groups[0]]
    first = ((photo.y - predicted)[0, : groups[0]] * gains[:, None, None]).permute(1, 2, 0)
    rows, columns = np.indices(first.shape[:2])
    wanted = first.numpy()[(rows + columns) % 2 == 0]
    assert np.mean(np.abs(q[: latents // 2, : groups[0]] - wanted) <= 0.51) > 0.97
    with recording() as calls:
        decoded = codec.decode(codec.compress(photo.rgb, globals_only=True))
    assert not by_channel(calls, decoded.layers, groups, latents).any()


def test_fixed_bits_of_known_symbols():
    symbols = np.array([[0, 3], [0, -3], [0, 3], [0, -3]], np.int32)
    normal, best = bootstrap.fixed_bits(symbols)
    assert best == pytest.approx(4)  # one bit each for the second channel, none for the first
    assert normal > best


def test_fixed_bits_of_normal_symbols_are_their_entropy():
    rng = np.random.default_rng(0)
    q = np.rint(rng.normal(0, [0.7, 5.0], (20_000, 2))).astype(np.int32)
    k = np.arange(-60, 61)
    expected = 0.0
    for deviation in (0.7, 5.0):
        p = norm.cdf((k + 0.5) / deviation) - norm.cdf((k - 0.5) / deviation)
        expected -= 20_000 * np.sum(p[p > 0] * np.log2(p[p > 0]))
    normal, best = bootstrap.fixed_bits(q)
    assert normal == pytest.approx(expected, rel=0.01)
    assert normal * 0.99 < best <= normal


def test_a_linear_relation_is_found_by_the_linear_map(photos):
    """Tokens that are a linear function of the global ones are predicted exactly."""
    z = photos[0].z
    y = torch.nn.functional.pixel_shuffle(z.repeat(1, 4, 1, 1) * 2 + 1, 2)
    photo = predictions.Photo(photos[0].rgb, y, z, y)
    assert torch.allclose(predictions.linear_predictions([photo])[0], y, atol=1e-4)


def test_pictures_are_better_the_more_the_decoder_knows(codec, photos):
    rows = bootstrap.picture_rows(codec, Inside(codec), photos)
    codec_db, _linear, mean, zeros, ceiling = (float(row[1]) for row in rows)
    assert ceiling > codec_db > max(mean, zeros)
    similarity = [float(row[2]) for row in rows]
    assert similarity[4] > similarity[0] > similarity[2]


def test_each_part_of_the_prediction_saves_bits_at_about_equal_quality(codec, photos):
    found = bootstrap.codings(codec, Inside(codec), photos, 50)
    ours, refined, predicted, none = (bits.normal for bits in found)
    assert 0 < ours < refined < predicted < none
    assert all(bits.any <= bits.normal for bits in found)
    decibels = [bits.psnr for bits in found]
    assert max(decibels) - min(decibels) < 0.6


def test_the_bootstrap_table_says_what_it_measured(codec, folder):
    text = bootstrap.run(codec, output.dataset_of(folder, 1), qualities=(30,))
    title = text.splitlines()[0]
    assert title.startswith(
        f"1 image of {folder.name}, model {codec.model_id}, {codec.precision}; "
    )
    for name in bootstrap.CODINGS:
        assert f"30  {name}" in text
    assert max(map(len, text.splitlines()[1:])) <= output.WIDTH


def test_rivals_take_no_more_bytes_than_they_were_given(codec, folder, monkeypatch):
    monkeypatch.setattr(rivals, "FACTORS", (3, 8))
    _, rgb = next(output.dataset_of(folder).images())
    codecs = {name: load_codec(name) for name in ("avif", "webp")}
    coded = base_layer.code_all(codec, codecs, rgb)
    ours = [coded[name].size for name in (base_layer.SBT, base_layer.BETTER_SBT)]
    assert ours == [len(codec.compress(rgb, globals_only=True, effort=e)) for e in (3, 5)]
    budget = max(ours)
    for one in coded.values():
        assert one.rgb.shape == rgb.shape
        assert one.fits == (one.size <= budget)
    # a small picture's AVIF is mostly container
    assert coded[base_layer.AVIF].container > coded[base_layer.WEBP].container == 20


@pytest.mark.parametrize("name", ["avif", "webp"])
def test_more_bytes_give_a_rival_a_better_picture(name, photo, monkeypatch):
    monkeypatch.setattr(rivals, "FACTORS", (1, 6))
    photo = photo[:96, :128]
    container = {"avif": rivals.avif_container, "webp": rivals.webp_container}[name]
    shrunk = rivals.Shrunk(load_codec(name), photo)
    few, more = (shrunk.best(budget, container, free=False) for budget in (400, 1500))
    assert few.fits and more.fits and few.size <= 400 < more.size <= 1500
    assert few.factor >= more.factor
    assert psnr(photo, more.rgb) > psnr(photo, few.rgb)
    # without its container counted, a file may be larger, and its picture no worse
    free = shrunk.best(400, container, free=True)
    assert free.size + free.container > few.size
    assert psnr(photo, free.rgb) >= psnr(photo, few.rgb)


def test_where_nothing_fits_the_smallest_file_is_reported_as_too_large(photo):
    shrunk = rivals.Shrunk(load_codec("webp"), photo)
    one = shrunk.best(30, rivals.webp_container, free=False)
    sizes = [len(shrunk.encode(factor, 0)) for factor in rivals.FACTORS]
    assert not one.fits
    assert one.size == min(sizes) > 30


def test_what_is_no_such_file_has_no_container():
    with pytest.raises(SbtError, match="mdat"):
        rivals.avif_container(b"\0\0\0\x10ftypavif\0\0\0\0")
    with pytest.raises(SbtError, match="more than one chunk"):
        rivals.webp_container(b"RIFF\0\0\0\0WEBPVP8X" + bytes(40))


def test_the_base_layer_table_and_picture(codec, folder, monkeypatch):
    monkeypatch.setattr(rivals, "FACTORS", (4, 8))
    text, sheet = base_layer.run(codec, output.dataset_of(folder), None, show=["coffee"])
    assert text.startswith(
        f"2 images of {folder.name}, model {codec.model_id}, {codec.precision}; "
    )
    ours = base_layer.SBT, base_layer.BETTER_SBT
    for name in (*ours, base_layer.AVIF, base_layer.FREE_AVIF, base_layer.WEBP):
        assert f"\n{name} " in text
    picture = Image.open(io.BytesIO(sheet))
    assert picture.format == "WEBP"
    assert picture.width >= 5 * 208


def test_a_folder_called_kodak_must_hold_kodak(tmp_path, photo):
    (tmp_path / "kodak").mkdir()
    Image.fromarray(photo).save(tmp_path / "kodak" / "kodim01.png")
    with pytest.raises(DatasetError, match="not the published Kodak file"):
        output.dataset_of(tmp_path / "kodak")


@pytest.mark.parametrize("module", [base_layer, bootstrap])
def test_existing_tables_are_kept_and_bad_folders_named(module, tmp_path, monkeypatch):
    out = tmp_path / "table.txt"
    out.write_text("earlier")

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, options)])
        module.main()

    with pytest.raises(SystemExit, match=r"error: .*exists already"):
        run("--data-dir", tmp_path, "--out", out)
    assert out.read_text() == "earlier"
    with pytest.raises(SystemExit, match="error: no data set"):
        run("--data-dir", tmp_path / "nowhere")


def test_a_table_is_printed_and_written(tmp_path, capsys):
    out = tmp_path / "table.txt"
    output.publish(output.table(["", "dB"], [["ours", "1.5"], ["a", "22.5"]]), out, force=False)
    assert out.read_text() == "        dB\nours   1.5\na     22.5\n"
    assert capsys.readouterr().out == out.read_text()


def test_the_perceptual_distance_is_that_of_the_middle(photo):
    height, width = photo.shape[:2]
    cut = base_layer.middle(photo, 61)
    assert np.array_equal(cut, photo[45 : 45 + 61, 83 : 83 + 61])
    assert np.array_equal(base_layer.middle(photo, max(height, width)), photo)
    damaged = photo.copy()
    damaged[:20] = 0
    coded = {"damaged": rivals.Coded(damaged, 10, 1)}

    class Differs:
        def to(self, x):
            return lambda x_hat: float(not np.array_equal(x, x_hat))

    assert base_layer.measure(photo, coded, Differs(), 61)["damaged"][4] == 0
    assert base_layer.measure(photo, coded, Differs(), 151)["damaged"][4] == 1
