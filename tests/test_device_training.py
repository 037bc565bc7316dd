"""Training on a device: the crops, losses and updates of the reference loop, unread by the host."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from skimage import data
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sbtcodec.codec.codec import Codec
from sbtcodec.errors import ArgumentError, DatasetError, DeviceError, WeightsError
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.training import checkpoint
from sbtcodec.training.config import MODELS, PRESETS
from sbtcodec.training.data import recoloured
from sbtcodec.training.device_run import train_on_device
from sbtcodec.training.device_setup import DeviceOptions, prepared
from sbtcodec.training.device_step import CapturedStep, DeviceStep, in_float32
from sbtcodec.training.muon import Muon
from sbtcodec.training.objective import drawn, loss_of
from sbtcodec.training.publish import publish
from sbtcodec.training.resident import ORDERS, Colours, Photographs, Squares
from sbtcodec.training.run import start_from
from sbtcodec.training.split_weights import join, split
from sbtcodec.training.state import Run, make_optimisers, optimise
from sbtcodec.training.step import TrainingPass

CPU = torch.device("cpu")
TINY = replace(PRESETS["tiny"], minutes=60.0, matrix_learning_rate=2e-3, ms_ssim_share=0.2)


def begun(device: torch.device, *, unread: bool) -> Run:
    """A run of a tiny model, the same at every call."""
    torch.manual_seed(4)
    model = CodecModel(MODELS["tiny"]).to(device)
    averaged = {k: v.detach().clone() for k, v in model.named_parameters()}
    return Run(TINY, model, device, make_optimisers(model, TINY, unread=unread), averaged)


def step_of(run: Run, photographs: Photographs) -> DeviceStep:
    forward = TrainingPass(run.model, with_ms_ssim=True, globals_first=TINY.globals_share)
    generator = torch.Generator(run.device).manual_seed(5)
    return DeviceStep(run, forward, photographs, generator, bf16=False)


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    return [data.coffee()[50:250, 100:371], data.astronaut()[:213, 130:338]]


@pytest.fixture(scope="module")
def photographs(images: list[NDArray[np.uint8]]) -> Photographs:
    return Photographs(images, CPU)


def test_crops_are_those_that_pillow_cuts_and_reduces(
    images: list[NDArray[np.uint8]], photographs: Photographs
) -> None:
    squares = [
        (0, 3, 200, 64),
        (1, 60, 7, 64),
        (0, 0, 0, 128),
        (1, 100, 90, 101),
        (0, 72, 143, 128),
    ]
    cut = photographs.cut(Squares(*torch.tensor(squares).T), 64)
    for made, (number, top, left, source) in zip(cut, squares, strict=True):
        square = images[number][top : top + source, left : left + source]
        expected = Image.fromarray(square).resize((64, 64), Image.Resampling.LANCZOS)
        apart = np.abs(made.permute(1, 2, 0).numpy() - np.asarray(expected).astype(float))
        assert apart.max() <= (0 if source == 64 else 1)


def test_colours_are_those_of_the_reference(images: list[NDArray[np.uint8]]) -> None:
    class Told:
        """A generator that says what it is told."""

        def __init__(self, order: int, saturation: float, contrast: float) -> None:
            self.order, self.factors = order, [saturation, contrast]

        def random(self) -> float:
            return 0.0

        def permutation(self, _: int) -> list[int]:
            return list(ORDERS[self.order])

        def uniform(self, *_: float) -> float:
            return self.factors.pop(0)

    rgb = images[0][:64, :64]
    settings = [(0, 2.1, 0.8), (3, 0.75, 1.3), (5, 1.0, 1.0)]
    orders, saturations, contrasts = zip(*settings, strict=True)
    x = torch.from_numpy(rgb.copy()).permute(2, 0, 1).float().expand(3, -1, -1, -1)
    wanted = torch.ones(3, dtype=torch.bool)
    colours = Colours(
        wanted, torch.tensor(orders), torch.tensor(saturations), torch.tensor(contrasts)
    )
    made = Photographs(images, CPU).recoloured(x, colours).permute(0, 2, 3, 1).numpy()
    for crop, setting in zip(made, settings, strict=True):
        expected = recoloured(rgb, Told(*setting))  # type: ignore[arg-type]
        assert np.abs(crop - expected.astype(float)).max() <= 1
    left = Photographs(images, CPU).recoloured(x, colours._replace(wanted=~wanted))
    assert torch.equal(left, x)


def test_draws_stay_inside_photographs_and_reach_their_borders(photographs: Photographs) -> None:
    squares, colours = photographs.drawn(96, 20_000, torch.Generator().manual_seed(1))
    heights = photographs.heights[squares.photograph]
    widths = photographs.widths[squares.photograph]
    assert int(squares.source.min()) == 96
    assert int(squares.source.max()) == 192  # twice the side; the photographs are larger
    for first, lengths in ((squares.top, heights), (squares.left, widths)):
        room = lengths - squares.source - first
        assert int(first.min()) == int(room.min()) == 0
    assert float((squares.source > 96).float().mean()) == pytest.approx(0.495, abs=0.02)
    assert float(colours.wanted.float().mean()) == pytest.approx(0.4, abs=0.02)
    permuted = float((colours.order[colours.wanted] > 0).float().mean())
    assert permuted == pytest.approx(0.25 * 5 / 6, abs=0.02)
    assert not colours.order[~colours.wanted].any()


def test_crops_depend_on_the_generator_alone(photographs: Photographs) -> None:
    first, again, other = (
        photographs.crops(64, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (3, 3, 64, 64)
    assert 0 <= float(first.min()) < float(first.max()) <= 1


def test_no_photograph_is_one_clear_error() -> None:
    with pytest.raises(DatasetError, match="expected one or more"):
        Photographs([], CPU)


def test_steps_are_those_of_the_reference_loop(photographs: Photographs) -> None:
    reference, run = begun(CPU, unread=False), begun(CPU, unread=True)
    forward, step = TrainingPass(reference.model, with_ms_ssim=True), step_of(run, photographs)
    generator = torch.Generator().manual_seed(6)
    for number in range(3):
        x = photographs.crops(64, 4, generator)
        draws = drawn(TINY, MODELS["tiny"].tokenizer, 4, 64, generator)
        optimise(reference, loss_of(reference, forward(x, *draws), *draws[:2]), 1)
        step.set_rates()
        step.learn(x, *draws)
        step.steps += 1
        reference.step += 1
        run.step += 1
        step.read()
        for name, values in reference.sums.items():
            assert run.sums[name][0] == pytest.approx(values[number], rel=1e-4), name
        assert run.token_weight == pytest.approx(reference.token_weight, rel=1e-5)
    start = dict(begun(CPU, unread=True).model.named_parameters())
    for mine, other in (
        (dict(run.model.named_parameters()), dict(reference.model.named_parameters())),
        (run.averaged, reference.averaged),
    ):
        apart = torch.cat([(mine[n] - other[n]).detach().flatten() for n in mine]).norm()
        moved = torch.cat([(mine[n] - start[n]).detach().flatten() for n in mine]).norm()
        assert float(apart / moved) < 0.02
    assert run.sums["steps_not_finite"] == [0]


def test_the_host_reads_and_sends_nothing_within_a_step(
    photographs: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unread(TorchDispatchMode):
        """Refuses what would make a device wait for the host, or the host for it."""

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = str(func)
            refused = ("_local_scalar_dense", "lift_fresh", "nonzero", "is_nonzero", "unique")
            assert not any(f"aten.{kind}." in name for kind in refused), name
            return func(*args, **kwargs or {})

    def one_hot(index: torch.Tensor, count: int) -> torch.Tensor:
        """The library's checks its argument on a CPU, though not on CUDA."""
        return (index[:, None] == torch.arange(count)).long()

    monkeypatch.setattr(F, "one_hot", one_hot)
    run = begun(CPU, unread=True)
    step = step_of(run, photographs)
    step.run.optimisers = run.optimisers[1:]  # torch's AdamW has another way on a CPU
    with Unread():
        step(64, 4)
        step.set_rates()
    with pytest.raises(AssertionError, match="local_scalar"), Unread():
        float(step.token_weight)
    with pytest.raises(AssertionError, match="lift_fresh"), Unread():
        torch.tensor([1.0])


def test_no_tensor_of_the_host_takes_part_in_a_step(
    images: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device, which has a tensor's place and no values: reading any is an error."""

    class OnDevice(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
            assert all(t.device.type == "meta" for t in tensors), func
            return func(*args, **kwargs or {})

    meta = torch.device("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # unknown there
    run = begun(CPU, unread=True)
    run.model.to(meta)
    run.averaged = {k: v.detach().clone() for k, v in run.model.named_parameters()}
    matrices = [p for p in run.model.tokenizer.parameters() if p.ndim == 2]
    run = replace(run, device=meta, optimisers=[Muon(matrices, torch.zeros((), device=meta))])
    photographs = Photographs(images, meta)
    numbers, shares = torch.zeros(4, dtype=torch.int64, device=meta), torch.zeros(4, device=meta)
    forward = TrainingPass(run.model, with_ms_ssim=True, globals_first=TINY.globals_share)
    step = DeviceStep(run, forward, photographs, torch.Generator(), bf16=False)
    noise = torch.zeros(4, MODELS["tiny"].tokenizer.local_channels, 4, 4, device=meta)
    with OnDevice():
        cut = photographs.cut(Squares(numbers, numbers, numbers, numbers), 64)
        x = photographs.recoloured(cut, Colours(numbers > 0, numbers, shares, shares))
        step.learn(x, shares, numbers, noise)
    with pytest.raises(AssertionError), OnDevice():
        x + torch.zeros(())


def test_nothing_is_learnt_of_a_gradient_that_is_not_finite(photographs: Photographs) -> None:
    run = begun(CPU, unread=True)
    step = step_of(run, photographs)
    whole = step.forward
    before = {k: v.clone() for k, v in run.model.state_dict().items()}

    def broken(*inputs: torch.Tensor) -> Any:
        out = whole(*inputs)
        return out._replace(mse=out.mse * torch.nan)

    step.forward = broken
    advance = CapturedStep(step, 64, 2)
    advance()
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
    with pytest.raises(WeightsError, match="last 1 steps, up to 1, are not"):
        step.read()
    step.forward = whole
    advance()
    step.read()
    assert run.sums["steps_not_finite"] == [1]
    assert np.isfinite(run.sums["loss"][0])
    assert all(v.isfinite().all() for v in run.model.state_dict().values())


def test_a_module_held_in_float32_is_exact_inside_of_bfloat16() -> None:
    layer, x = torch.nn.Linear(64, 8), torch.randn(5, 64)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        in_float32(layer)
        assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("float32", ["none", "heads", "encoders", "all"])
def test_a_run_leaves_weights_that_compress_and_a_log(
    images: list[NDArray[np.uint8]],
    tmp_path: Path,
    float32: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sbtcodec.training.device_run.SECONDS_PER_LOG_LINE", 0.0)
    monkeypatch.setattr("sbtcodec.training.device_run.SECONDS_PER_EXPORT", 0.0)
    monkeypatch.setattr("sbtcodec.training.device_setup.fast_bf16", lambda _: True)
    options = DeviceOptions(device="cpu", float32=float32, steps=3)
    small = np.zeros((40, 300, 3), np.uint8)  # left out
    paths = train_on_device(
        TINY, MODELS["tiny"], [*images, small], out=tmp_path, seconds=600, options=options
    )
    lines = [json.loads(s) for s in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(line["loss"] > 0 and line["steps_not_finite"] == 0 for line in lines)
    assert paths == [tmp_path / "averaged-1.safetensors"]
    weights = publish(join(tmp_path, tmp_path / "joined.safetensors"), tmp_path / "weights")
    codec = Codec.load("cpu", weights=weights.parent)
    decoded = codec.decode(codec.compress(images[0], 50)).rgb
    assert decoded.shape == images[0].shape


def test_a_run_ends_in_time_and_learns(images: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    train_on_device(
        replace(TINY, large_crop=(64, 4), warmup_steps=3),
        MODELS["tiny"],
        images,
        out=tmp_path,
        seconds=8,
        options=DeviceOptions(device="cpu"),
    )
    log = [json.loads(s) for s in (tmp_path / "log.jsonl").read_text().splitlines()]
    _, progress = checkpoint.load(join(tmp_path, tmp_path / "joined.safetensors"))
    assert progress["seconds"] < 8
    assert progress["step"] == log[-1]["step"] > 3
    assert log[-1]["rate_factor"] < 0.5


def test_split_weights_are_small_files_and_start_another_run(tmp_path: Path) -> None:
    first, second = begun(CPU, unread=True), begun(CPU, unread=True)
    for value in first.averaged.values():
        value.mul_(1.5)
    paths = split(first.averaged, first.state(), tmp_path, largest=30_000)
    assert len(paths) > 3
    assert all(path.stat().st_size < 40_000 for path in paths)
    path = join(tmp_path, tmp_path / "joined.safetensors")
    start_from(second, path)
    for name, value in second.model.named_parameters():
        wanted = first.averaged[name]
        exact = name.startswith(("prior.", "scales."))
        assert torch.allclose(value, wanted, rtol=0 if exact else 1e-3, atol=0 if exact else 1e-6)


def test_weights_between_two_runs_start_a_third(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in ("first", "second", "mixed")]
    runs = [begun(CPU, unread=True) for _ in range(3)]
    for run, path, value in zip(runs, paths, (1.0, 3.0, 0.0), strict=True):
        for tensor in run.averaged.values():
            tensor.fill_(value)
        checkpoint.save(path, run.model, run.averaged, [], run.state())
    start_from(runs[2], checkpoint.between(paths[0], paths[1], 0.25, paths[2]))
    assert {float(p.detach().mean()) for p in runs[2].model.parameters()} == {1.5}
    smaller = {f"ema.{k}": v[:1].clone() for k, v in runs[0].averaged.items()}
    save_file(smaller, paths[0], {"progress": json.dumps(runs[0].state())})
    with pytest.raises(WeightsError, match="of other sizes"):
        checkpoint.between(*paths[:2], 0.25, paths[2])


def test_weights_whose_parts_are_not_of_one_run_are_refused(tmp_path: Path) -> None:
    run = begun(CPU, unread=True)
    one, *_ = split(run.averaged, run.state(), tmp_path, largest=30_000)
    kept = one.read_bytes()
    run.step = 7
    _, two, *_ = split(run.averaged, run.state(), tmp_path, largest=30_000)
    one.write_bytes(kept)
    with pytest.raises(WeightsError, match="averaged-2.safetensors is of another run"):
        join(tmp_path, tmp_path / "joined.safetensors")
    two.unlink()
    with pytest.raises(WeightsError, match="averaged-2.safetensors is not part 2"):
        join(tmp_path, tmp_path / "joined.safetensors")
    with pytest.raises(WeightsError, match="expected at most 10 in a file"):
        split(run.averaged, run.state(), tmp_path, largest=10)


def test_what_a_device_run_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="expected one of none, heads"):
        DeviceOptions(device="cpu", float32="most")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no CUDA device"):
            DeviceOptions()
    small = [np.zeros((40, 50, 3), np.uint8)]
    with pytest.raises(DatasetError, match="none of 1 photographs has 64 pixels"):
        train_on_device(
            TINY,
            MODELS["tiny"],
            small,
            out=tmp_path,
            seconds=1,
            options=DeviceOptions(device="cpu"),
        )


@pytest.mark.parametrize("fault", ["none", "values", "error"])
def test_networks_are_compiled_only_if_they_stay_the_same(
    images: list[NDArray[np.uint8]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    calls = []

    def compiled(module: TrainingPass, **_: object) -> Callable[..., Any]:
        def call(*inputs: torch.Tensor) -> Any:
            calls.append(1)
            if fault == "error":
                raise KeyError("no compiler")
            out = module(*inputs)
            return out if fault == "none" else out._replace(mse=out.mse * 1.5)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    options = DeviceOptions(device="cpu", compiled="whole")
    step = prepared(TINY, MODELS["tiny"], images, None, options)
    step(64, 2)
    told = capsys.readouterr().err
    assert len(calls) == (2 if fault == "none" else 1)
    assert ("not compiled" in told) == (fault != "none")
    assert ("KeyError: 'no compiler'" in told) == (fault == "error")


def test_channels_that_carry_nothing_are_made_anew(
    images: list[NDArray[np.uint8]], capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(TINY, revive=True)
    step = prepared(config, MODELS["tiny"], images, None, DeviceOptions(device="cpu"))
    assert "made anew" in capsys.readouterr().err
    for name, value in step.run.model.named_parameters():
        assert torch.equal(step.run.averaged[name], value), name


@pytest.mark.gpu
def test_captured_steps_are_those_called_one_by_one(images: list[NDArray[np.uint8]]) -> None:
    """Sums in another order, no more: the same crops, draws and rates."""
    cuda = torch.device("cuda")
    photographs = Photographs(images, cuda)

    def trained(make: Callable[[DeviceStep], Callable[[], None]]) -> Run:
        run = begun(cuda, unread=True)
        step = step_of(run, photographs)
        advance = make(step)
        while run.step < 8:
            advance()
        step.read()
        return run

    def captured(step: DeviceStep) -> CapturedStep:
        made = CapturedStep(step, 64, 8)
        assert made.graph is not None
        return made

    def eager(step: DeviceStep) -> Callable[[], None]:
        made = captured(step)
        return made.one_by_one

    one, other = trained(captured), trained(eager)
    assert one.sums["steps_not_finite"] == [0]
    for name in ("loss", "token_bits", "mse_detail"):
        assert one.sums[name][0] == pytest.approx(other.sums[name][0], rel=0.02), name
    assert one.token_weight == pytest.approx(other.token_weight, rel=1e-3)


@pytest.mark.gpu
def test_crops_on_cuda_are_those_of_the_cpu(images: list[NDArray[np.uint8]]) -> None:
    cuda = torch.device("cuda")
    here, there = Photographs(images, CPU), Photographs(images, cuda)
    squares, colours = here.drawn(64, 32, torch.Generator().manual_seed(2))
    made = here.recoloured(here.cut(squares, 64), colours)
    squares_there = Squares(*(t.to(cuda) for t in squares))
    colours_there = Colours(*(t.to(cuda) for t in colours))
    again = there.recoloured(there.cut(squares_there, 64), colours_there).cpu()
    assert float((made - again).abs().max()) <= 3  # a rounding before colours are spread
    assert float((made != again).float().mean()) < 0.01
