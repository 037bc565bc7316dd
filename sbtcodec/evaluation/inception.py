"""FID as others measure it: features of an Inception network and their distance, of torch-fidelity.

torch-fidelity has the network of the first implementation of FID (Heusel et al., arXiv 1706.08500),
with its weights, and the way TensorFlow 1 resized pictures to 299x299: bilinear, corners not
aligned, not antialiased. clean-fid resizes otherwise, by an antialiased bicubic filter, and so has
other numbers. The package is that of the extra `fid`; nothing is downloaded.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sbtcodec.errors import ImageError, WeightsError
from sbtcodec.evaluation.extras import import_extra
from sbtcodec.evaluation.feature_networks import Features
from sbtcodec.evaluation.library_weights import cached, digest_of, reason

URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
"""Where torch-fidelity takes the weights from, 95 MB."""

DIGEST = "6726825d"
"""How the SHA-256 of those weights begins, by which they are told from others."""

LAYER = "2048"  # the features of FID: means over the places of the last block


def _version() -> str:
    return metadata.version("torch-fidelity")


def default_weights() -> Path:
    """Where torch-fidelity keeps the weights that it downloads, in the cache of torch."""
    return cached(URL.rpartition("/")[2])


@dataclass(frozen=True)
class Inception:
    """The Inception network of FID, not loaded yet; see `FeatureNetwork`.

    Attributes:
        weights: torch-fidelity's file of them, see `URL`.
        device: where it runs, `cpu` or `cuda`.
    """

    weights: Path
    device: str = "cpu"

    @property
    def min_side(self) -> int:
        """Shortest side of a picture, in pixels: all are resized."""
        return 1

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights, in hexadecimal.

        Raises:
            WeightsError: there is no such file.
        """
        return digest_of(
            self.weights,
            f"FID needs the weights of Inception, and there is no file {self.weights}; download"
            f" {URL} to that place, or pass inception=PATH",
        )

    @property
    def is_known(self) -> bool:
        """Whether these are the weights that make the number an FID."""
        return self.digest.startswith(DIGEST)

    @property
    def key(self) -> str:
        """What tells it from other networks."""
        return f"{self.description}, torch {torch.__version__}, {self.device}"

    @property
    def description(self) -> str:
        """Package, weights and protocol, for the records."""
        return (
            f"torch-fidelity {_version()}, inception-v3-compat, "
            f"weights {self.digest[:8]}, 2048 features, float32; resized to 299x299 as in "
            "TensorFlow 1 (bilinear, not antialiased)"
        )

    def load(self) -> "LoadedInception":
        """Load the network.

        Raises:
            SbtError: torch-fidelity is missing or does not load.
            WeightsError: the file does not hold its weights.
        """
        import_extra("torch_fidelity")
        module = import_extra("torch_fidelity.feature_extractor_inceptionv3")
        try:
            # torch-fidelity would run what is pickled in the file: tensors alone are let through
            torch.load(self.weights, map_location="cpu", weights_only=True)
            network = module.FeatureExtractorInceptionV3(
                "inception-v3-compat", [LAYER], feature_extractor_weights_path=str(self.weights)
            )
        except (RuntimeError, UnpicklingError, TypeError, ValueError, EOFError, OSError) as error:
            raise WeightsError(
                f"{self.weights} does not hold torch-fidelity's weights of Inception"
                f" ({reason(error)}); download {URL} anew, or pass inception=PATH"
            ) from error
        return LoadedInception(network.to(self.device), self.device)


@dataclass(frozen=True)
class LoadedInception:
    """The network, loaded.

    Attributes:
        network: torch-fidelity's.
        device: where it is.
    """

    network: Any
    device: str

    @torch.inference_mode()
    def __call__(self, pictures: NDArray[np.uint8]) -> Features:
        """Features float32 [n, 2048] of pictures uint8 [n, H, W, 3] of any one size."""
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(self.device)
        (features,) = self.network(x)
        found: Features = features.cpu().numpy()
        return found


def inception(weights: Path | None = None, device: str = "cpu") -> Inception:
    """The network of FID, checked as far as can be done without loading it.

    Args:
        weights: file of its weights; `default_weights()` if not given.
        device: where it is to run, `cpu` or `cuda`.

    Raises:
        SbtError: torch-fidelity is missing or does not load.
        WeightsError: there are no weights.
    """
    import_extra("torch_fidelity")
    made = Inception(weights or default_weights(), device)
    _ = made.digest
    return made


def inception_distance(samples: Features, reference: Features) -> float:
    """FID of two sets of features by torch-fidelity: squared Frechet distance of fitted normals.

    Args:
        samples: float32 [n, 2048].
        reference: float32 [m, 2048].

    Raises:
        ImageError: a set has fewer than two pictures, which have no covariance.
        SbtError: torch-fidelity is missing or does not load.
    """
    if min(len(samples), len(reference)) < 2:
        raise ImageError(
            f"FID takes two pictures or more in each folder, found {len(samples)} and"
            f" {len(reference)}; thousands make it a number to compare"
        )
    module = import_extra("torch_fidelity.metric_fid")
    statistics = [
        module.fid_features_to_statistics(torch.from_numpy(features))
        for features in (samples, reference)
    ]
    found = module.fid_statistics_to_metric(*statistics, verbose=False)
    return float(found[module.KEY_METRIC_FID])
