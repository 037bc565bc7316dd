"""Kernels of a step on a device: the same numbers and gradients as torch's operations."""

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sbtcodec.entropy import entropy_parameters, integer_net, prior
from sbtcodec.rdo import soft_quantisation, soft_symbols
from sbtcodec.rdo.soft_symbols import Channels
from sbtcodec.training import device_kernels
from sbtcodec.training.device_kernels import (
    ACTIVATE,
    ACTIVATE_BACK,
    CODE,
    CODE_BACK,
    SCALE,
    SCALE_BACK,
    fused_kernels,
)

HEADER = """#include <cmath>
using std::erf; using std::exp; using std::log2; using std::floor; using std::rint;
"""


def built(code: str, outputs: int, folder: Path) -> Callable[..., Any]:
    """The code for a CUDA kernel, compiled for the CPU, as a function of tensors."""
    # the last function is the one that counts; others are its helpers
    *_, found = re.finditer(r"template <typename T> (T|void) (\w+)\(([^{]*)\{", code)
    name = found[2]
    assert torch.cuda.jiterator._JittedFunction(code, outputs > 1, outputs).kernel_name == name
    count = len(re.findall(r"\bT \w+", found[3]))
    inputs = ", ".join(f"in[{i}][k]" for i in range(count))
    results = "".join(f", out[{i}][k]" for i in range(outputs)) if outputs > 1 else ""
    left = "" if outputs > 1 else "out[0][k] = "
    source = folder / f"{name}.cpp"
    source.write_text(
        HEADER
        + code.replace("::erf", "erf").replace("::exp", "exp").replace("::log2", "log2")
        + f"""
extern "C" void run(float** in, float** out, long n) {{
    for (long k = 0; k < n; k++) {left}{name}<float>({inputs}{results});
}}"""
    )
    library = folder / f"{name}.so"
    command = ["g++", "-O1", "-std=c++17", "-shared", "-fPIC", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    run = ctypes.CDLL(str(library)).run

    def call(*tensors: Tensor) -> Any:
        assert len(tensors) == count <= 8  # as many as torch's compiler takes
        assert all(t.dtype == torch.float32 for t in tensors)
        spread = [t.contiguous() for t in torch.broadcast_tensors(*(t.detach() for t in tensors))]
        made = [torch.empty_like(spread[0]) for _ in range(outputs)]
        pointers = [
            (ctypes.c_void_p * len(lot))(*(t.data_ptr() for t in lot)) for lot in (spread, made)
        ]
        run(*pointers, ctypes.c_long(made[0].numel()))
        return made[0] if outputs == 1 else tuple(made)

    return call


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[..., Any]]:
    if shutil.which("g++") is None:
        pytest.skip("needs a compiler, g++")
    folder = tmp_path_factory.mktemp("kernels")
    outputs = {CODE: 4, CODE_BACK: 3}
    every = (ACTIVATE, ACTIVATE_BACK, SCALE, SCALE_BACK, CODE, CODE_BACK)
    return {code: built(code, outputs.get(code, 1), folder) for code in every}


def gradients(outputs: list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
    weights = [torch.randn(t.shape, generator=torch.Generator().manual_seed(9)) for t in outputs]
    total = sum((t * w).sum() for t, w in zip(outputs, weights, strict=True))
    assert isinstance(total, Tensor)
    return list(torch.autograd.grad(total, inputs))


def test_activations_and_their_gradient(
    kernels: dict[str, Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_kernels, "kernel", lambda code, _=1: kernels[code])
    total = (torch.randn(3, 5, 4, 4) * 9000).round().requires_grad_()
    total.data[0, 0, 0] = torch.tensor([-64.0, -65.0, 32704.0, 32703.0])  # at the clamps
    made = []
    for activate in (integer_net.activate, device_kernels.activate):
        out = activate(total)
        made.append((out, *gradients([out], [total])))
    for mine, other in zip(*made, strict=True):
        assert torch.equal(mine, other)


def test_coding_of_channels_and_its_gradient(
    kernels: dict[str, Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_kernels, "kernel", lambda code, _=1: kernels[code])
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    shape = (6, 7, 8, 8)
    y, predicted = (normal(*shape) * 2).requires_grad_(), normal(*shape).requires_grad_()
    total = (normal(*shape) * 12000 + 9000).round().requires_grad_()
    gain = torch.exp(normal(6, 7, 1, 1))
    offset = (normal(6, 7, 1, 1) * 2000).round()
    noise = torch.rand(shape, generator=generator) - 0.5
    here = torch.rand(6, 1, 8, 8, generator=generator) < 0.6
    worth = torch.tensor([0.02, 0.04, 0.08, 0.1, 0.2, 0.3]).view(-1, 1, 1, 1)
    made = []
    for code in (soft_symbols.coded_channels, device_kernels.coded_channels):
        given = (y, predicted, gain, offset, total, noise, here, None, worth, 1, True)
        out = code(Channels(*given))
        wanted = [out.y_hat, out.bits]
        made.append([*wanted, out.symbols, *gradients(wanted, [y, predicted, total])])
        assert out.coded_bits is None
        assert not out.symbols.requires_grad
    names = ("y_hat", "bits", "symbols", "of y", "of predicted", "of total")
    assert float((made[0][2] != 0).float().mean()) > 0.2
    for name, mine, other in zip(names, *made, strict=True):
        scale = float(mine.detach().abs().mean())
        assert scale > 0, name
        # far from zero, probabilities are differences of nearly equal numbers; and where symbols
        # cost the same but for rounding, a processor may choose either
        near = torch.isclose(mine, other, rtol=1e-2, atol=2e-3 * scale)
        assert int((~near).sum()) <= 3, name


def test_what_the_kernels_do_not_know_is_left_to_torch() -> None:
    y = torch.randn(2, 3, 4, 4)
    arguments: list[Any] = [y, y * 0, y[:, :, :1, :1].exp(), y[:, :, :1, :1] * 0, y * 0, None]
    arguments += [torch.ones(2, 1, 4, 4) > 0, None, None, 1, False]
    with fused_kernels():
        assert soft_quantisation.coded_channels is device_kernels.coded_channels
        out = soft_quantisation.coded_channels(Channels(*arguments))
        kept = (integer_net.activate, entropy_parameters.activate, prior.activate)
        assert set(kept) == {device_kernels.activate}
    wanted = soft_quantisation.coded_channels(Channels(*arguments))
    assert torch.equal(out.y_hat, wanted.y_hat)
    assert device_kernels.activate not in (integer_net.activate, prior.activate)
    assert soft_quantisation.coded_channels is not device_kernels.coded_channels
