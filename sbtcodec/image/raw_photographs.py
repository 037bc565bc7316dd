"""Raw files of cameras, and TIFF files whose first page is a preview, told by their tags.

Raw files are TIFF files by their form, whose first image is often a small preview; the photograph
is made of the others by a raw converter.
"""

from pathlib import PurePath

from sbtcodec.errors import ImageError
from sbtcodec.image.tiff import Directory, nested
from sbtcodec.image.tiff_layout import Tag

_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION = 254, 255, 330, 50706
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
# Colour filter array, linear raw, and the depth and mask that only DNG files have.
_RAW_INTERPRETATIONS = frozenset({32803, 34892, 51177, 52527})
_CANON = b"CR"
# Of cameras, in files that have the form of TIFF.
_EXTENSIONS = frozenset(
    {".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".kdc", ".mdc"}
    | {".mef", ".mos", ".nef", ".nrw", ".orf", ".pef", ".raw", ".rwl", ".rw2", ".sr2", ".srf"}
    | {".srw"}
)


def check_no_raw(directory: Directory, file_name: str, name: str) -> int:
    """Return the number of the first page that is no preview of another, from 0.

    Args:
        directory: the first of the file.
        file_name: its name, if it has one.
        name: stands for it in errors.

    Raises `ImageError` for raw files, and where the picture is only nested in a preview.
    """
    pages = directory.pages()
    inside = nested(pages, _SUB_IFDS)
    every = pages + inside
    directory.file.seek(8)
    if (
        directory.file.read(2) == _CANON
        or any(_DNG_VERSION in each.entries for each in every)
        or any(each.number(Tag.PHOTOMETRIC) in _RAW_INTERPRETATIONS for each in every)
        or PurePath(file_name).suffix.lower() in _EXTENSIONS
    ):
        raise ImageError(
            f"{name} is a raw file of a camera, expected a finished picture; develop it with a raw"
            " converter, and export it as TIFF, PNG or JPEG first"
        )
    finished = (number for number, page in enumerate(pages) if not _is_secondary(page))
    number = next(finished, None)
    if number is None and len(every) == 1:  # then there is nothing that it could be a preview of
        return 0
    largest = max(map(_pixels, inside), default=0)
    if number is None or _pixels(pages[number]) < largest:
        raise ImageError(
            f"{name} is a TIFF file whose first page is a preview of {_pixels(pages[0])} pixels,"
            " expected the picture itself; export that as 8- or 16-bit TIFF or PNG first"
        )
    return number


def _is_secondary(directory: Directory) -> bool:
    kind = directory.number(_NEW_SUBFILE_TYPE)
    return bool(kind & (_REDUCED | _MASK)) or directory.number(_SUBFILE_TYPE) == _OLD_REDUCED


def _pixels(directory: Directory) -> int:
    return directory.number(Tag.WIDTH) * directory.number(Tag.HEIGHT)
