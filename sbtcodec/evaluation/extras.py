"""The packages of the `bench` extra: imported on first use, with an error that names the extra."""

import importlib
from types import ModuleType

from sbtcodec.errors import SbtError

_DISTRIBUTIONS = {
    "pytorch_msssim": "pytorch-msssim",
    "ssimulacra2": "ssimulacra2",
    "bjontegaard": "bjontegaard",
    "pillow_jxl": "pillow-jxl-plugin",
}


def import_extra(module: str) -> ModuleType:
    """Import a module that only the benchmark needs.

    Args:
        module: import name, one of those in the `bench` extra, e.g. `"pytorch_msssim"`.

    Raises:
        SbtError: the package is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        msg = (
            f"the benchmark needs the package {_DISTRIBUTIONS.get(module, module)}, which cannot "
            f"be imported ({error}); install it with: pip install 'sbtcodec[bench]'"
        )
        raise SbtError(msg) from error
