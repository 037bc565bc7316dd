"""Addresses of object stores and of the web: every command says what takes them, and what to do."""

import pytest
from typer.testing import CliRunner

from sbtcodec.cli import app


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    return " ".join(done.output.split())


@pytest.mark.parametrize("scheme", ["s3", "gs", "gcs", "abfs", "http", "https", "simplecache::s3"])
def test_compress_names_the_engine_that_takes_addresses(scheme: str) -> None:
    address = f"{scheme}://bucket/photographs"
    for arguments in ([address, "out"], [address], ["a.png", address], [address, "--out", "o"]):
        said = refused("compress", *arguments)
        assert address in said
        assert "give --engine ray, and a folder or an address as --out" in said


@pytest.mark.parametrize("option", ["--out", "--out-dir"])
def test_outputs_keep_both_slashes_of_their_address(option: str) -> None:
    said = refused("compress", "a.png", option, "s3://bucket/out")
    assert "s3://bucket/out" in said
    assert "--engine ray" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("decompress", "s3://b/a.sbt", "a.png"),
        ("decompress", "a.sbt", "gs://b/a.png"),
        ("decompress", "s3://b/in", "--out-dir", "out"),
        ("info", "https://host/a.sbt"),
        ("verify", "s3://b/a.sbt"),
        ("verify", "a.sbt", "--against", "s3://b/a.png"),
        ("compare", "s3://b/a.png", "a.sbt"),
        ("compare", "a.png", "http://host/a.sbt"),
        ("tokens", "s3://b/a.sbt"),
        ("tokens", "a.sbt", "--out", "s3://b/a.npz"),
        ("demo", "s3://b/demo"),
        ("bench", "--dataset", "s3://b/photographs"),
        ("bench", "--out", "s3://b/results.json"),
        ("train", "--data", "s3://b/photographs"),
    ],
)
def test_commands_without_engines_say_to_copy(arguments: tuple[str, ...]) -> None:
    (address,) = (argument for argument in arguments if "://" in argument)
    said = refused(*arguments)
    assert f"{address} is not on this machine, and {arguments[0]} takes only what is" in said
    assert "copy it here first" in said


def test_the_address_of_a_file_here_is_a_path() -> None:
    assert "give /tmp/a.png" in refused("compress", "file:///tmp/a.png")


def test_paths_that_look_like_addresses_are_paths(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "a.sbt").write_bytes(b"nonsense")
    assert CliRunner().invoke(app, ["info", "s3://a.sbt"]).exit_code == 3
    assert CliRunner().invoke(app, ["info", "C:/a.sbt"]).exit_code == 3
