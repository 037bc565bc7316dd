"""Training: it resumes as if it had not stopped, and what it makes can be used."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_msssim
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from benchmarks.ideal_rate import counting
from sbtcodec.codec.codec import Codec
from sbtcodec.entropy.frequencies import gaussian_tables
from sbtcodec.entropy.step_size import position
from sbtcodec.entropy.token_rate import token_bits
from sbtcodec.entropy.units import ANCHOR_WEIGHT_ONE
from sbtcodec.errors import DatasetError, WeightsError
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.weights_file import read_state
from sbtcodec.rdo.ms_ssim import MS_SSIM_WEIGHTS, ms_ssim
from sbtcodec.rdo.soft_symbols import gaussian_bits
from sbtcodec.training import checkpoint
from sbtcodec.training.config import BASE, MODELS, PRESETS, TrainingConfig
from sbtcodec.training.data import batch, recoloured
from sbtcodec.training.objective import fitted_up_to, loss_of
from sbtcodec.training.publish import publish
from sbtcodec.training.run import train
from sbtcodec.training.state import Run, make_optimisers, optimise
from sbtcodec.training.step import Pass, TrainingPass

TINY: TrainingConfig = replace(PRESETS["tiny"], minutes=60.0, matrix_learning_rate=2e-3)


def run(
    photographs: Path, out: Path, steps: int, config: TrainingConfig = TINY, **kwargs: object
) -> Path:
    return train(
        config,
        MODELS["tiny"],
        data=photographs,
        out=out,
        steps=steps,
        compiled=False,
        device="cpu",
        **kwargs,  # type: ignore[arg-type]
    )


def test_a_resumed_run_equals_an_unbroken_one(photographs: Path, tmp_path: Path) -> None:
    run(photographs, tmp_path / "whole", 6)
    run(photographs, tmp_path / "parts", 3)
    run(photographs, tmp_path / "parts", 6, resume=True)
    whole, a = checkpoint.load(tmp_path / "whole" / "checkpoint.safetensors")
    parts, b = checkpoint.load(tmp_path / "parts" / "checkpoint.safetensors")
    assert a["step"] == b["step"] == 6
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_training_lowers_the_loss_and_the_result_compresses(
    photographs: Path, tmp_path: Path
) -> None:
    path = run(photographs, tmp_path / "run", 60)
    weights = publish(path, tmp_path / "weights")
    codec = Codec.load("cpu", weights=weights.parent)
    image = np.asarray(Image.open(photographs / "coffee.png"))[:96, :96]
    decoded = codec.decode(codec.compress(image, 100)).rgb
    untrained = run(photographs, tmp_path / "untrained", 1)
    before = Codec.load("cpu", weights=publish(untrained, tmp_path / "before").parent)
    worse = before.decode(before.compress(image, 100)).rgb

    def error(rgb: NDArray[np.uint8]) -> float:
        return float(np.square(rgb.astype(float) - image).mean())

    assert error(decoded) < 0.7 * error(worse)
    config, state, _ = read_state(weights)
    assert config == MODELS["tiny"]
    assert state["tokenizer.log_gains"].dtype == torch.float32


def test_a_gradient_that_is_not_finite_stops_the_run_before_it_moves_weights() -> None:
    config, model = PRESETS["tiny"], CodecModel(MODELS["tiny"])
    averaged = {k: v.detach().clone() for k, v in model.named_parameters()}
    state = Run(config, model, torch.device("cpu"), make_optimisers(model, config), averaged)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    total = sum(p.sum() for p in model.parameters())
    assert isinstance(total, torch.Tensor)
    with pytest.raises(WeightsError, match="step 0 is not finite"):
        optimise(state, total * torch.nan, 1)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(torch.equal(v, before[k]) for k, v in state.averaged.items())


def test_released_weights_warm_start_a_run(photographs: Path, tmp_path: Path) -> None:
    weights = publish(run(photographs, tmp_path / "first", 2), tmp_path / "weights")
    path = run(photographs, tmp_path / "second", 0, warm_start=weights)
    tensors, _ = checkpoint.load(path)
    _, state, _ = read_state(weights)
    for name, value in state.items():
        assert torch.equal(tensors[f"model.{name}"], value), name


def test_a_better_encoder_keeps_number_and_tables(photographs: Path, tmp_path: Path) -> None:
    path = run(photographs, tmp_path / "run", 1)
    tables = gaussian_tables()
    tables[1] = np.roll(tables[1], 1)
    weights = publish(path, tmp_path / "weights", number=3, name="mine-3.1", tables=tables)
    release = Codec.load("cpu", weights=weights.parent, model=3).release
    assert (release.name, weights.name) == ("mine-3.1", "mine-3.1.safetensors")
    for kept, given in zip(release.tables.frequencies, tables, strict=True):
        assert np.array_equal(kept, given)


def test_parts_of_a_model_learn_while_the_others_stay(photographs: Path, tmp_path: Path) -> None:
    config = replace(
        PRESETS["alone"], minutes=60.0, decay_share=0.5, large_crop=(64, 2), warmup_steps=1
    )
    first = run(photographs, tmp_path / "first", 3)

    whole, _ = checkpoint.load(run(photographs, tmp_path / "whole", 4, config, warm_start=first))
    run(photographs, tmp_path / "parts", 2, config, warm_start=first)
    parts, _ = checkpoint.load(run(photographs, tmp_path / "parts", 4, config, resume=True))
    before, _ = checkpoint.load(first)
    averages = {name.removeprefix("ema."): v for name, v in before.items() if "ema." in name}
    moved = {n for n, value in averages.items() if not torch.equal(value, whole[f"model.{n}"])}
    assert moved
    assert all(name.startswith("tokenizer.alone_adapter.") for name in moved)
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_crops_depend_on_the_seed_alone() -> None:
    images = [np.arange(200 * 220 * 3, dtype=np.uint32).astype(np.uint8).reshape(200, 220, 3)]
    assert torch.equal(batch(images, 64, 4, (1, 0, 7)), batch(images, 64, 4, (1, 0, 7)))
    assert not torch.equal(batch(images, 64, 4, (1, 0, 7)), batch(images, 64, 4, (1, 0, 8)))


def test_crops_come_in_other_colours_and_keep_what_they_show() -> None:
    rgb = data.coffee()[100:228, 200:328]
    gray = np.repeat(rgb[:, :, :1], 3, axis=2)
    luma = rgb.mean(2)
    spreads = []
    for seed in range(30):
        made = recoloured(rgb, np.random.default_rng(seed))
        assert (made.dtype, made.shape) == (np.uint8, rgb.shape)
        assert np.corrcoef(made.mean(2).ravel(), luma.ravel())[0, 1] > 0.8
        spreads.append(float(np.ptp(made.astype(int), axis=2).mean()))
        assert np.ptp(recoloured(gray, np.random.default_rng(seed)).astype(int), axis=2).max() <= 1
    mean = float(np.ptp(rgb.astype(int), axis=2).mean())
    assert min(spreads) < mean < max(spreads)


def test_a_damaged_checkpoint_is_one_clear_error(photographs: Path, tmp_path: Path) -> None:
    path = run(photographs, tmp_path / "run", 1)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="not a checkpoint"):
        run(photographs, tmp_path / "run", 2, resume=True)
    with pytest.raises(DatasetError, match="no image"):
        run(tmp_path, tmp_path / "run", 1)


def test_symbol_bits_are_those_of_the_normal_distribution() -> None:
    scale = torch.tensor([0.5, 2.0, 20.0])
    normal = torch.distributions.Normal(0.0, scale)
    expected = -torch.log2(normal.cdf(torch.tensor(1.5)) - normal.cdf(torch.tensor(0.5)))
    assert torch.allclose(gaussian_bits(torch.ones(3), scale), expected, atol=1e-4)


def test_rounded_symbols_cost_what_their_interval_does() -> None:
    scale = torch.tensor(0.7)
    whole = gaussian_bits(torch.arange(-9.0, 10.0), scale)
    assert torch.exp2(-whole).sum() == pytest.approx(1, abs=1e-5)


def test_token_bits_value_is_exact_and_gradient_points_to_the_cheaper_level() -> None:
    logits = torch.tensor([0.0, 64.0, 128.0]).view(1, 3, 1, 1)
    position = torch.full((1, 1, 1, 1), 1.2, requires_grad=True)
    bits = token_bits([logits], torch.ones(1, 1, 1, 1, dtype=torch.int64), position)
    assert bits.item() == pytest.approx(np.log2(7) - 1, abs=1e-5)
    bits.sum().backward()
    assert position.grad is not None
    assert position.grad.item() == pytest.approx(-1.0, abs=1e-5)


@pytest.mark.parametrize(("layers", "code"), [(0, 128), (4, 128), (4, 64)])
def test_training_predicts_the_picture_and_the_rate_of_the_codec(
    tiny_weights: Path, layers: int, code: int
) -> None:
    """The trainer's forward pass is the codec: same picture, same ideal bits."""
    tiny_codec = Codec.load("cpu", precision="float32", weights=tiny_weights)
    image = np.asarray(
        Image.fromarray(
            np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        ).resize((64, 96), Image.Resampling.BICUBIC)
    )
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    channels = tiny_codec.tokenizer.config.local_channels
    anchors = tiny_codec.tokenizer.config.gain_anchors
    trained = position(code, anchors) * 255 / (ANCHOR_WEIGHT_ONE * (anchors - 1))
    with torch.no_grad():
        out = TrainingPass(tiny_codec.release.model, fitted=fitted_up_to(BASE))(
            x, torch.tensor([trained]), torch.tensor([layers]), torch.zeros(1, channels, 6, 4)
        )
    with counting() as bits:
        data = tiny_codec.compress(image, code / 2.55, globals_only=layers == 0)
    picture = tiny_codec.decode(data).rgb
    expected = (out.x_hat[0].permute(1, 2, 0) * 255).round().clamp(0, 255).numpy()
    assert np.abs(picture - expected).max() <= 2
    if layers == 0:
        assert bits[0] == pytest.approx(out.token_bits.item() * 6, rel=0.001)


@pytest.mark.parametrize(("log_globals", "ratio"), [(0.0, 10.0), (400.0, 1.0)])
def test_global_tokens_learn_from_errors_or_from_their_logarithms(
    log_globals: float, ratio: float
) -> None:
    """A tenth less error is worth as much in a good picture as in a bad one, or a tenth of it."""
    config = replace(PRESETS["tiny"], log_globals=log_globals)
    run = Run(config, CodecModel(MODELS["tiny"]), torch.device("cpu"), [], {})
    mse = torch.tensor([1e4, 1e5], requires_grad=True)
    none = torch.zeros(2)
    out = Pass(none, mse, none, none, none, none)
    loss_of(run, out, quality=none, layers=none).backward()
    assert mse.grad is not None
    worth = mse.grad * mse.detach()
    assert float(worth[1] / worth[0]) == pytest.approx(ratio, rel=0.01)


def test_pictures_of_global_tokens_alone_are_the_same_without_the_detail_pass() -> None:
    torch.manual_seed(0)
    model = CodecModel(MODELS["tiny"])
    assert model.tokenizer.alone_adapter is not None
    torch.nn.init.normal_(model.tokenizer.alone_adapter.head.weight)
    x, none = torch.rand(2, 3, 64, 64), torch.zeros(2, dtype=torch.int64)
    noise = torch.zeros(2, model.config.tokenizer.local_channels, 4, 4)
    with torch.no_grad():
        known, short = (
            TrainingPass(model, alone=alone)(x, none.float(), none, noise)
            for alone in (False, True)
        )
    assert torch.equal(known.x_hat, short.x_hat)
    assert torch.equal(known.detail_bpp, short.detail_bpp)


@pytest.mark.parametrize(
    ("sent", "share"), [((0, 0, 4, 2, 4), 0.3), ((0, 4, 4, 1, 4), 0.3), ((4, 4, 1, 2, 4), 0.0)]
)
def test_what_no_image_needs_is_not_computed_and_the_rest_stays(
    sent: tuple[int, ...], share: float
) -> None:
    """Steps of adapting tokens that an image does not take, details of global tokens alone."""
    torch.manual_seed(1)
    model = CodecModel(MODELS["tiny"])
    for parameter in model.tokenizer.parameters():  # adapters begin as the identity
        parameter.data += 0.02 * torch.randn_like(parameter)
    x = torch.rand(5, 3, 64, 64)
    quality, layers = torch.tensor([3.0, 250.0, 90.0, 180.0, 1.0]), torch.tensor(sent)
    noise = torch.rand(5, MODELS["tiny"].tokenizer.local_channels, 4, 4) - 0.5
    order = torch.tensor([3, 0, 4, 2, 1])
    found = []
    for globals_first, places in ((share, torch.arange(5)), (None, order)):
        forward = TrainingPass(model, with_ms_ssim=True, fitted=100.0, globals_first=globals_first)
        shown = forward(*(t[places] for t in (x, quality, layers, noise)))
        out = [t[torch.argsort(places)] for t in shown]
        total = sum(value.sum() for value in out)
        assert isinstance(total, torch.Tensor)
        gradients = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
        found.append([*out, *gradients])
    for mine, other in zip(*found, strict=True):
        if mine is None and other is None:
            continue
        wanted = torch.zeros_like(other) if mine is None else mine
        got = torch.zeros_like(wanted) if other is None else other
        apart, size = (float(t.detach().norm()) for t in (got - wanted, wanted))
        assert apart <= 1e-2 * size + 1e-5


def test_dissimilarity_is_that_of_the_public_metric_from_half_resolution_on() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 48, 64, generator=generator)
    x = F.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)
    x_hat = F.avg_pool2d(x + 0.1 * torch.randn(x.shape, generator=generator), 3, 1, 1)
    expected = pytorch_msssim.ms_ssim(
        F.avg_pool2d(x, 2),
        F.avg_pool2d(x_hat, 2),
        data_range=1,
        size_average=False,
        weights=list(MS_SSIM_WEIGHTS),
    )
    assert torch.allclose(ms_ssim(x, x_hat), expected, atol=1e-4)
    assert ms_ssim(x, x) == pytest.approx(1.0)
    assert ms_ssim(x[..., :64, :64], x_hat[..., :64, :64]).max() < 1


def test_the_log_can_be_plotted(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbtcodec.training.run.SECONDS_PER_LOG_LINE", 0.0)
    run(photographs, tmp_path / "run", 3)
    lines = [json.loads(s) for s in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(line["loss"] > 0 for line in lines)


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


RANK = """
import sys, time
from dataclasses import replace
from pathlib import Path
import torch
from sbtcodec.training import run as loop
from sbtcodec.training.config import MODELS, PRESETS
from sbtcodec.training.state import optimise

photographs, out, preset, rank = sys.argv[1:]
slow, made = 0.05 * int(rank), []
loop.LONGEST_STEP = 0.3  # six steps at least, however slow the machine is

def late(run, loss, world):
    time.sleep(slow)  # the second rank is the slower one, and its clock is ahead
    optimise(run, loss, world)
    run.seconds += slow
    made.append(run)

loop.optimise = late
config = replace(PRESETS[preset], minutes=0.03, warmup_steps=1, large_crop=(64, 4))
loop.train(config, MODELS["tiny"], data=Path(photographs), out=Path(out), compiled=False,
           device="cpu")
last = made[-1]
sums = [p.detach().double().sum().item() for p in last.model.parameters()]
print(last.step, last.token_weight, last.seconds, sums)
"""


def printed_by_ranks(script: str, count: int, *arguments: object) -> list[str]:
    """What `count` processes print that know of each other; each also gets its number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments), str(rank)],
            env=os.environ | shared | {"RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        done = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * count, done
    return [out for out, _ in done]


@pytest.mark.parametrize("preset", ["tiny", "symbols"])
def test_ranks_of_unequal_speed_end_together_with_the_same_weights(
    photographs: Path, tmp_path: Path, preset: str
) -> None:
    first, second = printed_by_ranks(RANK, 2, photographs, tmp_path, preset)
    assert first == second
    assert int(first.split()[0]) > 1


ORTHOGONAL = """
import torch, torch.distributed as dist
from sbtcodec.training.muon import all_orthogonal
torch.manual_seed(8)
shapes = [(32, 48)] * 3 + [(16, 16), (8, 300), (40, 41)]
matrices = [torch.randn(shape) for shape in shapes]
alone = all_orthogonal(matrices, 4)
dist.init_process_group("gloo")
shared = all_orthogonal(matrices, 4)
for one, other, m in zip(alone, shared, matrices, strict=True):
    assert one.shape == other.shape == m.shape
    assert float((one.float() - other.float()).norm() / one.float().norm()) < 0.01
few = all_orthogonal(matrices[:1], 4)  # two processes have nothing to do
assert float((few[0].float() - alone[0].float()).norm()) < 0.1
print(sum(t.double().sum().item() for t in shared))
dist.barrier()  # one that leaves earlier cuts the others off, which abort
dist.destroy_process_group()
"""


def test_several_processes_make_the_same_matrices_orthogonal_each_its_part() -> None:
    assert len(set(printed_by_ranks(ORTHOGONAL, 3))) == 1
