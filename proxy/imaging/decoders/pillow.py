"""Formats that this libvips does not read: BMP, ICO, frames of APNG; HEIC and JPEG XL by extras."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyvips
from PIL import Image
from PIL.ImageFile import ImageFile

from proxy.buffers import Buffer
from proxy.errors import BrokenImage, NotAnImage
from proxy.imaging.decoders.options import Wanted
from proxy.imaging.headers import Header
from proxy.imaging.metadata import tell
from proxy.imaging.optional_codecs import missing

_PLUGINS = {"bmp": "BMP", "ico": "ICO", "png": "PNG", "heif": "HEIF", "jxl": "JXL"}

# What Pillow's readers, and those that plug into it, raise at files that make no sense.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, RuntimeError, struct.error)

# Sizes have been weighed against the limits by then; Pillow's own bound would be a second guard.
Image.MAX_IMAGE_PIXELS = None


def still(original: Buffer, header: Header, _wanted: Wanted) -> pyvips.Image:
    """The one picture in the file; of several, the largest."""
    with _opened(original, header) as file:
        return _image(file)


def frames(original: Buffer, header: Header, wanted: Wanted) -> pyvips.Image:
    """Frames of an animation, each as it is seen, below each other."""
    images, delays = [], []
    with _opened(original, header) as file:
        for at in range(wanted.first, wanted.first + wanted.count):
            file.seek(at)
            images.append(np.asarray(file.convert("RGBA")))
            delays.append(round(file.info.get("duration", 0)))
        loop = int(file.info.get("loop", 0))
    image = pyvips.Image.new_from_array(np.vstack(images)).copy(interpretation="srgb")
    return tell(image, pages=wanted.count, delays=delays, loop=loop)


def extra(original: Buffer, header: Header, wanted: Wanted) -> pyvips.Image:
    """The picture in a format whose decoder is an extra. Raises NotAnImage where it is missing."""
    if needed := missing(header.format):
        raise NotAnImage(f"{header.format} originals need {needed} on the server")
    return still(original, header, wanted)


@contextmanager
def _opened(original: Buffer, header: Header) -> Iterator[ImageFile]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow finds odd is a picture all the same
            with Image.open(io.BytesIO(original), formats=(_PLUGINS[header.format],)) as file:
                yield file
    except _DAMAGE as error:
        raise BrokenImage("the original is damaged or cut short", detail=str(error)) from error


def _image(file: ImageFile) -> pyvips.Image:
    alpha = file.has_transparency_data
    pixels = np.asarray(file.convert("RGBA" if alpha else "RGB"))
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    return tell(image, profile=file.info.get("icc_profile"))
