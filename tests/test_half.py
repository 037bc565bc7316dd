"""Float networks in bfloat16: the same within its rounding, and nothing of the original changes."""

import pytest
import torch
from torch import nn

from sbtcodec.latents.blocks import Networks, kept_in_bfloat16
from sbtcodec.models.release import load_release
from sbtcodec.tokenizer.attention import WindowAttention
from sbtcodec.tokenizer.half import in_bfloat16
from sbtcodec.tokenizer.layers import Block, pixel_rows


@pytest.mark.parametrize("network", [Block(32), WindowAttention(32, 2, shifted=True)])
def test_a_network_in_bfloat16_is_nearly_the_same(network: nn.Module) -> None:
    network.requires_grad_(requires_grad=False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = pixel_rows(torch.randn(1, 32, 9, 11))
    half = in_bfloat16(network)
    with torch.no_grad():
        wanted = network(x)
        kept = x.clone()
        with torch.autocast("cpu", torch.bfloat16):
            found = half(x).float()
    assert torch.equal(x, kept)
    assert 0 < float((found - wanted).norm() / (wanted - x).norm()) < 0.05
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_weights_are_rounded_once_for_all_codecs() -> None:
    release = load_release()
    networks = [Networks(release, torch.device("cpu"), bf16=True) for _ in range(2)]
    assert networks[0].tokenizer is networks[1].tokenizer
    assert networks[0].tokenizer is kept_in_bfloat16(release.model.tokenizer)
    whole = Networks(release, torch.device("cpu"), bf16=False).tokenizer
    assert {p.dtype for p in whole.parameters()} == {torch.float32}
    kinds = {p.dtype for p in networks[0].tokenizer.decoder.parameters()}
    assert kinds == {torch.bfloat16, torch.float32}  # scales stay as they are
