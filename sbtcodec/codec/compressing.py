"""What all codecs have in common that compress: checked arguments, and the way to a file.

Nothing here imports torch before an effort asks for its gradients.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.arguments import flag, number, whole_number
from sbtcodec.codec.chunks import chunks_of
from sbtcodec.codec.decoder import whole_picture
from sbtcodec.codec.encoder import Analysis, Coding, encode, rows_of, searching
from sbtcodec.container import Look, code_of
from sbtcodec.image.conversion import as_picture
from sbtcodec.image.picture import Picture
from sbtcodec.image.transparency import smoothed
from sbtcodec.latents.engine import EncodingEngine
from sbtcodec.limits import DEFAULT_MAX_PIXELS, MAX_SIDE
from sbtcodec.rdo.effort import DEFAULT_EFFORT, NONE, search_steps_of

RGB = NDArray[np.uint8]


class Compressing:
    """A codec that compresses with the engine that it has."""

    def encoding_engine(self) -> EncodingEngine[Any, Any]:
        """The engine of the model that it compresses with.

        Raises:
            SbtError: it cannot be had.
        """
        raise NotImplementedError

    def compress(
        self,
        image: RGB | Image.Image | Picture,
        quality: float = 50,
        *,
        globals_only: bool = False,
        effort: int = DEFAULT_EFFORT,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        keep_invisible: bool = False,
        look: str | None = None,
    ) -> bytes:
        """Compress an image into the bytes of a `.sbt` file.

        Args:
            image: a PIL image of any mode, a picture, or uint8 [H, W, 3], RGB; [H, W] is gray,
                [H, W, 4] RGB and alpha, [H, W, 2] gray and alpha. Transparency is kept, and of the
                first two metadata are too.
            quality: 0 (smallest) to 100 (best); rounded to 1/255 of the range.
            globals_only: send the global tokens alone, about 0.016 bpp.
            effort: 0 to 9; from 4 on, more time is spent on a smaller and better file.
            max_pixels: refuse larger images; a picture was limited when it was loaded.
            keep_invisible: encode the colours of pixels of alpha 0 as they are; without it, they
                continue those of their neighbourhood.
            look: "faithful" or "vivid": how the picture is meant to be seen, which decoding follows
                where nothing else is asked for.

        Raises:
            ArgumentError: quality, effort or limit is out of range, or image or look is something
                else.
            ImageError: the image has the wrong dtype, shape or size, or its transparency or
                metadata are too large.
        """
        quality = _checked_request(quality, effort)
        flag("globals_only", globals_only)
        search = search_steps_of(effort)
        if search != NONE:
            searching(self.encoding_engine())  # before anything is computed for nothing
        analysis = self.analyse(
            image, max_pixels=max_pixels, keep_invisible=keep_invisible, look=look
        )
        if search == NONE:  # which alone looks at pixels again
            for picture in (image, analysis.picture):
                if isinstance(picture, Picture) and (picture.passing or picture is not image):
                    picture.forget_pixels()
        coding = self.code(analysis, quality, globals_only=globals_only, effort=effort, last=True)
        return coding.data

    def analyse(
        self,
        image: RGB | Image.Image | Picture,
        *,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        keep_invisible: bool = False,
        look: str | None = None,
    ) -> Analysis:
        """Run the encoder's networks, whose part does not depend on the quality.

        Arguments and errors are those of `compress`.
        """
        Look.meant(look)
        most = whole_number("max_pixels", max_pixels, 1)
        if isinstance(image, Picture):  # whose loader had a limit of its own
            most = MAX_SIDE**2
        picture = as_picture(image, max_pixels=most)
        if not flag("keep_invisible", keep_invisible):
            picture = smoothed(picture)
        if look is not None:
            picture = replace(picture, look=look)
        return Analysis(picture, chunks_of(picture), *self.encoding_engine().analyse(picture.rgb))

    def code(
        self,
        analysis: Analysis,
        quality: float = 50,
        *,
        globals_only: bool = False,
        effort: int = DEFAULT_EFFORT,
        last: bool = False,
    ) -> Coding:
        """Code what `analyse` found; arguments and errors as for `compress`.

        If this is the last time, local tokens of the analysis may be overwritten.
        """
        code = code_of(_checked_request(quality, effort))
        search = search_steps_of(effort)
        return encode(
            self.encoding_engine(),
            analysis,
            code,
            globals_only=globals_only,
            search=search,
            last=last,
        )

    def reconstruct(self, coding: Coding) -> RGB:
        """The picture that this codec decodes from `coding.data`, without decoding it.

        Returns:
            uint8 [H, W, 3].
        """
        header, levels = coding.container.header, rows_of(coding.levels)
        return whole_picture(self.encoding_engine(), header, levels, list(coding.tiles))


def _checked_request(quality: float, effort: int) -> float:
    """The quality; fails early on values out of range.

    Raises:
        ArgumentError: quality or effort is.
    """
    search_steps_of(effort)
    return number("quality", quality, 0, 100)
