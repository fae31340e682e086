"""Formats that libvips reads. Loaders are called by name, every other one is blocked.

Files are read once, from top to bottom, and strictly: what is cut short or damaged is an error.
"""

from typing import Any

import pyvips

from proxy.buffers import Buffer
from proxy.imaging.decoders.options import Wanted
from proxy.imaging.headers import Header

# libvips guesses by content, and some of what it then takes has no business here: its own ways of
# guessing are closed, and so are all loaders and savers that are not called in this package.
for _family in ("VipsForeignLoad", "VipsForeignSave"):
    pyvips.operation_block_set(_family, True)
for _codec in ("Jpeg", "Png", "Webp", "Heif", "Tiff", "Nsgif", "Svg"):
    pyvips.operation_block_set(f"VipsForeignLoad{_codec}Buffer", False)
for _codec in ("Jpeg", "Png", "Webp", "Heif", "Cgif"):
    pyvips.operation_block_set(f"VipsForeignSave{_codec}Buffer", False)

_STRICT: dict[str, Any] = {"access": "sequential", "fail_on": "error"}


def jpeg(original: Buffer, _header: Header, wanted: Wanted) -> pyvips.Image:
    return pyvips.Image.jpegload_buffer(memoryview(original), shrink=wanted.shrink, **_STRICT)


def png(original: Buffer, _header: Header, _wanted: Wanted) -> pyvips.Image:
    return pyvips.Image.pngload_buffer(memoryview(original), **_STRICT)


def webp(original: Buffer, _header: Header, wanted: Wanted) -> pyvips.Image:
    return pyvips.Image.webpload_buffer(
        memoryview(original), page=wanted.first, n=wanted.count, **_STRICT
    )


def gif(original: Buffer, _header: Header, wanted: Wanted) -> pyvips.Image:
    return pyvips.Image.gifload_buffer(
        memoryview(original), page=wanted.first, n=wanted.count, **_STRICT
    )


def avif(original: Buffer, _header: Header, wanted: Wanted) -> pyvips.Image:
    return pyvips.Image.heifload_buffer(memoryview(original), page=wanted.first, **_STRICT)


def tiff(original: Buffer, _header: Header, wanted: Wanted) -> pyvips.Image:
    return pyvips.Image.tiffload_buffer(memoryview(original), page=wanted.first, **_STRICT)


def svg(original: Buffer, _header: Header, _wanted: Wanted) -> pyvips.Image:
    """A drawing, rasterised at the size it says. librsvg asks no network and opens no file."""
    return pyvips.Image.svgload_buffer(memoryview(original), **_STRICT)
