"""What a benchmark run measured: plain frozen records, one per image, codec and quality."""

from dataclasses import dataclass, field

from sbtcodec.evaluation.machine import Machine
from sbtcodec.evaluation.published import PublishedCurve
from sbtcodec.evaluation.qualities import Quality


@dataclass(frozen=True)
class Measurement:
    """One image through one codec at one quality."""

    image: str
    quality: Quality
    size: int
    """Bytes of the file, header included."""
    bpp: float
    """Bits per pixel, `8 * size / (width * height)`."""
    psnr: float
    """dB; `inf` when decoded without loss."""
    ms_ssim: float
    """0..1; `nan` for an image with a side under 161 pixels."""
    ssimulacra2: float
    """At most 100; `nan` for an image with a side under 8 pixels."""
    encode_seconds: float
    """Pixels in memory to bytes in memory, model loaded."""
    decode_seconds: float
    """Bytes in memory to pixels in memory, model loaded."""
    cvvdp: float | None = None
    """ColorVideoVDP in JOD, at most 10; None where it was not asked for."""
    flip: float | None = None
    """FLIP in 0..1, less is better; None where it was not asked for."""
    lpips: float | None = None
    """LPIPS of AlexNet, 0 or more, less is better; None where it was not asked for."""
    dists: float | None = None
    """DISTS in 0..1, less is better; None where it was not asked for."""


@dataclass(frozen=True)
class CodecResults:
    """Everything measured of one codec."""

    name: str
    settings: str
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True)
class ImageInfo:
    """A test image by name and size in pixels."""

    name: str
    width: int
    height: int


@dataclass(frozen=True)
class Results:
    """A benchmark run with what is needed to repeat it."""

    date: str
    """Start of the run, ISO 8601 with time zone."""
    commit: str | None
    """Git commit of the program, with `+changes` if the tree differed; None when not in git."""
    dataset: str
    images: tuple[ImageInfo, ...]
    device: str
    """Where the networks of sbt ran; the other codecs always run on the CPU."""
    model_id: str | None
    """Identity of the weights of sbt; None when sbt did not run."""
    machine: Machine
    packages: dict[str, str]
    codecs: tuple[CodecResults, ...]
    metrics: dict[str, str] = field(default_factory=dict)
    """Metrics measured because they were asked for, each with its package and settings."""
    published: tuple[PublishedCurve, ...] = ()
    """Curves that others measured, to compare with."""

    @property
    def subject(self) -> CodecResults:
        """The codec the others are compared with: sbt, or the first where sbt did not run."""
        return next((codec for codec in self.codecs if codec.name == "sbt"), self.codecs[0])

    @property
    def baselines(self) -> tuple[CodecResults, ...]:
        """All codecs but the subject."""
        return tuple(codec for codec in self.codecs if codec is not self.subject)
