"""The codec inside other programs: their settings of torch neither reach it nor are changed by it.

Each state is set in a process of its own, before the codec is imported, against a file that a plain
process made.
"""

import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.entropy.integer_net import IntegerConv
from sbtcodec.entropy.units import ACTIVATION_MAX

ROUNDING = 2  # levels that float networks may move a pixel by, where sums are in another order
EFFORT = 8  # tokens and details are both refined

PROGRAM = """
import pickle, random, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import torch

def watched():
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": [torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")],
        "autocast dtype": [torch.get_autocast_dtype(kind) for kind in ("cpu", "cuda")],
        "precision": [
            torch.backends.fp32_precision,
            torch.backends.mkldnn.matmul.fp32_precision,
            torch.backends.cuda.matmul.fp32_precision,
        ],
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "mkldnn": torch.backends.mkldnn.enabled,
        "anomaly": torch.is_anomaly_enabled(),
        "random": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.random.get_rng_state().tolist(),
    }

weights, given, efforts = pickle.load(sys.stdin.buffer)
rgb, reference, pixels = given

def use():
    from sbtcodec import Codec, SbtError
    codec = Codec.load("cpu", weights=weights)
    for effort in efforts:
        file = codec.compress(rgb, 60, effort=effort)
        codec.decompress(file)
        if effort < 4:
            made = codec.tokens_of(file)
            other = codec.tokens_of(reference)
            assert made.symbols.shape == other.symbols.shape
    moved = abs(np.asarray(codec.decompress(reference)).astype(int) - pixels).max()
    assert moved <= limit, f"pixels moved by {moved}"
    codec.detokenize(codec.tokenize(rgb, 30))
    codec.compress(rgb, 0, globals_only=True)
    try:
        codec.decompress(reference[:-1] + bytes([reference[-1] ^ 255]))
    except SbtError:
        pass
    else:
        raise AssertionError("damage was not noticed")

limit = %d
%s
"""
SETTING = """
%s
before = watched()
use()
after = watched()
changed = [key for key in before if before[key] != after[key]]
assert not changed, f"changed: {changed}"
"""

SETTINGS = {
    "nothing": "",
    "float64_is_default": "torch.set_default_dtype(torch.float64)",
    "bfloat16_is_default": "torch.set_default_dtype(torch.bfloat16)",
    "meta_device_is_default": "torch.set_default_device('meta'); torch.cuda.is_available()",
    "inference_mode": "torch.inference_mode().__enter__()",
    "no_gradients": "torch.set_grad_enabled(False)",
    "autocast": "torch.autocast('cpu', torch.bfloat16).__enter__()",
    "autocast_of_another_device": """
torch.set_autocast_enabled("cuda", True)
torch.set_autocast_dtype("cuda", torch.float16)""",
    "deterministic_algorithms": """
torch.use_deterministic_algorithms(True)
torch.utils.deterministic.fill_uninitialized_memory = True""",
    "swapped_parameters": "torch.__future__.set_swap_module_params_on_conversion(True)",
    "anomaly_detection": "torch.autograd.set_detect_anomaly(True)",
    "denormals_are_zero": "torch.set_flush_denormal(True)",
    "three_threads": "torch.set_num_threads(3)",
    "no_mkldnn": "torch.backends.mkldnn.enabled = False",
}
# float networks follow these, which belong to the process; symbols must not
PRECISIONS = {
    "medium": "torch.set_float32_matmul_precision('medium')",
    "for_all": "torch.backends.fp32_precision = 'bf16'",
    "for_mkldnn": "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'",
    "for_cuda": "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "mixed": """
torch.set_float32_matmul_precision('high')
torch.backends.cuda.matmul.fp32_precision = 'ieee'""",
}
TRANSFORMS = {
    "grad": "torch.func.grad(inside)(torch.ones(3))",
    "vmap": "torch.func.vmap(inside)(torch.ones(3, 2))",
    "jvp": "torch.func.jvp(inside, (torch.ones(3),), (torch.ones(3),))",
}
CHANGED_MIDWAY = """
from sbtcodec import Codec
codec = Codec.load("cpu", weights=weights)
for threads in (1, 2, 3):
    torch.set_num_threads(threads)
    for dtype in (torch.float64, torch.float32):
        torch.set_default_dtype(dtype)
        codec.compress(rgb, 60, effort=efforts[-1])
        moved = abs(np.asarray(codec.decompress(reference)).astype(int) - pixels).max()
        assert moved <= limit, f"pixels moved by {moved}"
    assert torch.get_num_threads() == threads
"""
FLIPPED = """
import threading
from concurrent.futures import ThreadPoolExecutor
from sbtcodec import Codec
torch.set_num_threads(1)
codec = Codec.load("cpu", weights=weights)
done = threading.Event()
precisions = ("medium", "highest")
def flip():
    while not done.is_set():
        for precision in precisions:
            torch.set_float32_matmul_precision(precision)
flipping = threading.Thread(target=flip)
flipping.start()
try:
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda _: codec.compress(rgb, 60), range(12)))
        decoded = list(pool.map(codec.tokens_of, [*files, reference]))
finally:
    done.set()
    flipping.join()
assert torch.get_float32_matmul_precision() == precisions[-1], "the library set it"
"""
FORKED = """
import multiprocessing
torch.set_num_threads(2)
import sbtcodec
data = reference
def moved(_):
    return int(abs(np.asarray(codec.decompress(data)).astype(int) - pixels).max())
def threads(_):
    return torch.get_num_threads()
def through_threads(_):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(moved, range(2)))
    return max([*found, moved(0)])
codec = sbtcodec.Codec.load("cpu", weights=weights)
codec.compress(rgb, 60, effort=efforts[-1])
a = torch.ones(512, 512); a @ a  # on two threads, whatever the codec needed
fork = multiprocessing.get_context("fork")
for work in (moved, through_threads, threads):
    with fork.Pool(2) as pool:
        try:
            found = pool.map_async(work, range(4)).get(40)
        except multiprocessing.TimeoutError:
            raise SystemExit(f"children hang in {work.__name__}")
    assert max(found) <= limit, found
    if work is threads:
        assert set(found) == {2}, "a child that does not use the codec was changed"
assert torch.get_num_threads() == 2
"""


# what programs set most often, and fails in the most places; the others are tested with -m slow
OFTEN = {"float64_is_default", "meta_device_is_default", "inference_mode", "autocast", "for_mkldnn"}


def some(states: dict[str, str]) -> list[object]:
    """Names of states, all but a few of them marked as slow."""
    marks = {name: () if name in OFTEN else pytest.mark.slow for name in states}
    return [pytest.param(name, marks=mark) for name, mark in marks.items()]


@pytest.fixture(scope="module")
def given(tiny_codec: Codec, photo: NDArray[np.uint8]) -> tuple[object, ...]:
    """A picture, its file and what that decodes to, of a process without settings."""
    rgb = np.ascontiguousarray(photo[:97, :133])
    reference = tiny_codec.compress(rgb, 60)
    return rgb, reference, np.asarray(tiny_codec.decompress(reference)).astype(int)


def run(
    program: str, weights: Path | None, given: tuple[object, ...], limit: int = ROUNDING
) -> None:
    """Run a program that is given a picture, its file and its pixels; it must end well."""
    told = pickle.dumps((weights, given, (3, EFFORT)))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % (limit, program)],
        input=told,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]


@pytest.mark.parametrize("setting", some(SETTINGS))
def test_the_codec_works_under_settings_of_its_host_and_leaves_them(
    setting: str, tiny_weights: Path, given: tuple[object, ...]
) -> None:
    run(SETTING % SETTINGS[setting], tiny_weights, given)


@pytest.mark.parametrize("precision", some(PRECISIONS))
def test_symbols_do_not_depend_on_the_precision_of_products(
    precision: str, tiny_weights: Path, given: tuple[object, ...]
) -> None:
    run(SETTING % PRECISIONS[precision], tiny_weights, given, limit=16)


@pytest.mark.slow
def test_the_codec_works_inside_transformed_functions(
    tiny_weights: Path, given: tuple[object, ...]
) -> None:
    inside = "def inside(x):\n    use()\n    return (x * x).sum()\n"
    for transform in TRANSFORMS.values():
        inside += transform + "\n"
    run(inside, tiny_weights, given)


@pytest.mark.slow
def test_a_codec_goes_on_working_when_settings_change(
    tiny_weights: Path, given: tuple[object, ...]
) -> None:
    run(CHANGED_MIDWAY, tiny_weights, given)


def test_threads_make_readable_files_while_the_precision_changes(
    codec: Codec, photo: NDArray[np.uint8]
) -> None:
    reference = codec.compress(photo, 60)
    run(FLIPPED, None, (photo, reference, np.asarray(codec.decompress(reference)).astype(int)))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_forked_children_decode_after_their_parent_did(
    tiny_weights: Path, given: tuple[object, ...]
) -> None:
    run(FORKED, tiny_weights, given)


class Files(torch.utils.data.Dataset[torch.Tensor]):
    """Pictures as a program might keep them: the bytes of their files."""

    def __init__(self, files: list[bytes]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        import sbtcodec

        return torch.from_numpy(np.array(sbtcodec.decompress(self.files[index], device="cpu")))


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_data_loader_decode(
    start: str, codec: Codec, photo: NDArray[np.uint8]
) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {start}")
    files = [codec.compress(photo, quality) for quality in (20, 60)]
    loader = torch.utils.data.DataLoader(
        Files(files), batch_size=2, num_workers=1, multiprocessing_context=start, timeout=300
    )
    (batch,) = list(loader)
    for made, data in zip(batch.numpy().astype(int), files, strict=True):
        assert abs(made - np.asarray(codec.decompress(data)).astype(int)).max() <= ROUNDING


@pytest.mark.parametrize("kernel, depthwise", [(1, False), (3, False), (3, True)])
def test_integer_layers_count_exactly_where_bfloat16_products_are_allowed(
    kernel: int, depthwise: bool, tmp_path: Path
) -> None:
    torch.manual_seed(4)
    layer = IntegerConv(64, 64, kernel=kernel, depthwise=depthwise)
    layer.freeze()
    x = torch.randint(0, ACTIVATION_MAX + 1, (1, 64, 40, 40)).float()
    torch.save((layer, x, layer(x)), tmp_path / "layer.pt")
    program = """
import sys, torch
layer, x, expected = torch.load(sys.argv[1], weights_only=False)
torch.backends.mkldnn.matmul.fp32_precision = "bf16"
with torch.autocast("cpu", torch.bfloat16):
    found = layer(x)
assert found.dtype == torch.float32 and torch.equal(found, expected)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "layer.pt"],
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def test_loading_does_not_import_the_compiler_of_torch(
    tiny_weights: Path, given: tuple[object, ...]
) -> None:
    program = """
from sbtcodec import Codec
Codec.load("cpu", weights=weights).compress(rgb, 60, effort=efforts[-1])
assert "torch._dynamo" not in sys.modules and "sympy" not in sys.modules
"""
    run(program, tiny_weights, given)


def test_loaded_parameters_can_be_trained_whatever_mode_they_were_loaded_in(
    tiny_weights: Path,
) -> None:
    with torch.inference_mode():
        loaded = Codec.load("cpu", weights=tiny_weights).release.model
    assert not any(t.is_inference() or t.is_meta for t in loaded.state_dict().values())
    assert not any(t.is_inference() or t.is_meta for t in loaded.buffers())
    parameter = next(loaded.parameters()).requires_grad_()
    (parameter * parameter).sum().backward()
    assert parameter.grad is not None
