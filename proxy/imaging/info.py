"""Describe an original; nothing is rendered."""

import numpy as np

from proxy.buffers import Buffer
from proxy.imaging.decode import decode
from proxy.imaging.headers import probe
from proxy.imaging.image import Eye, preview
from proxy.imaging.info_model import Description
from proxy.imaging.placeholders import SIDE, blurhash, main_colors, thumbhash
from proxy.imaging.vips_errors import translated
from proxy.limits import Limits
from proxy.smartcrop.subject import Focus


def describe(
    original: Buffer, limits: Limits, *, eye: Eye, focus: Focus | None = None
) -> Description:
    """The description of an original; ``focus`` is what an earlier look found in it.

    Raises:
        ImageError: the original is no picture, or is broken.
    """
    with translated():
        header = probe(original)
        picture = decode(original, limits, eye=eye, focus=focus, needed=preview, ends_in="auto")
        picture, known = picture.settled().seen()
        first = picture.image.crop(0, 0, picture.raster.width, picture.raster.height)
        small = first.thumbnail_image(SIDE, height=SIDE, size="down")
        small = small if small.hasalpha() else small.addalpha()
        thumbnail = np.asarray(small.numpy())
        return Description(
            size=picture.natural,
            format=header.format,
            size_in_bytes=len(memoryview(original)),
            frames=picture.frames,
            alpha=bool(picture.image.hasalpha()),
            focus=known,
            blurhash=blurhash(thumbnail),
            thumbhash=thumbhash(thumbnail),
            colors=main_colors(thumbnail),
        )
