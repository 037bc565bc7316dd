"""The codecs that the benchmark compares, behind one small protocol: pixels to bytes and back."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from PIL import Image, features

from sbtcodec.errors import SbtError
from sbtcodec.evaluation.extras import import_extra
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.evaluation.qualities import GLOBALS, OURS, VIVID_NAME, Quality
from sbtcodec.image.opening import open_image
from sbtcodec.rdo.effort import DEFAULT_EFFORT, as_setting


class ImageCodec(Protocol):
    """What the benchmark needs to know of a codec."""

    @property
    def name(self) -> str:
        """Short name, as given to `--codecs`."""
        ...

    @property
    def settings(self) -> str:
        """Everything but the quality that decides the bytes, in words, for the records."""
        ...

    @property
    def default_qualities(self) -> tuple[Quality, ...]:
        """The qualities measured unless others are asked for, from small files to large."""
        ...

    @property
    def quality_range(self) -> tuple[int, int]:
        """Lowest and highest whole quality, both allowed; bytes grow from one to the other."""
        ...

    def encode(self, rgb: Rgb, quality: Quality) -> bytes:
        """The complete file for an image, uint8 `[H, W, 3]`, header included."""
        ...

    def decode(self, data: bytes) -> Rgb:
        """The image in a file that `encode` made, uint8 `[H, W, 3]`."""
        ...


@dataclass(frozen=True)
class PillowCodec:
    """A codec that Pillow writes and reads, itself or through a plugin."""

    name: str
    settings: str
    default_qualities: tuple[Quality, ...]
    quality_range: tuple[int, int]
    pillow_format: str
    save_options: Mapping[str, bool | int] = field(default_factory=dict)

    def encode(self, rgb: Rgb, quality: Quality) -> bytes:
        """The complete file for an image, uint8 `[H, W, 3]`.

        Raises:
            SbtError: the quality is not a whole number in `quality_range`.
        """
        low, high = self.quality_range
        if isinstance(quality, str) or quality != int(quality) or not low <= quality <= high:
            msg = f"{self.name} takes whole qualities from {low} to {high}, not {quality}"
            raise SbtError(msg)
        buffer = io.BytesIO()
        image = Image.fromarray(rgb)
        image.save(buffer, self.pillow_format, quality=int(quality), **self.save_options)
        return buffer.getvalue()

    def decode(self, data: bytes) -> Rgb:
        """The image in a file, uint8 `[H, W, 3]`."""
        with open_image(io.BytesIO(data), (self.pillow_format,)) as image:
            return np.asarray(image.convert("RGB"))


class SbtModel(Protocol):
    """What the benchmark uses of `sbtcodec.codec.codec.Codec`."""

    def compress(
        self, image: Rgb, *, quality: float = ..., globals_only: bool = ..., effort: int = ...
    ) -> bytes:
        """The `.sbt` file for an image."""
        ...

    def decompress(self, data: bytes, *, realism: float = ...) -> Image.Image:
        """The image in a `.sbt` file."""
        ...


@dataclass(frozen=True)
class SbtCodec:
    """Our codec with its model loaded; quality `globals` sends the global tokens alone.

    With a realism, files are the same, and shown with that share of the model's vivid look.
    """

    model: SbtModel
    effort: int = DEFAULT_EFFORT
    name: str = "sbt"
    default_qualities: tuple[Quality, ...] = (GLOBALS, 0, 5, *range(10, 101, 10))
    quality_range: tuple[int, int] = (0, 100)
    realism: float = 0.0

    @property
    def model_id(self) -> str:
        """Identity of the weights, `unknown` where the model does not tell."""
        return str(getattr(self.model, "model_id", "unknown"))

    @property
    def settings(self) -> str:
        """The model, the effort and the precision that decide the bytes."""
        half = ", bfloat16" if getattr(self.model, "precision", "") == "bfloat16" else ""
        look = f", realism {self.realism:g}" if self.realism else ""
        return f"model {self.model_id}{as_setting(self.effort)}{half}{look}"

    def encode(self, rgb: Rgb, quality: Quality) -> bytes:
        """The complete `.sbt` file for an image, uint8 `[H, W, 3]`."""
        if isinstance(quality, str):
            return self.model.compress(rgb, globals_only=True, effort=self.effort)
        return self.model.compress(rgb, quality=quality, effort=self.effort)

    def decode(self, data: bytes) -> Rgb:
        """The image in a `.sbt` file, uint8 `[H, W, 3]`."""
        asked = {"realism": self.realism} if self.realism else {}
        return np.asarray(self.model.decompress(data, **asked).convert("RGB"))


def load_sbt(
    device: str, effort: int = DEFAULT_EFFORT, precision: str = "auto", *, vivid: bool = False
) -> SbtCodec:
    """Our codec with the weights of this installation on a device, `cpu` or `cuda`.

    Args:
        device: see above.
        effort: 0 to 9.
        precision: of `Codec.load`.
        vivid: decode with the vivid look.

    Raises:
        SbtError: the weights, the look or the device are not there.
    """
    from sbtcodec.codec.codec import Codec

    codec = Codec.load(device=device, precision=precision)
    if not vivid:
        return SbtCodec(codec, effort)
    from sbtcodec.models.looks import look_entry

    look_entry(codec.release.folder, codec.release.number)  # told before the work, not after it
    return SbtCodec(codec, effort, VIVID_NAME, realism=1.0)


def _jpeg(device: str) -> PillowCodec:
    del device  # classical codecs run on the CPU
    return PillowCodec(
        name="jpeg",
        settings=f"libjpeg-turbo {_version('libjpeg_turbo')}, 4:2:0, optimize, progressive",
        default_qualities=(1, 3, 5, 8, 12, 20, 35, 55, 75),
        quality_range=(1, 100),
        pillow_format="JPEG",
        save_options={"optimize": True, "progressive": True},
    )


def _webp(device: str) -> PillowCodec:
    del device
    return PillowCodec(
        name="webp",
        settings=f"libwebp {_version('webp')}, method 6",
        default_qualities=(0, 3, 8, 15, 30, 50, 75),
        quality_range=(0, 100),
        pillow_format="WEBP",
        save_options={"method": 6},
    )


def _avif(device: str) -> PillowCodec:
    del device
    if not features.check("avif"):
        msg = "this Pillow was built without AVIF; leave avif out of the codecs or update Pillow"
        raise SbtError(msg)
    return PillowCodec(
        name="avif",
        settings=f"libavif {_version('avif')}, 4:2:0, speed 4, one thread",
        default_qualities=(0, 3, 8, 15, 25, 35, 50, 65, 75),
        quality_range=(0, 100),
        pillow_format="AVIF",
        save_options={"speed": 4, "max_threads": 1},  # bytes depend on the number of threads
    )


def _jxl(device: str) -> PillowCodec:
    del device
    import_extra("pillow_jxl")  # its import registers the format with Pillow
    return PillowCodec(
        name="jxl",
        settings="pillow-jxl-plugin, effort 7",
        default_qualities=(1, 5, 10, 20, 35, 50, 70),
        quality_range=(1, 100),
        pillow_format="JXL",
        save_options={"effort": 7},
    )


_LOADERS: dict[str, Callable[[str], ImageCodec]] = {
    "jpeg": _jpeg,
    "webp": _webp,
    "avif": _avif,
    "jxl": _jxl,
}

CLASSICAL = tuple(_LOADERS)
"""Names of the codecs that are not ours."""

CODEC_NAMES = (*OURS, *CLASSICAL)
"""Names of all codecs, ours first."""


def load_codec(
    name: str, *, device: str = "cpu", effort: int = DEFAULT_EFFORT, precision: str = "auto"
) -> ImageCodec:
    """The codec of that name, ready to run; all but the name matters only to sbt.

    Args:
        name: one of CODEC_NAMES.
        device: "cpu" or "cuda".
        effort: 0 to 9.
        precision: of `Codec.load`.

    Raises:
        SbtError: no such codec, or what it needs is not installed.
    """
    if name in OURS:
        return load_sbt(device, effort, precision, vivid=name == VIVID_NAME)
    if name not in _LOADERS:
        msg = f"no codec is called {name!r}; there are {', '.join(CODEC_NAMES)}"
        raise SbtError(msg)
    return _LOADERS[name](device)


def _version(feature: str) -> str:
    return features.version(feature) or "of unknown version"
