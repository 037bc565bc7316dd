"""How a file is meant to be seen, and what comes of that here."""

from collections.abc import Callable
from dataclasses import replace

from sbtcodec.arguments import Buffer, content_of, flag
from sbtcodec.codec.decoder import Decoded
from sbtcodec.container import Look, unpack


def realism_meant(
    data: Buffer, has_look: Callable[[int], bool], *, allow_partial: bool
) -> tuple[float, str | None]:
    """The realism that a file is to be shown with where none is asked for.

    Args:
        data: the file, as for `Codec.decode`.
        has_look: whether the model of a number can show files vividly here; asked only for those
            that are meant so.
        allow_partial: as for `Codec.decode`.

    Returns:
        0 or 1, and a sentence if that is not what is meant.

    Raises:
        ArgumentError, InvalidFileError: as `Codec.decode`.
    """
    header = unpack(content_of(data), allow_partial=flag("allow_partial", allow_partial)).header
    if header.look is not Look.VIVID:
        return 0.0, None
    if has_look(header.model):
        return 1.0, None
    return 0.0, "it is meant to be seen vividly, and shown faithfully: this installation cannot"


def with_notice(decoded: Decoded, notice: str | None) -> Decoded:
    """The same with a sentence more about what was not kept, if there is one."""
    if notice is None:
        return decoded
    picture = replace(decoded.picture, notices=(*decoded.picture.notices, notice))
    return replace(decoded, picture=picture)
