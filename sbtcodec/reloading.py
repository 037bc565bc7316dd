"""Codecs that go from one process to another: how they were loaded travels, their weights do not.

A process loads a model once for all pickles of it, and keeps the last few that it loaded so: tasks
of a pool bring their codec again and again.
"""

import threading
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self
from weakref import WeakValueDictionary

from sbtcodec.errors import WeightsError
from sbtcodec.release import Release

MOST_KEPT = 4


class Loading(NamedTuple):
    """How a codec was loaded.

    Attributes:
        kind: its class.
        device: "auto", "cpu" or "cuda", as it was asked for.
        bf16: whether the float networks run in bfloat16.
        model: number of the model.
        weights: folder with a manifest; None for the installed one.
        sha256: digest of the weights.
    """

    kind: "type[Loadable]"
    device: str
    bf16: bool
    model: int
    weights: Path | None
    sha256: str


class Loadable(Protocol):
    """What is loaded: a codec."""

    @property
    def release(self) -> Release:
        """The model."""
        ...

    @classmethod
    def load(cls, device: str, *, bf16: bool, model: int | None, weights: Path | None) -> Self:
        """Load a model."""
        ...


_lock = threading.Lock()
_alive: WeakValueDictionary[Loading, Loadable] = WeakValueDictionary()
_kept: deque[Loadable] = deque(maxlen=MOST_KEPT)


def register(loading: Loading, codec: Loadable) -> None:
    """Let pickles that are read again in this process, while the codec is alive, be the codec."""
    with _lock:
        _alive.setdefault(loading, codec)


def reload(*loading: Any) -> Loadable:  # noqa: ANN401 - the fields of Loading
    """Return the codec that a pickle is of: one of this process if there is one, else loaded.

    Raises:
        DeviceError: this process has not the device.
        ModelMismatchError: it has not the model.
        WeightsError: it has no weights, or others under the number of the model.
    """
    wanted = Loading(*loading)
    kind, device, bf16, model, weights, sha256 = wanted
    with _lock:
        found = _alive.get(wanted)
        if found is None:
            found = kind.load(device, bf16=bf16, model=model, weights=weights)
            if found.release.sha256 != sha256:
                raise WeightsError(
                    f"the codec comes from a process with weights {sha256[:12]} of model {model},"
                    f" this one has {found.release.model_id}; install the same version of sbtcodec"
                    " for both"
                )
            _alive[wanted] = found
            _kept.append(found)
    return found
