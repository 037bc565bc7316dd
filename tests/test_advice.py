"""Advice in errors: that of library code is Python, that of the command line its options."""

import ast
import re

import numpy as np
import pytest
from PIL import Image
from stand_in import ROOT, assert_fails, replace_codec, runner

import sbtcodec
from sbtcodec.cli.common.advice import OPTIONS, with_options

LIBRARY = sorted(
    path for path in (ROOT / "sbtcodec").rglob("*.py") if "cli" not in path.relative_to(ROOT).parts
)
OPTION = re.compile(r"(?:^|\s)--[a-z][a-z-]*(?=[\s.,;:)]|$)")


def sentences(path):
    """The texts in a module that are more than one word and no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and " " in text and id(node) not in docstrings:
            yield text


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_of_library_code_names_an_option(path):
    assert [text for text in sentences(path) if OPTION.search(text)] == []


def test_all_advice_that_is_translated_is_given_somewhere():
    texts = " ".join(text for path in LIBRARY for text in sentences(path))
    for words in OPTIONS:
        assert words in texts, words


def test_names_of_files_are_left_alone():
    sentence = "pass force=True; raise max_pixels.png exists; choose another name"
    assert with_options(sentence) == sentence
    assert with_options("raise max_pixels") == "raise max_pixels"


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    replace_codec(monkeypatch)
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save("photo.png")
    return runner(monkeypatch, capfd)


def test_the_command_line_names_its_options(run, tmp_path):
    assert run("compress", "photo.png")[0] == 0
    exists = run("compress", "photo.png")
    assert_fails(exists, 6, "photo.sbt exists already; choose another name, or give --force")
    too_many = run("compress", "photo.png", "large.sbt", "--max-pixels", 100)
    assert_fails(too_many, 5, "scale it down, or raise --max-pixels")
    too_many = run("decompress", "photo.sbt", "large.png", "--max-pixels", 100)
    assert_fails(too_many, 3, "expected at most 100 in all; raise --max-pixels if they are wanted")
    no_gpu = run("compress", "photo.png", "b.sbt", "--device", "cuda")
    assert_fails(no_gpu, 8, "no CUDA device is available; use --device cpu")
    (tmp_path / "cut.sbt").write_bytes((tmp_path / "photo.sbt").read_bytes()[:-20])
    cut = run("decompress", "cut.sbt")
    assert_fails(cut, 3, "; --allow-partial decodes the layers before it")


def test_a_batch_names_options_too(run):
    assert run("compress", "photo.png", "--out-dir", "made", "--quiet")[0] == 0
    code, out, _ = run("compress", "photo.png", "--out-dir", "made", "--json")
    assert code == 6
    assert "or give --force" in out


def test_functions_name_their_arguments(tmp_path):
    with pytest.raises(sbtcodec.SbtError, match="raise max_pixels"):
        sbtcodec.compress(np.zeros((40, 60, 3), np.uint8), max_pixels=100)
    from sbtcodec.image.files import write_atomically

    (tmp_path / "a").touch()
    with pytest.raises(sbtcodec.SbtError, match="pass force=True"):
        write_atomically(tmp_path / "a", b"", force=False)
