"""The image that `complete` writes: completed pixels, and what is kept of the picture's data."""

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from sbtcodec.generation.completion import Canvas, Completed
    from sbtcodec.image.picture import Picture

SYNTHESISED = "a part of the picture is synthesised"


def encoded(
    picture: "Picture", done: "Completed", canvas: "Canvas", extension: str, *, realism: float
) -> tuple[bytes, tuple[str, ...]]:
    """The image to write, and what of the picture's own it does not have.

    Args:
        picture: as it was decoded, with its transparency and metadata.
        done: its pixels, completed.
        canvas: what was kept.
        extension: of the image, ".png" say.
        realism: share of the vivid look in all pixels.
    """
    from sbtcodec.image.metadata import of_a_part
    from sbtcodec.image.provenance import UNMARKED, synthesised_xmp, with_synthesised_detail
    from sbtcodec.image.saving import encode_image, fitted

    size = done.rgb.shape[1], done.rgb.shape[0]
    exif, xmp, lost = of_a_part(picture.exif, picture.xmp, size, why=SYNTHESISED)
    notices = [*picture.notices, *lost]
    alpha = None
    if picture.alpha is not None:
        notices.append("what is synthesised is opaque")
        alpha = _alpha(picture.alpha, canvas, done)
    whole = replace(
        picture,
        rgb=done.rgb,
        alpha=alpha,
        exif=exif,
        xmp=xmp or synthesised_xmp(in_part=True),
        notices=(),
    )
    if realism:
        whole = with_synthesised_detail(whole, realism)
    fitting = fitted(whole, extension)
    if fitting.xmp is None:
        # what it could not be told is dropped with it, and our own is not missed
        missed = bool(xmp or realism)
        told = (n for n in fitting.notices if n != UNMARKED and (missed or "XMP" not in n))
        fitting = replace(fitting, notices=tuple(told))
    elif fitting.xmp == xmp and not realism:
        notices.append(f"the XMP data is that of the original: it does not say that {SYNTHESISED}")
    return encode_image(fitting, extension), (*notices, *fitting.notices)


def _alpha(
    alpha: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", canvas: "Canvas", done: "Completed"
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Transparency of the completed picture: that of what is kept, and none elsewhere."""
    import numpy as np

    whole = np.full(canvas.kept.shape, 255, np.uint8)
    rows, columns = np.flatnonzero(canvas.kept.any(1)), np.flatnonzero(canvas.kept.any(0))
    if alpha.shape == whole.shape:
        whole[canvas.kept] = alpha[canvas.kept]
    else:  # grown: what is kept is all of the picture
        whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = alpha
    return np.ascontiguousarray(whole[canvas.shown.rows, canvas.shown.columns])
