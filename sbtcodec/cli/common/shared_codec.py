"""What the workers of a batch share: the codec, loaded on first use, and the right to write."""

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sbtcodec.errors import SbtError
from sbtcodec.rdo.effort import NONE, search_steps_of
from sbtcodec.runtime.cores import usable_cores

if TYPE_CHECKING:
    from sbtcodec.codec.codec import Codec
    from sbtcodec.codec.light_codec import LightCodec

LARGEST_LIGHT = 2**24  # pixels
NVIDIA = Path("/dev/nvidiactl")  # there is a card, as far as can be told without asking torch


def light_is_installed() -> bool:
    """Return whether onnxruntime is there; nothing is imported."""
    return importlib.util.find_spec("onnxruntime") is not None


def torch_is_installed() -> bool:
    """Return whether torch is there; nothing is imported."""
    return importlib.util.find_spec("torch") is not None


class SharedCodec:
    """Shared by the threads of a batch; a command for one file uses it alone.

    Attributes:
        error: why the codec could not be loaded, if so.
    """

    def __init__(self, device: str, precision: str = "auto", *, encoder: bool = True) -> None:
        """Load nothing yet; the arguments are those of `Codec.load`."""
        self.error: SbtError | None = None
        self._device, self._precision, self._encoder = device, precision, encoder
        self._codec: Codec | None = None
        self._light_codec: LightCodec | None = None
        self._light = (
            device != "cuda"
            and precision != "bfloat16"
            and light_is_installed()
            and not (device == "auto" and NVIDIA.exists())
        )
        self._loading = threading.Lock()
        self._threads: int | None = None
        self._threads_before: int | None = None
        self._writers = threading.Condition()
        self._writing, self._closed = 0, False

    def decoder(self, pixels: int, *, vivid: bool = False) -> "Codec | LightCodec":
        """Return what decodes a picture of so many pixels, in the vivid look or mixed with it.

        That is onnxruntime where it is installed and torch is not asked for: it starts in a
        fraction of the time. Large pictures, whose decoding takes long anyway, are torch's, which
        needs less memory for them; so are looks. Errors are those of `codec`.
        """
        if vivid:
            if torch_is_installed():
                return self.codec()
        elif not self._light or pixels > LARGEST_LIGHT:
            return self.codec()
        with self._loading:
            return self._on_onnxruntime()

    def encoder_for(self, effort: int, pixels: int) -> "Codec | LightCodec":
        """Return what encodes so many pixels at an effort of 0 to 9, chosen as by `decoder`.

        Efforts that search take torch, for its gradients. Errors are those of `codec`.
        """
        if not self._light or pixels > LARGEST_LIGHT or search_steps_of(effort) != NONE:
            return self.codec()
        with self._loading:
            if self.error is not None:
                raise self.error
            codec = self._on_onnxruntime()
            try:
                codec.encoding_engine()
            except SbtError as error:
                self.error = error
                raise
        return codec

    def _on_onnxruntime(self) -> "LightCodec":
        """The codec without torch; called while nobody else loads one."""
        if self._light_codec is None:
            from sbtcodec.codec.light_codec import LightCodec

            self._light_codec = LightCodec(threads=self._threads)
        return self._light_codec

    def codec(self) -> "Codec":
        """Return the codec; the first call loads it, and takes seconds.

        Raises `DeviceError`, `WeightsError`.
        """
        with self._loading:
            if self.error is not None:
                raise self.error
            if self._codec is None:
                from sbtcodec.codec.codec import Codec

                try:
                    self._codec = Codec.load(
                        self._device, precision=self._precision, encoder=self._encoder
                    )
                except SbtError as error:
                    self.error = error
                    raise
            if self._threads is not None:
                import torch

                if self._threads_before is None:
                    self._threads_before = torch.get_num_threads()
                torch.set_num_threads(self._threads)  # which counts for the calling thread
        return self._codec

    @contextmanager
    def shared_by(self, jobs: int) -> Iterator[None]:
        """Divide the cores among so many workers for a while."""
        self._threads = max(1, usable_cores() // jobs) if jobs > 1 else None
        try:
            yield
        finally:
            if self._threads_before is not None:
                import torch

                torch.set_num_threads(self._threads_before)
            self._threads = self._threads_before = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write inside of this; the program does not leave in the middle of it."""
        with self._writers:
            while self._closed:
                self._writers.wait()  # until the program has left
            self._writing += 1
        try:
            yield
        finally:
            with self._writers:
                self._writing -= 1
                self._writers.notify_all()

    def close(self) -> None:
        """Wait for those that are writing, and let nobody begin; for leaving the program."""
        with self._writers:
            self._closed = True
            while self._writing:
                self._writers.wait()
