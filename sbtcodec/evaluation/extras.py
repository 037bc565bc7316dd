"""Packages of the extras that only measuring needs: imported on first use, with helpful errors."""

import importlib
from importlib import metadata
from types import ModuleType

from sbtcodec.errors import SbtError

_EXTRAS = {
    "pytorch_msssim": ("pytorch-msssim", "bench"),
    "ssimulacra2": ("ssimulacra2", "bench"),
    "bjontegaard": ("bjontegaard", "bench"),
    "pillow_jxl": ("pillow-jxl-plugin", "bench"),
    "pycvvdp": ("cvvdp", "vision"),
    "flip_evaluator": ("flip-evaluator", "vision"),
    "lpips": ("lpips", "perceptual"),
    "DISTS_pytorch": ("DISTS-pytorch", "perceptual"),
    "torch_fidelity": ("torch-fidelity", "fid"),
}
"""Import name: name of the package, and the extra that it is in."""


def import_extra(module: str) -> ModuleType:
    """Import a module that only measuring needs.

    Args:
        module: import name, one of those in the extras, e.g. `"pytorch_msssim"`.

    Raises:
        SbtError: the package is not installed or does not load; the message says what to install.
    """
    package, extra = _EXTRAS.get(module.partition(".")[0], (module, "bench"))
    try:
        return importlib.import_module(module)
    except ImportError as error:
        msg = (
            f"this needs the package {package}, which cannot be imported ({error}); "
            f"install it with: pip install 'sbtcodec[{extra}]'"
        )
        raise SbtError(msg) from error
    except (RuntimeError, AttributeError, OSError) as error:
        # torchvision beside a torch of another build: an operator that torch does not know
        msg = (
            f"the package {package} is installed, but does not load beside torch "
            f"{metadata.version('torch')} ({error}); torch and torchvision have to be of one "
            "version and build: install both anew, in an environment of its own: "
            f"pip install torch==2.14.1 torchvision==0.29.1 'sbtcodec[{extra}]'"
        )
        raise SbtError(msg) from error
