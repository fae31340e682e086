"""Decode JPEGs that fit into memory with libjpeg-turbo directly: the same pixels, in less time.

libvips passes a file to its decoder in blocks of 4 kB. libjpeg-turbo with the whole file takes a
tenth to a third less CPU time (`bench/decoders.py`).

Lossless JPEGs must not come here: libjpeg-turbo before 3.1.4 writes beyond its memory when it
scales them down. `headers.jpeg` rejects them.
"""

import numpy as np
import pyvips
import simplejpeg

from proxy.buffers import Buffer
from proxy.geometry import Size
from proxy.imaging.metadata import copy_color_metadata
from proxy.imaging.shrink_on_load import MAX_IN_MEMORY_PIXELS, LoadScale

_COLOR_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}


def decode_in_memory(original: Buffer, image: pyvips.Image, shrink: int) -> pyvips.Image | None:
    """Decode the pixels of the JPEG that libvips opened as ``image``, ``shrink`` times smaller.

    None where it is too large, or where something about the file is odd: libvips decides then
    whether that is an error.
    """
    size = LoadScale(shrink).shrunk(Size(image.width, image.height))
    if size.pixels > MAX_IN_MEMORY_PIXELS or image.bands not in _COLOR_SPACES:
        return None
    height, width = size.height, size.width
    scale = {"min_height": height, "min_width": width, "min_factor": shrink}
    try:
        if simplejpeg.decode_jpeg_header(original, **scale)[:2] != (height, width):
            return None
        pixels = simplejpeg.decode_jpeg(original, _COLOR_SPACES[image.bands], **scale)
    except (ValueError, LookupError):
        return None
    if image.bands == len("CMYK"):
        np.invert(pixels, out=pixels)  # files store the remaining light, libvips the ink
    bands = image.bands
    decoded = pyvips.Image.new_from_memory(memoryview(pixels), width, height, bands, "uchar")
    return copy_color_metadata(decoded, image)
