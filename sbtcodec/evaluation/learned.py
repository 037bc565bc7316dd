"""Metrics that were learned from what people judged alike: LPIPS and DISTS, by their authors' code.

They are what perceptual codecs publish. Both compare features of networks that were trained to name
the objects of ImageNet, whose weights torchvision would download: here they have to be there. The
packages are those of the extra `perceptual`; `x` and `x_hat` are as in `vision`.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sbtcodec.errors import SbtError, WeightsError
from sbtcodec.evaluation.extras import import_extra
from sbtcodec.evaluation.library_weights import cached, digest_of, reason
from sbtcodec.evaluation.metrics import Rgb, check_pair

URL = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class Backbone:
    """A network of torchvision and the file of its weights.

    Attributes:
        name: for messages.
        file: of torchvision; the end of its name is how its SHA-256 begins.
    """

    name: str
    file: str

    @property
    def path(self) -> Path:
        """Where torchvision keeps what it downloads, in the cache of torch."""
        return cached(self.file)

    @property
    def weights(self) -> str:
        """What is told of the weights, which are there.

        Raises:
            WeightsError: they are not.
        """
        missing = (
            f"the weights of {self.name} are needed, and there is no file {self.path};"
            f" download {URL}{self.file} to that place"
        )
        digest = digest_of(self.path, missing)[:8]
        known = self.file.partition(".")[0].endswith(digest)
        return f"{self.name} {digest}" + ("" if known else ", which are not torchvision's")


ALEXNET = Backbone("AlexNet", "alexnet-owt-7be5be79.pth")
VGG16 = Backbone("VGG-16", "vgg16-397923af.pth")

LPIPS_MIN_SIDE = 31
"""Shortest side for LPIPS: of less, nothing reaches the last layer of AlexNet."""

DISTS_MIN_SIDE = 16
"""Shortest side for DISTS, which halves a picture four times."""

Loaded = tuple[str, Callable[[Rgb, Rgb], float]]
"""Settings, and the score of an original and a decoded image."""


def lpips() -> Loaded:
    """LPIPS of Zhang et al. 2018 (arXiv 1801.03924), AlexNet, version 0.1: 0 when identical.

    Of whole pictures at their own size. An image with a side under 31 pixels is `nan`.

    Raises:
        SbtError: the package is missing or does not load.
        WeightsError: the network's weights are missing or damaged.
    """
    package = import_extra("lpips")
    weights = ALEXNET.weights
    network = _built(ALEXNET, lambda: package.LPIPS(net="alex", version="0.1", verbose=False))
    settings = f"LPIPS: lpips {metadata.version('lpips')}, version 0.1, {weights}"
    # it takes pixels in -1..1
    return settings, _measure(lambda a, b: network(2 * a - 1, 2 * b - 1), LPIPS_MIN_SIDE)


def dists() -> Loaded:
    """DISTS of Ding et al. 2020 (arXiv 2004.07728): 0 when identical, at most 1.

    Of whole pictures at their own size; its authors' script reduces them to a shorter side of 256
    pixels, which publications of codecs do not do. An image with a side under 16 pixels is `nan`.

    Raises:
        SbtError: the package is missing or does not load.
        WeightsError: the network's weights are missing or damaged.
    """
    package = import_extra("DISTS_pytorch")
    weights = VGG16.weights
    network = _built(VGG16, lambda: package.DISTS(load_weights=False))
    # The package looks for its own weights where Python is installed, which is not where pip puts
    # them for a user or a target: they are also in its folder.
    own = Path(str(package.__file__)).with_name("weights.pt")
    try:
        stored = torch.load(own, map_location="cpu", weights_only=True)
        network.load_state_dict({k: stored[k] for k in ("alpha", "beta")}, strict=False)
    except Exception as error:
        raise SbtError(
            f"the package DISTS-pytorch does not have its weights in {own} ({error}); uninstall it,"
            " and install it anew"
        ) from error
    settings = f"DISTS: DISTS-pytorch {metadata.version('DISTS-pytorch')}, {weights}"
    return settings, _measure(network, DISTS_MIN_SIDE)


def _built(backbone: Backbone, build: Callable[[], nn.Module]) -> nn.Module:
    """A package's network, of weights that are there.

    Raises:
        SbtError: the package does not find its own.
        WeightsError: the file does not hold them.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how they ask torchvision for weights
            network = build()
    except FileNotFoundError as error:  # the backbone's file was there before
        raise SbtError(f"a file of the package is missing ({error}); install it anew") from error
    except Exception as error:
        raise WeightsError(
            f"{backbone.path} does not hold the weights of {backbone.name} ({reason(error)});"
            f" download {URL}{backbone.file} anew"
        ) from error
    return network.eval()


def _measure(
    network: Callable[[Tensor, Tensor], Tensor], min_side: int
) -> Callable[[Rgb, Rgb], float]:
    def measure(x: Rgb, x_hat: Rgb) -> float:
        check_pair(x, x_hat)
        if min(x.shape[:2]) < min_side:
            return math.nan
        with torch.inference_mode():
            return float(network(_planes(x), _planes(x_hat)))

    return measure


def _planes(image: Rgb) -> Tensor:
    """The image as float32 [1, 3, H, W] in 0..1."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
