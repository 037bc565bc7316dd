"""The examples in docstrings are right."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["sbtcodec.codec.codec", "sbtcodec.pillow"])
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 3
    assert result.failed == 0
