"""Decode with Pillow what libvips does not: BMP, ICO, frames of PNG and AVIF; HEIC, JPEG XL."""

import io
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import pyvips
from PIL import Image
from PIL.ImageFile import ImageFile

from proxy.buffers import Buffer
from proxy.errors import BrokenImage, NotAnImage
from proxy.imaging.decoders.options import DecodeOptions
from proxy.imaging.headers import ImageHeader, isobmff
from proxy.imaging.headers.header import ProbeBudget
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
        image = pyvips.Image.new_from_array(np.asarray(file.convert(mode)))
        image = image.copy(interpretation="srgb")
        return _with_metadata(image, file.info)


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
        loop = _read_loop_count(original, header, file)
        info = file.info
        orientation = int(file.getexif().get(_ORIENTATION_TAG, 1))
    image = pyvips.Image.new_from_array(pixels.reshape(-1, header.width, 4))
    image = _with_metadata(image.copy(interpretation="srgb"), info)
    return set_fields(image, pages=count, delays=delays, loop=loop, orientation=orientation)


def _read_loop_count(original: Buffer, header: ImageHeader, file: ImageFile) -> int:
    if header.format != "avif":
        return int(file.info.get("loop", 0))
    with memoryview(original) as view:  # Pillow does not read it
        return isobmff.read_loop_count(view, ProbeBudget(len(view)))


def _with_metadata(image: pyvips.Image, info: Mapping[Any, Any]) -> pyvips.Image:
    """The image with the profile, EXIF and XMP of a file that Pillow or its plugin opened."""
    return set_fields(
        image,
        profile=info.get("icc_profile"),
        exif=info.get("exif") or None,
        xmp=info.get("xmp") or None,
    )


def decode_optional(original: Buffer, header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    """Decode a format whose decoder is an optional dependency.

    Raises NotAnImage where it is not installed.
    """
    if package := missing_package(header.format):
        raise NotAnImage(f"decoding {header.format} originals needs {package} on the server")
    if header.format == "heif":
        return _decode_heif(original, header, options)
    return decode_still(original, header, options)


_HEIF_INTERPRETATIONS = {"RGB": "srgb", "RGBA": "srgb", "RGB;16": "rgb16", "RGBA;16": "rgb16"}


def _decode_heif(original: Buffer, header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    """Take the pixels from the decoder itself.

    Pillow has no mode for more than 8 bits, and its image would be another two copies.
    """
    with _translate_errors():
        file = import_module("pillow_heif").open_heif(
            io.BytesIO(original), convert_hdr_to_8bit=False
        )
        interpretation = _HEIF_INTERPRETATIONS.get(file.mode)
        if interpretation is not None:
            image = pyvips.Image.new_from_array(np.asarray(file))
            image = image.copy(interpretation=interpretation)
            return _with_metadata(image, file.info)
    return decode_still(original, header, options)


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about files that it decodes all the same
            yield
    except _DAMAGED as error:
        raise BrokenImage("the original is damaged or truncated", detail=str(error)) from error


@contextmanager
def _open(original: Buffer, header: ImageHeader) -> Iterator[ImageFile]:
    formats = (_PILLOW_FORMATS[header.format],)
    with _translate_errors(), Image.open(io.BytesIO(original), formats=formats) as file:
        yield file
