"""Where float networks run: what is asked for, and what there is."""

import torch

from sbtcodec.arguments import shown
from sbtcodec.errors import DeviceError


def device_of(name: str) -> torch.device:
    """The device of a name: "auto" (CUDA if there is one), "cpu" or "cuda".

    Raises:
        DeviceError: the name is unknown, or there is no such device.
    """
    if not isinstance(name, str) or name not in {"auto", "cpu", "cuda"}:
        raise DeviceError(f"unknown device {shown(name)}; use auto, cpu or cuda")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise DeviceError('no CUDA device is available; use device="cpu"')
    return torch.device("cuda" if name == "cuda" or (name == "auto" and there) else "cpu")
