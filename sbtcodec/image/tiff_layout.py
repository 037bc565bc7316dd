"""How the samples of a TIFF file are laid out, by its tags, and the refusal of what is not read."""

from dataclasses import dataclass
from enum import IntEnum

from sbtcodec.errors import ImageError
from sbtcodec.image.tiff import Directory


class Tag(IntEnum):
    """Tags that say how samples are stored, by their numbers."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIPS = 273
    SAMPLES = 277
    ROWS = 278
    STRIP_BYTES = 279
    PLANAR = 284
    PREDICTOR = 317
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILES = 324
    TILE_BYTES = 325
    INK_SET = 332
    EXTRA = 338
    FORMAT = 339
    SUBSAMPLING = 530


# Photometric interpretations, and how many channels those that are read here have.
WHITE_IS_0, BLACK_IS_0, RGB, CMYK, YCBCR = 0, 1, 2, 5, 6
COLOURS = {WHITE_IS_0: 1, BLACK_IS_0: 1, RGB: 3, CMYK: 4}
UNSPECIFIED, ASSOCIATED, UNASSOCIATED = 0, 1, 2  # meanings of extra channels; the others alpha
UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # sample formats
_FORMAT_NAMES = {SIGNED: "signed", FLOAT: "floating-point", 4: "undefined"}
# None, LZW, both kinds of deflate, PackBits, LZMA and Zstandard: of bytes, whatever they mean.
_BYTE_COMPRESSIONS = frozenset({1, 5, 8, 32946, 32773, 34925, 50000})
_MAX_EXTRA = 4

ADVICE = "export it as 8- or 16-bit TIFF or PNG first"


@dataclass(frozen=True)
class Layout:
    """What the tags say of the samples: counts and codes as in the file.

    Attributes:
        width: of the image in pixels.
        height: of the image in pixels.
        bits: of a sample, 1 to 16, the same in all channels.
        photometric: one of `COLOURS`.
        extra: the meaning of each channel after those of colours.
        planar: whether each channel is stored by itself.
        compression: one whose output is bytes.
    """

    width: int
    height: int
    bits: int
    photometric: int
    extra: tuple[int, ...]
    planar: bool
    compression: int

    @property
    def colours(self) -> int:
        """How many channels have colours; they come first."""
        return COLOURS[self.photometric]

    @property
    def samples(self) -> int:
        """How many channels there are, extra ones with them."""
        return self.colours + len(self.extra)

    @property
    def alpha(self) -> int:
        """Where the alpha channel is among the samples; 0 if there is none."""
        for index, kind in enumerate(self.extra, self.colours):
            if kind in (ASSOCIATED, UNASSOCIATED):
                return index
        return 0


def layout_of(directory: Directory, name: str, *, known: bool) -> Layout | None:
    """Return the layout of samples; None if Pillow reads it rightly, or says that it does not.

    Raises `ImageError` for what nothing here reads rightly.
    """
    photometric = directory.number(Tag.PHOTOMETRIC)
    compression = directory.number(Tag.COMPRESSION, 1)
    samples = directory.number(Tag.SAMPLES, 1)
    bits = set(directory.numbers(Tag.BITS)[:samples] or (1,))
    formats = set(directory.numbers(Tag.FORMAT)) or {UNSIGNED}
    extra = directory.numbers(Tag.EXTRA)
    planar = directory.number(Tag.PLANAR, 1) == 2 and samples > 1
    found = described(directory)
    # as Pillow does: 32-bit integers of one channel are looked at by what they hold
    if formats != {UNSIGNED} and not (bits == {32} and samples == 1):
        raise unknown(name, found)
    if photometric == YCBCR and compression == 1 and samples == 3:
        _check_plain_ycbcr(directory, name, found)
    if photometric == CMYK and directory.number(Tag.INK_SET, 1) != 1:
        raise unknown(name, f"{found}, of other inks than CMYK")
    deep = max(bits) > 8 and bits != {32}
    if known and not planar and not deep:
        return None
    if len(bits) > 1 or photometric not in COLOURS or not 1 <= min(bits) <= 16:
        raise unknown(name, found)
    if compression not in _BYTE_COMPRESSIONS:
        raise unknown(name, f"{found} of compression {compression}")
    missing = samples - COLOURS[photometric] - len(extra)
    if missing == 1 and photometric == RGB and not extra:  # as Pillow takes it for 8 bits
        extra, missing = (UNASSOCIATED,), 0
    if missing or len(extra) > _MAX_EXTRA or any(kind not in (0, 1, 2) for kind in extra):
        raise unknown(name, f"{found} in {samples} channels")
    size = directory.number(Tag.WIDTH), directory.number(Tag.HEIGHT)
    layout = Layout(*size, min(bits), photometric, extra, planar, compression)
    if photometric == CMYK and layout.alpha:
        raise unknown(name, f"{found} with transparency")
    return layout


def _check_plain_ycbcr(directory: Directory, name: str, found: str) -> None:
    """Refuse what Pillow would read as if each pixel had its own Cb and Cr, of full range."""
    subsampling = directory.numbers(Tag.SUBSAMPLING) or (2, 2)  # by the standard
    if subsampling != (1, 1):
        raise unknown(name, f"{found}, uncompressed and subsampled {subsampling}")


def described(directory: Directory) -> str:
    """Return what the tags say of samples, for errors."""
    samples = directory.number(Tag.SAMPLES, 1)
    bits = "/".join(map(str, sorted(set(directory.numbers(Tag.BITS)[:samples] or (1,)))))
    kind = directory.number(Tag.FORMAT, UNSIGNED)
    shown = "" if kind == UNSIGNED else f"{_FORMAT_NAMES.get(kind, 'complex')} samples, "
    return f"{shown}{bits} bits a sample in photometric interpretation" + (
        f" {directory.number(Tag.PHOTOMETRIC)}"
    )


def unknown(name: str, found: str) -> ImageError:
    """Return the error for samples that are not read; `found` says what they are."""
    return ImageError(
        f"{name} is a TIFF file of {found}, expected unsigned integers of 1 to 16 bits, gray, RGB"
        f" or CMYK; {ADVICE}"
    )
