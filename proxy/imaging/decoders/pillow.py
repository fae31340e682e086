"""Decode with Pillow what libvips does not: BMP, ICO, frames of PNG and AVIF; HEIC, JPEG XL."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import numpy as np
import numpy.typing as npt
import pyvips
from PIL import Image
from PIL.ImageFile import ImageFile

from proxy.buffers import Buffer
from proxy.errors import BrokenImage, NotAnImage
from proxy.imaging.decoders.options import DecodeOptions
from proxy.imaging.headers import ImageHeader
from proxy.imaging.metadata import set_fields
from proxy.imaging.optional_codecs import missing_package

_PILLOW_FORMATS = {
    "bmp": "BMP",
    "ico": "ICO",
    "png": "PNG",
    "avif": "AVIF",
    "heif": "HEIF",
    "jxl": "JXL",
}

# What Pillow's decoders and its plugins raise for damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, LookupError, RuntimeError, struct.error)

_ORIENTATION_TAG = 0x0112

# The header was checked against the limits; Pillow's own bound would be a second one.
Image.MAX_IMAGE_PIXELS = None


def decode_still(original: Buffer, header: ImageHeader, _options: DecodeOptions) -> pyvips.Image:
    """Decode a still image; of several in one file, the largest."""
    with _open(original, header) as file:
        mode = "RGBA" if file.has_transparency_data else "RGB"
        if file.info.get("bit_depth", 8) > 8:
            pixels = _decode_16_bit(original)
            image = pyvips.Image.new_from_array(pixels).copy(interpretation="rgb16")
        else:
            image = pyvips.Image.new_from_array(np.asarray(file.convert(mode)))
            image = image.copy(interpretation="srgb")
        return set_fields(image, profile=file.info.get("icc_profile"))


def _decode_16_bit(original: Buffer) -> npt.NDArray[np.uint16]:
    """A HEIF with more than 8 bits: Pillow has no mode for it."""
    heif = import_module("pillow_heif").open_heif(io.BytesIO(original), convert_hdr_to_8bit=False)
    return np.asarray(heif)


def decode_frames(original: Buffer, header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    """Decode frames of an animation, each as it is shown, below each other."""
    count = options.frame_count
    pixels = np.empty((count, header.height, header.width, 4), np.uint8)
    delays = []
    with _open(original, header) as file:
        # Pillow counts the default picture of a PNG, though it may be no part of the animation.
        first = options.first_frame + bool(getattr(file, "default_image", False))
        for index in range(count):
            file.seek(first + index)
            pixels[index] = np.asarray(file.convert("RGBA"))
            delays.append(round(file.info.get("duration", 0)))
        loop = int(file.info.get("loop", 0))
        profile = file.info.get("icc_profile")
        orientation = int(file.getexif().get(_ORIENTATION_TAG, 1))
    image = pyvips.Image.new_from_array(pixels.reshape(-1, header.width, 4))
    return set_fields(
        image.copy(interpretation="srgb"),
        pages=count,
        delays=delays,
        loop=loop,
        profile=profile,
        orientation=orientation,
    )


def decode_optional(original: Buffer, header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    """Decode a format whose decoder is an optional dependency.

    Raises NotAnImage where it is not installed.
    """
    if package := missing_package(header.format):
        raise NotAnImage(f"decoding {header.format} originals needs {package} on the server")
    return decode_still(original, header, options)


@contextmanager
def _open(original: Buffer, header: ImageHeader) -> Iterator[ImageFile]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about files that it decodes all the same
            formats = (_PILLOW_FORMATS[header.format],)
            with Image.open(io.BytesIO(original), formats=formats) as file:
                yield file
    except _DAMAGED as error:
        raise BrokenImage("the original is damaged or truncated", detail=str(error)) from error
