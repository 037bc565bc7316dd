"""How a file is meant to be seen, and what comes of that here."""

from dataclasses import replace

from sbtcodec.arguments import Buffer, content_of, flag
from sbtcodec.codec.decoder import Decoded
from sbtcodec.container import Header, Look, unpack


def header_of(data: Buffer, *, allow_partial: bool) -> Header:
    """The header of a file; arguments and errors are those of `Codec.decode`."""
    return unpack(content_of(data), allow_partial=flag("allow_partial", allow_partial)).header


def realism_meant(header: Header, *, vivid: bool) -> tuple[float, str | None]:
    """The realism that a file is to be shown with where none is asked for.

    Args:
        header: of the file.
        vivid: whether its model can show it vividly here.

    Returns:
        0 or 1, and a sentence if that is not what is meant.
    """
    if header.look is not Look.VIVID:
        return 0.0, None
    if vivid:
        return 1.0, None
    return 0.0, "it is meant to be seen vividly, and shown faithfully: this installation cannot"


def with_notice(decoded: Decoded, notice: str | None) -> Decoded:
    """The same with a sentence more about what was not kept, if there is one."""
    if notice is None:
        return decoded
    picture = replace(decoded.picture, notices=(*decoded.picture.notices, notice))
    return replace(decoded, picture=picture)
