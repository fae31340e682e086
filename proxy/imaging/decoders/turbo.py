"""JPEGs that fit into memory, at once by libjpeg-turbo: the pixels that libvips reads, for less.

libvips hands its decoder 4 kB of a file at a time. libjpeg-turbo, given all of it, takes a tenth to
a third less CPU (`bench/decoders.py`).

What is lossless must not come here: scaled down, libjpeg-turbo before 3.1.4 writes such a picture
beyond the memory it was given. `containers.jpeg` turns those away.
"""

import numpy as np
import pyvips
import simplejpeg

from proxy.buffers import Buffer
from proxy.geometry import Size
from proxy.imaging.metadata import described_by
from proxy.imaging.shrink_on_load import HELD_AT_MOST

_COLOURS = {1: "GRAY", 3: "RGB", 4: "CMYK"}


def held(original: Buffer, image: pyvips.Image, shrink: int) -> pyvips.Image | None:
    """The picture that libvips opened as ``image``, ``shrink`` times smaller, with its pixels.

    None where it is large, or where something about the file is odd: libvips is to judge it.
    """
    size = Size(image.width // shrink, image.height // shrink)  # less than a pixel is left out
    if not 0 < size.pixels <= HELD_AT_MOST or image.bands not in _COLOURS:
        return None
    coded = (-(-image.height // shrink), -(-image.width // shrink))
    least = {"min_height": coded[0], "min_width": coded[1], "min_factor": shrink}
    try:
        if simplejpeg.decode_jpeg_header(original, **least)[:2] != coded:
            return None
        pixels = simplejpeg.decode_jpeg(original, _COLOURS[image.bands], **least)
    except (ValueError, LookupError):
        return None
    if image.bands == len("CMYK"):
        np.invert(pixels, out=pixels)  # files say how much light is left, libvips how much ink
    whole = pyvips.Image.new_from_memory(
        memoryview(pixels), coded[1], coded[0], image.bands, "uchar"
    ).copy(interpretation=image.interpretation)
    if coded != (size.height, size.width):
        whole = whole.crop(0, 0, size.width, size.height)
    return described_by(whole, image)
