"""Metadata that says that a picture was synthesised: an XMP packet in the terms of the IPTC.

`trainedAlgorithmicMedia` is a picture that a model made, `compositeWithTrainedAlgorithmicMedia` one
of which it made a part (IPTC NewsCodes, Digital Source Type).
"""

DESCRIPTION = "synthesised by sbtcodec"
_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
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
    source = "compositeWithTrainedAlgorithmicMedia" if in_part else "trainedAlgorithmicMedia"
    description = f"{DESCRIPTION}, in part" if in_part else DESCRIPTION
    return _PACKET.format(source=_SOURCES + source, description=description).encode()
