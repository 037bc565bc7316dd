"""Help: the same at any width, complete, and in docs/commands.md word for word."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from sbtcodec.cli import HELP_WIDTH, app
from sbtcodec.cli.reference import END, START, has_markers, reference, with_reference

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = tuple(get_command(app).commands)


def program(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def help_of(name):
    return reference().split(f"### sbtcodec {name}\n")[1].split("### ")[0]


def test_help_is_the_same_whatever_the_width_of_the_terminal():
    narrow, wide = (program("sbtcodec", "compress", "--help", COLUMNS=c) for c in ("40", "300"))
    assert narrow.returncode == wide.returncode == 0
    assert narrow.stdout == wide.stdout
    assert max(map(len, wide.stdout.splitlines())) <= HELP_WIDTH


def test_the_reference_is_what_the_commands_print():
    shown = program("sbtcodec", "verify", "--help").stdout
    assert shown.strip() in help_of("verify")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_paragraph_and_examples_that_name_it(name):
    text = help_of(name)
    assert "  Examples:\n" in text
    examples = text.split("  Examples:\n")[1].split("\n\n")[0].splitlines()
    assert all(line.startswith("    ") for line in examples)
    assert any(f"sbtcodec {name}" in line or f"sbtcodec.cli {name}" in line for line in examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name):
    for parameter in get_command(app).commands[name].params:
        assert parameter.help, f"{name} {parameter.name}"


def test_the_reference_replaces_what_is_between_the_markers():
    text = f"before\n{START}\nold\n{END}\nafter\n"
    new = with_reference(text)
    assert new == f"before\n{START}\n{reference()}{END}\nafter\n"
    assert with_reference(new) == new
    with pytest.raises(ValueError, match="expected one of each"):
        with_reference("no markers")


def test_the_documents_have_the_help_of_this_program():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert has_markers(text)
    assert with_reference(text) == text, (
        "run python -m sbtcodec.cli.reference --write docs/commands.md"
    )


def test_the_reference_can_be_written_into_a_file(tmp_path):
    path = tmp_path / "commands.md"
    path.write_text(f"a\n{START}\n{END}\n")
    assert program("sbtcodec.cli.reference", "--write", str(path)).returncode == 0
    assert path.read_text() == f"a\n{START}\n{reference()}{END}\n"
    done = program("sbtcodec.cli.reference", "--write", str(tmp_path / "none"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_completion_is_shown(shell):
    # Otherwise the shell that runs the tests is taken.
    detection = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = program("sbtcodec", "--show-completion", shell, **detection)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"complete_{shell}" in done.stdout


def test_commands_and_files_are_completed():
    words = {"_SBTCODEC_COMPLETE": "complete_bash", "COMP_WORDS": "sbtcodec dec", "COMP_CWORD": "1"}
    assert program("sbtcodec", **words).stdout.split() == ["decompress"]
    words = {
        "_SBTCODEC_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": "sbtcodec compress pho",
    }
    assert program("sbtcodec", **words).stdout.strip() == "_files"
