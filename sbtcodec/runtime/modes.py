"""torch's modes for the length of a piece of work, whatever modes the caller is in.

Grad mode, inference mode, autocast and the transforms of `torch.func` belong to a thread: these
contexts replace the caller's and give them back. Defaults of dtype and device are not used: tensors
are made with both. The precision of float32 products belongs to the process and is neither read nor
written: what has to be exact is computed in float64.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch

from sbtcodec.runtime import blas
from sbtcodec.runtime.forking import settle

CPU = torch.device("cpu")


@contextmanager
def inference(device: torch.device) -> Iterator[None]:
    """For networks on the CPU and on `device`: no gradients, no autocast; symbols can be coded."""
    with _own_precision(device), torch.inference_mode(), blas.one_thread():
        yield


@contextmanager
def differentiation(device: torch.device) -> Iterator[None]:
    """The same, but with gradients; tensors made inside can take part in them."""
    with _own_precision(device), torch.inference_mode(mode=False), torch.enable_grad():
        yield


@contextmanager
def construction() -> Iterator[None]:
    """For making modules that anyone may use afterwards, of ordinary tensors."""
    with _own_precision(CPU), torch.inference_mode(mode=False), torch.no_grad():
        yield


@contextmanager
def _own_precision(device: torch.device) -> Iterator[None]:
    """Without autocast on the CPU and on `device`, and without the transforms of `torch.func`."""
    settle()
    with ExitStack() as modes:
        modes.enter_context(_untransformed())
        for kind in {"cpu", device.type}:
            modes.enter_context(torch.autocast(kind, enabled=False))
        yield


def _untransformed() -> AbstractContextManager[object]:
    """Outside of `torch.func.grad` and its like, which would wrap every tensor made inside.

    There is no public way out of a transform; where this one is missing, the codec does not work
    inside of them.
    """
    try:
        from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
    except ImportError:
        return nullcontext()
    context: AbstractContextManager[object] = temporarily_clear_interpreter_stack()
    return context
