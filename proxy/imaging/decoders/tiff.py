"""Decode TIFFs with libvips, and give names to the values that it does not understand.

libvips takes floats of one band for 8 bits, and reads CIELAB with 16 bits only: other forms of it
are read as if they were RGB, and become CIELAB here.
"""

import struct
from collections.abc import Mapping
from typing import Literal

import pyvips

from proxy.buffers import Buffer
from proxy.imaging.decoders import vips
from proxy.imaging.decoders.options import DecodeOptions
from proxy.imaging.headers import ImageHeader
from proxy.imaging.headers.header import ProbeBudget
from proxy.imaging.headers.tiff import TiffPage, read_pages
from proxy.imaging.metadata import PROFILE, get_field, set_fields

_GRAY, _RGB, _CIELAB, _ICCLAB = 1, 2, 8, 9  # photometric interpretations

_BYTE_ORDERS: Mapping[bytes, Literal["<", ">"]] = {b"II": "<", b"MM": ">"}

_HIGHEST_LIGHT = 8.0
"""Floats count light, 1 being white and more a highlight. Beyond this they count to 255."""


def load_tiff(original: Buffer, _header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    """Decode a page."""
    with memoryview(original) as view:
        page = read_pages(view, ProbeBudget(len(view)))[options.first_frame]
        as_rgb = _with_photometric_rgb(view, page) if _is_misread(page) else None
    if as_rgb is not None:
        image = _to_lab(vips.load_tiff(as_rgb, page), page)
    else:
        image = _name_values(vips.load_tiff(original, page))
    return set_fields(image, orientation=page.orientation)


def _is_misread(page: TiffPage) -> bool:
    return (page.photometric == _CIELAB and page.bits == 8) or page.photometric == _ICCLAB


def _with_photometric_rgb(view: memoryview, page: TiffPage) -> bytes:
    """The file with another color space, which is gray where only lightness is there."""
    body = bytearray(view)
    order = _BYTE_ORDERS[bytes(view[:2])]
    photometric = _RGB if page.bands >= 3 else _GRAY
    struct.pack_into(order + "H", body, page.photometric_offset, photometric)
    return bytes(body)


def _to_lab(image: pyvips.Image, page: TiffPage) -> pyvips.Image:
    """Interpret 8 or 16 bits of a band as CIELAB, with a and b signed or with an offset."""
    if image.format == "char":
        image = (image < 0).ifthenelse(image + 256, image).cast("uchar")
    unit = 256 if image.format == "ushort" else 1
    lightest = 65_280 if unit > 1 else 255
    lightness = image[0] * (100 / lightest)
    if image.bands < 3:
        return lightness.bandjoin([0, 0]).cast("float").copy(interpretation="lab")
    color = image[1:3]
    if page.photometric == _ICCLAB:
        color = color / unit - 128
    else:
        color = (color > 127).ifthenelse(color - 256, color)  # only 8 bits come here
    lab = lightness.bandjoin(color)
    if image.hasalpha():
        lab = lab.bandjoin(image[3] / unit)
    return lab.cast("float").copy(interpretation="lab")


def _name_values(image: pyvips.Image) -> pyvips.Image:
    """Interpret floats as light, and 32 bits as what 16 of them say."""
    is_gray = image.bands < 3
    if image.format == "uint":
        deep = (image / 65_537).cast("ushort")
        return deep.copy(interpretation="grey16" if is_gray else "rgb16")
    if image.format != "float" or image.interpretation in ("lab", "labs"):
        return image
    image = image.copy_memory()  # pixels are read twice
    if (image > _HIGHEST_LIGHT).max() == 255:
        return image.cast("uchar").copy(interpretation="b-w" if is_gray else "srgb")
    if get_field(image, PROFILE) is not None:
        deep = (image * 65_535).cast("ushort")
        return deep.copy(interpretation="grey16" if is_gray else "rgb16")
    if is_gray:
        image = image[0].bandjoin(image[0]).bandjoin(image)
    return image.copy(interpretation="scrgb")
