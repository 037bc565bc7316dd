"""A codec as it is loaded, copied, and sent to other processes."""

from pathlib import Path
from typing import Any, Self

import torch

from sbtcodec.arguments import PathLike, flag, path_of, whole_number
from sbtcodec.errors import WeightsError
from sbtcodec.latents.blocks import Networks
from sbtcodec.latents.engine import Engine
from sbtcodec.latents.looks import LookNetworks
from sbtcodec.models.looks import kept_look
from sbtcodec.models.registry import VIVID, read_manifest
from sbtcodec.models.release import Release, kept_release
from sbtcodec.runtime.devices import device_of
from sbtcodec.runtime.precision import AUTO, BFLOAT16, FLOAT32, bf16_for


class LoadedCodec:
    """One released model on a device."""

    def __init__(self, release: Release, device: torch.device, *, precision: str = AUTO) -> None:
        """Use `release`, float networks on `device`; integer networks stay on the CPU.

        Args:
            release: the model.
            device: where the float networks run.
            precision: of the float networks: "float32", "bfloat16", or "auto", which is bfloat16 on
                a CPU that is made for it and float32 elsewhere. Symbols of a file do not depend on
                it, pixels move by rounding.

        Raises:
            ArgumentError: the precision is unknown.
        """
        self.release = release
        self.device = device
        self.bf16 = bf16_for(precision, device)
        self.networks = Networks(release, device, bf16=self.bf16)
        self.tokenizer = release.model.tokenizer
        # how to load it again, in another process
        self._device: str = device.type
        self._precision, self._encoder = precision, True
        self._weights: Path | None = release.folder

    @property
    def precision(self) -> str:
        """Of the float networks: "float32" or "bfloat16"."""
        return BFLOAT16 if self.bf16 else FLOAT32

    @property
    def model_id(self) -> str:
        """Name and digest of the model, as `Release.model_id` gives them."""
        return self.release.model_id

    @classmethod
    def load(
        cls,
        device: str = "auto",
        *,
        precision: str = AUTO,
        encoder: bool = True,
        model: int | None = None,
        weights: PathLike | None = None,
    ) -> Self:
        """Load the shipped weights.

        Args:
            device: "auto" (CUDA if there is one), "cpu" or "cuda".
            precision: see `__init__`.
            encoder: load the networks that only an encoder runs too; what decodes can do without,
                unless they are there already.
            model: number of the model; the newest if not given.
            weights: folder with a manifest, instead of the installed one.

        Raises:
            ArgumentError: the precision is unknown, or another argument is not what it should be.
            DeviceError: the device is unknown or not there.
            ModelMismatchError: no model of that number is installed.
            WeightsError: the weights are missing or damaged.
        """
        where = device_of(device)
        if model is not None:
            model = whole_number("model", model, 1, 255)
        folder = None if weights is None else path_of("weights", weights)
        flag("encoder", encoder)
        bf16_for(precision, where)  # before weights are loaded for nothing
        release = kept_release(model, folder, where, encoder=encoder)
        codec = cls(release, where, precision=precision)
        codec._device, codec._weights, codec._encoder = device, folder, encoder
        return codec

    def __copy__(self) -> Self:
        """Another codec with the same networks."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        """Another codec with the same networks: they are never changed, and they are large."""
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        """How it was loaded: whoever reads the pickle loads the model once in its process."""
        loading = {
            "device": self._device,
            "precision": self._precision,
            "encoder": self._encoder,
            "model": self.release.number,
            "weights": self._weights,
        }
        return _reloaded, (type(self), loading, self.release.sha256)

    def networks_of(self, number: int) -> Networks:
        """The networks of the model of that number, on the same device.

        Raises:
            ModelMismatchError: no model of that number is installed.
        """
        if number == self.release.number:
            return self.networks
        release = kept_release(number, self.release.folder, self.device, encoder=False)
        return Networks(release, self.device, bf16=self.bf16)

    def has_look(self, number: int | None = None) -> bool:
        """Whether the model of that number, or this one, has a vivid look beside the faithful."""
        number = self.release.number if number is None else number
        return VIVID in read_manifest(self.release.folder).look_names(number)

    def engine_of(self, number: int, realism: float = 0.0) -> Engine[Any]:
        """What decodes files of the model of that number, with a share of its vivid look.

        Raises:
            ModelMismatchError: no model of that number is installed, or it has no such look.
            WeightsError: the weights of the look are missing or damaged.
        """
        networks = self.networks_of(number)
        if realism == 0:
            return networks
        return LookNetworks(networks, kept_look(networks.release, self.device), realism)


def _reloaded(kind: type[LoadedCodec], loading: dict[str, Any], sha256: str) -> LoadedCodec:
    """The codec that a pickle is of, loaded as it was; its networks are those that are kept.

    Raises:
        DeviceError: this process has not the device.
        ModelMismatchError: it has not the model.
        WeightsError: it has no weights, or others under the number of the model.
    """
    codec = kind.load(**loading)
    if codec.release.sha256 != sha256:
        raise WeightsError(
            f"the codec comes from a process with weights {sha256[:12]} of model"
            f" {loading['model']}, this one has {codec.model_id}; install the same version of"
            " sbtcodec for both"
        )
    return codec
