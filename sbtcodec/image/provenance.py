"""Metadata that says that a picture was synthesised: an XMP packet in the terms of the IPTC.

`trainedAlgorithmicMedia` is a picture that a model made, `compositeWithTrainedAlgorithmicMedia` one
of which it made a part (IPTC NewsCodes, Digital Source Type).
"""

import re
from dataclasses import replace

from sbtcodec.image.picture import Picture

DESCRIPTION = "synthesised by sbtcodec"
DETAIL = "detail synthesised by sbtcodec, realism "
UNMARKED = (
    "the XMP data is that of the original and cannot be added to: it does not say that detail is"
    " synthesised"
)
_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_IN_PART = "compositeWithTrainedAlgorithmicMedia"
# in a packet that is there: what was said of an earlier decoding, its end, and what it is about
_EARLIER = re.compile(re.escape(DETAIL.encode()) + rb"[0-9.e-]+")
_END = re.compile(rb"</(\w+):RDF\s*>")
_ABOUT = re.compile(rb"\w+:about\s*=\s*(\"[^\"]*\"|'[^']*')")
_PACKET = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about=""
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 Iptc4xmpExt:DigitalSourceType="{source}">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{description}</rdf:li></rdf:Alt>
</dc:description>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
"""


def synthesised_xmp(*, in_part: bool = False) -> bytes:
    """The packet of a picture that is synthesised, wholly or in part."""
    source = _IN_PART if in_part else "trainedAlgorithmicMedia"
    description = f"{DESCRIPTION}, in part" if in_part else DESCRIPTION
    return _PACKET.format(source=_SOURCES + source, description=description).encode()


def detail_text(realism: float) -> str:
    """What is said of a picture whose detail comes of a look."""
    return f"{DETAIL}{round(float(realism), 4) or realism}"


def with_synthesised_detail(picture: Picture, realism: float) -> Picture:
    """The same picture, with XMP data that says how much of its detail is synthesised.

    A packet that it has is kept, and says it too; one that cannot be added to is kept with a
    notice.

    Args:
        picture: as decoded.
        realism: of the look, above 0 and at most 1.
    """
    text, source = detail_text(realism), _SOURCES + _IN_PART
    if not picture.xmp:
        return replace(picture, xmp=_PACKET.format(source=source, description=text).encode())
    if _EARLIER.search(picture.xmp):
        return replace(picture, xmp=_EARLIER.sub(text.encode(), picture.xmp))
    ends = list(_END.finditer(picture.xmp))
    if not ends:
        return replace(picture, notices=(*picture.notices, UNMARKED))
    at, prefix = ends[-1].start(), ends[-1][1].decode()
    about = _ABOUT.search(picture.xmp)
    added = (
        f'<{prefix}:Description {prefix}:about="" xmlns:sbtcodec="urn:sbtcodec:look"\n'
        f' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"\n'
        f' sbtcodec:Detail="{text}"'
    )
    if b"DigitalSourceType" not in picture.xmp:
        added += f'\n Iptc4xmpExt:DigitalSourceType="{source}"'
    packet = added.encode() + b"/>\n"
    if about is not None:  # all descriptions in a packet are of one thing
        packet = packet.replace(b'about=""', b"about=" + about[1], 1)
    return replace(picture, xmp=picture.xmp[:at] + packet + picture.xmp[at:])
