"""The optional packages of collections, of the extra `ray`: imported when needed, or asked for."""

import importlib
import os
from typing import Any

from sbtcodec.errors import SbtError

# Read when Ray is imported: nothing is reported to its makers, nor logged amid our own output.
_RAY_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


def require(module: str) -> Any:  # noqa: ANN401 - packages that may lack types, or be absent
    """Import a module of an optional package.

    Raises `SbtError` if the package, or one that it needs, is not installed.
    """
    if module.startswith("ray"):
        for name, value in _RAY_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise SbtError(
            f"the package {package} is missing ({error}), which collections need;"
            " install it with: pip install 'sbtcodec[ray]'"
        ) from error
