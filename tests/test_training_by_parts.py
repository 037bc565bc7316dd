"""Training by parts: from tokens that are kept, the networks that both sides share learn."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from sbtcodec.codec.codec import Codec
from sbtcodec.errors import WeightsError
from sbtcodec.models.config import CodecModel
from sbtcodec.models.weights_file import read_state
from sbtcodec.rdo.soft_quantisation import gaussian_bits
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.training import checkpoint
from sbtcodec.training.config import MODELS, PRESETS, TrainingConfig
from sbtcodec.training.data import batch
from sbtcodec.training.kept_tokens import Crops, computed, load, save, tokens_of, varied
from sbtcodec.training.parts import PartsPass, chosen_levels, sensitivities
from sbtcodec.training.publish import publish
from sbtcodec.training.run import train
from sbtcodec.training.step import TrainingPass

PARTS: TrainingConfig = replace(
    PRESETS["parts"],
    minutes=60.0,
    large_crop=(64, 6),
    warmup_steps=1,
    learning_rate=3e-3,
    decay_share=0.5,  # so that rates do not follow the clock
)
SHARED = ("prior.", "scales.", "tokenizer.predictor.", "tokenizer.refiners.")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("astronaut", "coffee"):
        image = Image.fromarray(getattr(data, name)())
        image.resize((300, 260)).save(folder / f"{name}.png")
    return folder


def run(photographs: Path, out: Path, steps: int, **kwargs: object) -> Path:
    return train(
        PARTS,
        MODELS["tiny"],
        data=photographs,
        out=out,
        steps=steps,
        compiled=False,
        device="cpu",
        **kwargs,  # type: ignore[arg-type]
    )


def test_shared_networks_learn_and_all_others_stay(photographs: Path, tmp_path: Path) -> None:
    before, _ = checkpoint.load(run(photographs, tmp_path / "run", 0))
    after, _ = checkpoint.load(run(photographs, tmp_path / "run", 3))
    names = {n for n in before if n.startswith("model.")}
    moved = {n.removeprefix("model.") for n in names if not torch.equal(before[n], after[n])}
    for part in SHARED:
        assert any(name.startswith(part) for name in moved), part
    assert all(name.startswith(SHARED) for name in moved)


def test_a_run_that_goes_on_equals_an_unbroken_one(photographs: Path, tmp_path: Path) -> None:
    run(photographs, tmp_path / "whole", 4)
    run(photographs, tmp_path / "broken", 2)
    run(photographs, tmp_path / "broken", 4, resume=True)
    whole, _ = checkpoint.load(tmp_path / "whole" / "checkpoint.safetensors")
    broken, _ = checkpoint.load(tmp_path / "broken" / "checkpoint.safetensors")
    assert all(torch.equal(value, broken[name]) for name, value in whole.items())


def test_the_loss_falls(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbtcodec.training.run.SECONDS_PER_LOG_LINE", 0.0)
    run(photographs, tmp_path, 120)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines]
    assert np.mean(losses[-20:]) < 0.9 * np.mean(losses[:20])
    bits = [line["token_bits"] for line in lines]
    assert np.mean(bits[-20:]) < np.mean(bits[:20])


def test_tokens_are_those_of_the_codec(tiny_codec: Codec) -> None:
    rgb = np.asarray(data.coffee())[:96, :128]
    kept = tokens_of(tiny_codec.tokenizer, rgb)
    networks = tiny_codec.networks
    y, z = networks.analyse(rgb)
    assert kept.dtype == torch.float16
    assert torch.allclose(kept.float(), y[0].permute(1, 2, 0), atol=2e-3, rtol=2e-3)
    steps = [3, 3, 1, 0]
    with torch.no_grad():
        found = chosen_levels(tiny_codec.tokenizer, y.expand(4, -1, -1, -1), torch.tensor(steps))
    for levels, count in zip(found, steps, strict=True):
        assert torch.equal(levels, networks.fitted_levels(y, z, count)[0])


def test_tokens_of_another_encoder_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "tokens.safetensors"
    assert load(path, "a") is None
    kept = [torch.rand(4, 6, 3).half(), torch.rand(2, 2, 3).half()]
    save(path, kept, "a")
    again = load(path, "a") or []
    assert all(torch.equal(y, same) for y, same in zip(kept, again, strict=True))
    assert load(path, "b") is None
    path.write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match="does not hold tokens: .*; delete it"):
        load(path, "a")


def test_crops_hold_tokens_of_one_place(tiny_codec: Codec) -> None:
    rgb = np.asarray(data.astronaut())[:192, :256]
    kept = computed(tiny_codec.tokenizer, [rgb], 1, seed=0)
    (whole,) = kept
    y = Crops(kept, 6, seed=(1,)).at(5, 2)
    assert y.shape == (2, whole.shape[2], 6, 6)
    for crop in y:
        places = [
            (row, column)
            for row in range(0, whole.shape[0] - 5, 2)
            for column in range(0, whole.shape[1] - 5, 2)
            if torch.equal(whole[row : row + 6, column : column + 6].permute(2, 0, 1), crop.half())
        ]
        assert len(places) == 1
    assert torch.equal(Crops(kept, 6, seed=(1,)).at(5, 2), y)


def test_variations_are_mirrored_or_not_and_never_too_small() -> None:
    rgb = np.zeros((300, 400, 3), np.uint8)
    rgb[:, :100] = 255
    left = []
    for seed in range(8):
        made = varied(rgb, np.random.default_rng(seed)).astype(float)
        assert min(made.shape[:2]) >= 256
        difference = made[:, :20].mean() - made[:, -20:].mean()
        assert abs(difference) > 100
        left.append(difference > 0)
    assert len(set(left)) == 2


def test_rates_and_errors_are_those_of_the_whole_pass(tiny_codec: Codec) -> None:
    """Where nothing is adapted: the rates of rounded symbols, the error that pixels have."""
    torch.manual_seed(0)
    model = CodecModel(MODELS["tiny"])
    rgb = batch([np.asarray(data.coffee()), np.asarray(data.astronaut())], 128, 4, (1,))
    x = pixel_rows(rgb.float() / 255)
    t = model.tokenizer
    with torch.no_grad():
        y = t.local_encoder(x)
        levels = t.fsq(t.global_encoder(y)).levels
        quality, layers = torch.tensor([40.0, 90.0, 140.0, 200.0]), torch.tensor([4, 2, 4, 1])
        parts = PartsPass(model, sensitivities(model, x, seed=0))
        mse, bpp = parts.details(y, levels, quality, layers)
        model.tokenizer.adapter = None
        same, same_bpp = parts.details(y, levels, quality, layers)
        noise = torch.zeros(4, t.config.local_channels, 8, 8)
        # the whole pass with noise that rounds: its rate is that of the symbols
        out = TrainingPass(model, fitted=-1.0)(x, quality, layers, noise)
    assert (mse > 0).all()
    assert torch.allclose(mse, same)
    assert torch.allclose(bpp, same_bpp)
    assert torch.allclose(parts.token_bits(levels), out.token_bits, rtol=1e-4)
    # residuals without noise cost about what rounded ones do
    assert torch.allclose(bpp, out.detail_bpp, rtol=0.35)


def test_rounded_symbols_cost_what_their_interval_does() -> None:
    scale = torch.tensor(0.7)
    whole = gaussian_bits(torch.arange(-9.0, 10.0), scale)
    assert torch.exp2(-whole).sum() == pytest.approx(1, abs=1e-5)


def test_what_is_learned_is_what_is_exported(photographs: Path, tmp_path: Path) -> None:
    """Sums that a release cannot hold are held in training, not shrunk behind its back."""
    first = run(photographs, tmp_path / "first", 0)
    tensors, progress = checkpoint.load(first)
    for name, value in tensors.items():
        if ".heads." in name and name.endswith("weight"):
            value.mul_(400)
    model = CodecModel(MODELS["tiny"])
    state = {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}
    model.load_state_dict(state, strict=False)
    checkpoint.save(tmp_path / "large", model, state, [], progress)
    learned, _ = checkpoint.load(
        run(photographs, tmp_path / "run", 3, warm_start=tmp_path / "large")
    )
    heads = {k: v for k, v in learned.items() if k.startswith("model.scales.heads.")}
    weights = publish(tmp_path / "run" / "checkpoint.safetensors", tmp_path / "weights")
    _, exported, _ = read_state(weights)
    assert max(float(v.abs().max()) for v in heads.values()) > 10
    for name in exported:
        if name.startswith("scales.heads."):
            largest = 0.5 / (128 if name.endswith("weight") else 2048)  # rounding alone
            averaged = learned[f"ema.{name}"]
            assert (exported[name] - averaged).abs().max() <= 1.01 * largest
