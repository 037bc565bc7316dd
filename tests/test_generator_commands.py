"""The commands of the generator: what they write, say and refuse."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stand_in import assert_fails, runner
from test_completion import damaged

from sbtcodec.codec.codec import Codec
from sbtcodec.container import describe, unpack
from sbtcodec.generation.concealment import Concealment
from sbtcodec.generation.generator import Generator
from sbtcodec.image.contact_sheet import contact_sheet, thumbnail
from sbtcodec.image.provenance import synthesised_xmp


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("photo.png")


@pytest.fixture
def run(monkeypatch, capsys, generator_weights):
    """Run a command with the tiny model and its generator, in two rounds of drawing."""
    plain = runner(monkeypatch, capsys)

    def run(*arguments):
        return plain(*arguments, "--weights", generator_weights, "--device", "cpu", "--steps", 2)

    return run


def files():
    return sorted(os.listdir())


# sample


def test_samples_are_written_with_pictures_and_a_sheet(run, generator, tiny_codec):
    code, out, err = run("sample", "out", "--class", "church", "--n", 3, "--seed", 7)
    assert (code, err) == (0, "")
    names = [f"church-7-000{i}" for i in range(3)]
    expected = [f"{n}{e}" for n in names for e in (".png", ".sbt")]
    assert sorted(os.listdir("out")) == sorted([*expected, "sheet.png"])
    assert out.count("\n") == 4 and "3 done, 0 skipped" in out
    for i, tokens in enumerate(generator.sample(3, label="church", seed=7, steps=2)):
        data = Path(f"out/{names[i]}.sbt").read_bytes()
        assert data == tiny_codec.compress_tokens(tokens)
        assert describe(data).layers[0].complete and unpack(data).header.detail_layers == 0
        shown = Image.open(f"out/{names[i]}.png")
        assert np.array_equal(np.asarray(shown), np.asarray(tiny_codec.decompress(data)))
        assert "trainedAlgorithmicMedia" in shown.info["XML:com.adobe.xmp"]
    assert Image.open("out/sheet.png").size == (2 * 260 + 4, 2 * 260 + 4)


def test_the_same_seed_gives_the_same_files_in_parts_too(run):
    run("sample", "a", "--n", 3)
    run("sample", "b", "--n", 1, "--no-sheet")
    run("sample", "b", "--n", 2, "--first", 1, "--no-sheet")
    for path in Path("b").iterdir():
        assert path.read_bytes() == Path("a", path.name).read_bytes()
    assert len(list(Path("b").iterdir())) == 6


def test_samples_have_the_size_asked_for(run):
    code, out, _ = run("sample", "out", "--n", 1, "--size", "70x40", "--no-sheet", "--json")
    told, summary = map(json.loads, out.splitlines())
    assert code == 0
    assert (told["width"], told["height"], told["class"], told["number"]) == (70, 40, None, 0)
    assert told["output"] == "out/any-1-0000.sbt" and told["state"] == "done"
    assert told["bytes"] == Path(told["output"]).stat().st_size
    assert Image.open(told["png"]).size == (70, 40)
    assert (summary["summary"]["done"], summary["summary"]["exit_code"]) == (1, 0)


def test_only_what_is_asked_for_is_written(run):
    run("sample", "out", "--n", 1, "--no-png", "--no-sheet", "--quiet")
    assert os.listdir("out") == ["any-1-0000.sbt"]
    assert run("sample", "bare", "--n", 1, "--strip", "--quiet") == (0, "", "")
    assert Image.open("bare/any-1-0000.png").info == {}


def test_samples_that_are_there_are_refused_replaced_or_left_out(run):
    run("sample", "out", "--n", 2)
    before = {p.name: p.read_bytes() for p in Path("out").iterdir()}
    Path("out/any-1-0001.png").unlink()
    Path("out/sheet.png").unlink()
    assert_fails(run("sample", "out", "--n", 2), 6, "give --force")
    code, out, _ = run("sample", "out", "--n", 2, "--skip-existing", "--json")
    states = [json.loads(line).get("state") for line in out.splitlines()]
    assert (code, states) == (0, ["skipped", "done", None])
    assert {p.name: p.read_bytes() for p in Path("out").iterdir()} == before
    Path("out/any-1-0000.sbt").write_bytes(b"other")
    assert run("sample", "out", "--n", 2, "--force")[0] == 0
    assert {p.name: p.read_bytes() for p in Path("out").iterdir()} == before
    code, _, err = run("sample", "out", "--force", "--skip-existing")
    assert code == 2 and "exclude each other" in err


def test_an_interruption_leaves_the_whole_files_made_so_far(run, monkeypatch):
    original, count = Codec.compress_tokens, 0

    def interrupted(codec, tokens):
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return original(codec, tokens)

    monkeypatch.setattr(Codec, "compress_tokens", interrupted)
    code, out, err = run("sample", "out", "--n", 4, "--json")
    assert code == 130 and "interrupted" in err
    assert json.loads(out.splitlines()[-1])["summary"]["interrupted"]
    made = ["any-1-0000.png", "any-1-0000.sbt", "any-1-0001.png", "any-1-0001.sbt"]
    assert sorted(os.listdir("out")) == made
    monkeypatch.setattr(Codec, "compress_tokens", original)
    assert run("sample", "out", "--n", 4, "--skip-existing")[0] == 0
    assert len(os.listdir("out")) == 9


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--class", "dog"), 2, "knows church, tench; choose one"),
        (("--size", "12"), 2, "expected WIDTHxHEIGHT"),
        (("--size", "0x9"), 2, "expected sides of 1 to 2048"),
        (("--size", "64x2049"), 2, "expected sides of 1 to 2048"),
        (("--n", "0"), 2, "--n"),
        (("--seed", "-1"), 2, "--seed"),
        (("--guidance", "21"), 2, "--guidance"),
        (("--guidance", "nan"), 2, "expected a number"),
    ],
)
def test_bad_samples_are_refused_before_anything_is_written(run, arguments, code, sentence):
    found, out, err = run("sample", "out", *arguments)
    assert (found, out) == (code, "")
    assert sentence in " ".join(err.split())
    assert files() == ["photo.png"]


def test_without_a_generator_nothing_is_sampled(monkeypatch, capsys, tiny_weights):
    run = runner(monkeypatch, capsys)
    found = run("sample", "out", "--weights", tiny_weights, "--device", "cpu")
    assert_fails(found, 4, "no generator of model 1 is installed")
    Path("a.sbt").write_bytes(b"")
    assert files() == ["a.sbt", "photo.png"]


def test_a_folder_that_cannot_be_made_is_told(run):
    assert_fails(run("sample", "photo.png"), 6, "the folder photo.png cannot be made")


def test_a_sheet_of_many_is_not_too_large():
    picture = np.zeros((200, 300, 3), np.uint8)
    few, many = ([thumbnail(picture, n)] * n for n in (3, 900))
    assert contact_sheet(few).shape == (2 * (171 + 4) + 4, 2 * 260 + 4, 3)
    assert max(contact_sheet(many).shape) <= 4100
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])


# complete


def test_a_photograph_is_completed(run, tiny_codec, photo):
    code, out, err = run("complete", "photo.png", "out.png", "--lose", "50,40,40,40", "-q", "60")
    assert (code, err) == (0, "")
    assert "4 of 40 tokens drawn" in out
    kept = np.ones(photo.shape[:2], bool)
    kept[40:80, 50:90] = False
    shown, decoded = (
        np.asarray(Image.open("out.png")),
        tiny_codec.decode(tiny_codec.compress(photo, 60)),
    )
    assert np.array_equal(shown[kept], decoded.rgb[kept])
    assert (shown[~kept] != decoded.rgb[~kept]).any()
    xmp = Image.open("out.png").info["XML:com.adobe.xmp"]
    assert "compositeWithTrainedAlgorithmicMedia" in xmp


def test_a_file_is_completed_as_the_photograph_that_it_was_made_of(run, tiny_codec, photo):
    Path("photo.sbt").write_bytes(tiny_codec.compress(photo, 60))
    options = ("--keep", "0,0,100,151", "--class", "tench", "--seed", "5")
    code, out, _ = run("complete", "photo.sbt", "a.png", *options, "--json")
    told = json.loads(out)
    assert (code, told["state"], told["class"], told["seed"]) == (0, "done", "tench", 5)
    assert (told["tokens"], told["known_tokens"]) == (40, 15)
    assert told["synthesised_pixels"] == 127 * 151
    run("complete", "photo.png", "b.png", *options, "-q", "60")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    run("complete", "photo.png", "c.webp", *options, "-q", "60")
    assert np.array_equal(np.asarray(Image.open("c.webp")), np.asarray(Image.open("a.png")))


def test_a_picture_is_extended(run, tiny_codec, photo):
    assert run("complete", "photo.png", "out.png", "--extend", "10,0,20,33", "--quiet") == (
        0,
        "",
        "",
    )
    shown = np.asarray(Image.open("out.png"))
    assert shown.shape == (151 + 33, 227 + 30, 3)
    assert np.array_equal(shown[:151, 10:237], tiny_codec.decode(tiny_codec.compress(photo)).rgb)


def test_a_completed_file_holds_the_global_tokens_and_says_so(run, tiny_codec, photo):
    code, _, err = run("complete", "photo.png", "out.sbt", "--extend", "32,0,5,0")
    assert code == 0 and "holds the global tokens of the completed picture alone" in err
    header = unpack(Path("out.sbt").read_bytes()).header
    assert (header.width, header.height, header.detail_layers) == (264, 151, 0)
    tokens = tiny_codec.tokens_of(Path("out.sbt").read_bytes())
    own = tiny_codec.tokenize(photo)
    assert np.array_equal(tokens.levels[:, 1:8], own.levels[:, :7])
    code, _, err = run("complete", "photo.png", "no.sbt", "--extend", "31,0,0,0")
    assert code == 2 and "multiples of 32" in err
    assert not Path("no.sbt").exists()


def test_transparency_and_metadata_stay_where_they_can(run, photo):
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[:60, :60] = 9
    exif = Image.Exif()
    exif[0x010F] = "maker"
    picture = Image.fromarray(np.dstack([photo, alpha]))
    picture.save("clear.png", exif=exif)
    code, _, err = run("complete", "clear.png", "out.png", "--lose", "40,40,60,60")
    assert code == 0 and "what is synthesised is opaque" in err
    shown = Image.open("out.png")
    assert shown.getexif()[0x010F] == "maker"
    expected = alpha.copy()
    expected[40:100, 40:100] = 255
    assert np.array_equal(np.asarray(shown)[:, :, 3], expected)
    run("complete", "clear.png", "grown.png", "--extend", "7,3,0,0")
    grown = np.asarray(Image.open("grown.png"))[:, :, 3]
    assert np.array_equal(grown[3:, 7:], alpha) and (grown[:3] == 255).all()
    code, _, err = run("complete", "clear.png", "out.jpg", "--lose", "40,40,60,60")
    assert code == 0 and "composited over white" in err


def test_a_picture_s_own_xmp_data_is_kept_and_told(run, photo):
    from PIL import PngImagePlugin

    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>mine</x:xmpmeta>")
    Image.fromarray(photo).save("own.png", pnginfo=chunks)
    _, _, err = run("complete", "own.png", "out.png", "--lose", "40,40,60,60")
    assert "does not say that a part of the picture is synthesised" in err
    assert "mine" in Image.open("out.png").info["XML:com.adobe.xmp"]
    assert run("complete", "photo.png", "out.bmp", "--lose", "40,40,60,60")[2] == ""


def test_pictures_come_from_and_go_to_pipes(monkeypatch, capsysbinary, generator_weights):
    run = runner(monkeypatch, capsysbinary)
    data = Path("photo.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    options = ("--weights", generator_weights, "--device", "cpu", "--steps", 1)
    code, out, err = run("complete", "-", "-", "--lose", "0,0,40,40", *options)
    assert (code, err) == (0, b"")
    assert Image.open(io.BytesIO(out)).size == (227, 151)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("photo.png", "out.png"), 2, "one of --keep, --lose and --extend"),
        (("photo.png", "out.png", "--keep", "0,0,40,40", "--lose", "1,1,2,2"), 2, "exclude"),
        (("photo.png", "out.png", "--keep", "0,0,31,31"), 2, "no cell of 32 x 32 pixels"),
        (("photo.png", "out.png", "--keep", "0,0,227,151"), 2, "nothing to complete"),
        (("photo.png", "out.png", "--lose", "0,0,227,151"), 2, "no cell of 32 x 32 pixels"),
        (("photo.png", "out.png", "--lose", "200,0,28,9"), 2, "leaves the picture of 227 x 151"),
        (("photo.png", "out.png", "--lose", "1,2,3"), 2, "four whole numbers"),
        (("photo.png", "out.png", "--extend", "0,0,0,0"), 2, "at least one of them"),
        (("photo.png", "out.png", "--extend", "1,2,3"), 2, "four whole numbers"),
        (("photo.png", "out.png", "--extend", "0,0,16300,0"), 2, "at most 16383"),
        (("photo.png", "out.png", "--extend", "0,0,9,0", "--max-pixels", "35000"), 5, "--max-p"),
        (("photo.png", "out.png", "--lose", "0,0,9,9", "--max-pixels", "300"), 5, "--max-p"),
        (("photo.png", "out.png", "--lose", "0,0,9,9", "--class", "dog"), 2, "church, tench"),
        (("photo.png", "out.gif", "--lose", "0,0,9,9"), 5, "extension .gif"),
        (("none.png", "out.png", "--lose", "0,0,9,9"), 5, "none.png"),
        (("none.sbt", "out.png", "--lose", "0,0,9,9"), 3, "none.sbt does not exist"),
        (("photo.png", "photo.png", "--lose", "0,0,9,9"), 6, "the input itself"),
    ],
)
def test_bad_completions_are_refused_before_anything_is_written(run, arguments, code, sentence):
    found, out, err = run("complete", *arguments)
    assert (found, out) == (code, "")
    assert sentence in " ".join(err.split())
    assert files() == ["photo.png"]


def test_a_file_of_another_model_has_no_generator(run, tiny_codec, photo):
    data = tiny_codec.compress(photo)
    Path("other.sbt").write_bytes(data[:2] + bytes([8]) + data[3:])
    found = run("complete", "other.sbt", "out.png", "--lose", "0,0,40,40")
    assert_fails(found, 4, "no generator of model 8 is installed")
    assert files() == ["other.sbt", "photo.png"]


# decompress --conceal


@pytest.fixture
def decompress(monkeypatch, capsys, tiny_codec, generator_weights) -> Any:
    """Run `decompress` with the tiny codec and its generator."""
    shared = "sbtcodec.cli.common.shared_codec.SharedCodec"
    monkeypatch.setattr(f"{shared}.decoder", lambda *_, **__: tiny_codec)
    load = Generator.load
    monkeypatch.setattr(
        Generator,
        "load",
        lambda device, *, model, weights: load("cpu", model=model, weights=generator_weights),
    )
    run = runner(monkeypatch, capsys)
    return lambda *arguments: run("decompress", *arguments)


def test_damage_is_concealed_with_a_warning(decompress, monkeypatch, tiny_codec, photo):
    monkeypatch.setattr("sbtcodec.grid.TOKENS_PER_TILE", 4)
    data = tiny_codec.compress(photo)
    Path("base.sbt").write_bytes(damaged(data, 0, 1))
    Path("details.sbt").write_bytes(damaged(data, 2, 0))
    Path("lost.sbt").write_bytes(damaged(data, 0, 0, 1, 2, 3))
    for name, code in (("base", 3), ("details", 3)):
        assert decompress(f"{name}.sbt")[0] == code
        assert not Path(f"{name}.png").exists()
    code, out, err = decompress("base.sbt", "--conceal", "--json")
    assert code == 0 and "sbtcodec: warning: base.sbt: the base layer is damaged" in err
    assert json.loads(out)["notices"] == [
        "the base layer is damaged: synthesised is 99 x 128 pixels at 128,0"
    ]
    code, _, err = decompress("details.sbt", "--conceal")
    assert code == 0 and "details are damaged: predicted is 128 x 128 pixels at 0,0" in err
    code, out, err = decompress("lost.sbt", "--conceal")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert not Path("lost.png").exists()


def test_a_generator_is_loaded_once_and_when_it_is_needed(generator_weights, generator):
    conceal = Concealment("cpu", weights=generator_weights)
    assert not conceal._generators
    (tokens,) = generator.sample(1, steps=1)
    levels, known = tokens.levels.astype(np.int64), np.eye(8, dtype=bool)
    header = unpack(Codec.load("cpu", weights=generator_weights).compress_tokens(tokens)).header
    first = conceal(header, levels, known)
    loaded = dict(conceal._generators)
    assert np.array_equal(conceal(header, levels, known), first)
    assert conceal._generators == loaded and len(loaded) == 1


# models


def test_generators_are_listed_with_their_models(
    monkeypatch, capsys, generator_weights, tiny_weights
):
    run = runner(monkeypatch, capsys)
    code, out, _ = run("models", "--weights", generator_weights)
    assert code == 0
    last = out.splitlines()[-1]
    assert last.startswith("generator generator-1 of model 1,")
    assert last.endswith("classes: church, tench")
    told = json.loads(run("models", "--weights", generator_weights, "--json")[1])
    assert told["generator"]["classes"] == ["church", "tench"]
    assert told["generator"]["name"] == "generator-1"
    assert json.loads(run("models", "--weights", tiny_weights, "--json")[1])["generator"] is None


def test_what_is_said_of_synthesised_pictures_is_well_formed():
    from xml.etree import ElementTree

    for in_part in (False, True):
        ElementTree.fromstring(synthesised_xmp(in_part=in_part))
