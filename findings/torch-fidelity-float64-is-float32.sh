#!/bin/sh
# torch-fidelity 0.4.0 with torch 2.14.1: asked to compute features in float64
# (`feature_extractor_internal_dtype="float64"`), it computes them in float32 and says nothing.
#
# `helpers.text_to_dtype` gives torch.float32 for "float64". The option is described as the more precise
# one; with it, the parameters are float32 and features are those of float32, bit for bit. A network
# that really is in float64 gives others. Who turns it on to see what rounding does to an FID sees: nothing.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 torchvision==0.29.1 torch-fidelity==0.4.0
"$folder/venv/bin/python" - <<'END'
from unittest import mock

import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.helpers import text_to_dtype


def network(dtype):
    # with random weights: which ones they are does not matter, and the real ones are a download
    torch.manual_seed(0)
    with (
        mock.patch.object(torch, "load", lambda *_, **__: None),
        mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None),
    ):
        made = FeatureExtractorInceptionV3(
            "features",
            ["2048"],
            feature_extractor_weights_path="-",
            feature_extractor_internal_dtype=dtype,
        )
    for layer in made.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    return made


print("text_to_dtype:", text_to_dtype("float32"), text_to_dtype("float64"))
assert text_to_dtype("float64") is torch.float32
single, asked = network("float32"), network("float64")
kinds = {p.dtype for p in asked.parameters()}
print("asked for float64, parameters are", kinds)
assert kinds == {torch.float32}
pictures = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
a, b = single(pictures)[0], asked(pictures)[0]
print("features are those of float32 bit for bit:", torch.equal(a, b))
assert torch.equal(a, b)

asked.double()
asked.feature_extractor_internal_dtype = torch.float64
c = asked(pictures)[0]
apart = float((a.double() - c.double()).abs().max())
print("truly in float64, they differ by up to", apart)
assert apart > 1e-9
END
