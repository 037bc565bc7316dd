"""In which precision networks run: as asked, and by default as the processor is made for."""

import numpy as np
import pytest
import torch

from sbtcodec import Codec
from sbtcodec.errors import ArgumentError
from sbtcodec.runtime import precision

CPU = torch.device("cpu")


@pytest.fixture
def able(monkeypatch):
    """Makes the processor one that is made for bfloat16, or is not."""

    def make(*instructions):
        told = dict.fromkeys(instructions, True)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)

    return make


@pytest.mark.parametrize("instructions", [("avx512_bf16",), ("amx_bf16", "avx2")])
def test_auto_is_bfloat16_on_a_processor_made_for_it(able, instructions, tiny_weights):
    able(*instructions)
    assert precision.bf16_for("auto", CPU)
    assert Codec.load("cpu", weights=tiny_weights).precision == "bfloat16"


@pytest.mark.parametrize("instructions", [(), ("avx2", "avx512_f", "amx_int8")])
def test_auto_is_float32_elsewhere(able, instructions, tiny_weights):
    able(*instructions)
    assert not precision.bf16_for("auto", CPU)
    assert not precision.bf16_for("auto", torch.device("cuda"))
    assert Codec.load("cpu", weights=tiny_weights).precision == "float32"


def test_an_older_torch_is_asked_otherwise(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for question in precision.QUESTIONS:
        monkeypatch.setattr(torch.cpu, question, lambda: False, raising=False)
    assert not precision.bf16_for("auto", CPU)
    monkeypatch.setattr(torch.cpu, precision.QUESTIONS[1], lambda: True)
    assert precision.bf16_for("auto", CPU)
    for question in precision.QUESTIONS:
        monkeypatch.delattr(torch.cpu, question)
    assert not precision.bf16_for("auto", CPU)


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_what_is_asked_for_is_done_everywhere(able, asked, tiny_weights):
    able()
    codec = Codec.load("cpu", precision=asked, weights=tiny_weights)
    assert codec.precision == asked
    image = np.full((40, 50, 3), 128, np.uint8)
    assert codec.decompress(codec.compress(image)).size == (50, 40)


@pytest.mark.parametrize("asked", ["half", "", None, 16, np.array(["auto", "float32"])])
def test_another_precision_is_refused(asked, tiny_weights):
    with pytest.raises(ArgumentError, match="expected auto, float32 or bfloat16"):
        Codec.load("cpu", precision=asked, weights=tiny_weights)
