"""The surroundings of a run: processor, system, package versions and commit, for the records."""

import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sbtcodec.runtime.cores import usable_cores

_PACKAGES = (
    "sbtcodec",
    "torch",
    "numpy",
    "pillow",
    "constriction",
    "pytorch-msssim",
    "ssimulacra2",
    "bjontegaard",
    "pillow-jxl-plugin",
    "cvvdp",
    "flip-evaluator",
    "lpips",
    "DISTS-pytorch",
    "torch-fidelity",
    "torchvision",
)


@dataclass(frozen=True)
class Machine:
    """The computer that measured."""

    cpu: str
    cores: int
    """Logical processors that this process may use."""
    system: str
    python: str
    accelerator: str | None
    """Name of the CUDA device, None when everything ran on the CPU."""


def describe_machine(device: str) -> Machine:
    """This machine; `device` is where the networks ran, `cpu` or `cuda`."""
    return Machine(
        cpu=_cpu_model(),
        cores=usable_cores(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        accelerator=_accelerator(device),
    )


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that decide bytes, pixels or metrics."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def source_commit() -> str | None:
    """Git commit of the running program, `+changes` appended if its tree differs from it.

    None for an installed package: then its version says what ran.
    """
    package = Path(__file__).resolve().parents[1]
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != package.parent:
        return None  # the package lies inside somebody else's repository
    commit = _git(package, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(package, "status", "--porcelain", "--untracked-files=no", "--", str(package))
    return f"{commit}+changes" if changes else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _accelerator(device: str) -> str | None:
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.get_device_name(device) if torch.cuda.is_available() else None
