"""Decode with libvips. Loaders are called by name; all others are blocked.

Files are read once, from top to bottom, and strictly: a damaged or truncated file is an error.
"""

from typing import Any

import pyvips

from proxy.buffers import Buffer
from proxy.imaging.decoders.options import DecodeOptions
from proxy.imaging.headers import ImageHeader, jpeg
from proxy.imaging.headers.tiff import TiffPage

# libvips would choose a loader by content, also among formats that must not be decoded here. So
# every loader and saver is blocked that is not called in this package.
for _family in ("VipsForeignLoad", "VipsForeignSave"):
    pyvips.operation_block_set(_family, True)
for _codec in ("Jpeg", "Uhdr", "Png", "Webp", "Heif", "Tiff", "Nsgif", "Svg"):
    pyvips.operation_block_set(f"VipsForeignLoad{_codec}Buffer", False)
for _codec in ("Jpeg", "Uhdr", "Png", "Webp", "Heif", "Cgif"):
    pyvips.operation_block_set(f"VipsForeignSave{_codec}Buffer", False)
pyvips.operation_block_set("VipsForeignSaveJpegTarget", False)  # uhdrsave calls it

_READ_AHEAD_BYTES = 64 * 1024
"""What libvips may read after a header: far more than the block of 4 kB in which it ends."""

_STRICT: dict[str, Any] = {"access": "sequential", "fail_on": "error"}


def load_jpeg(original: Buffer, _header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    strictness = {**_STRICT, "fail_on": "warning"} if options.is_repaired else _STRICT
    file = memoryview(original)
    if options.header_only:  # pyvips copies what it is given: 0.3 ms for 2 MB
        file = file[: jpeg.find_first_scan(file) + _READ_AHEAD_BYTES]
    return pyvips.Image.jpegload_buffer(file, shrink=options.shrink, **strictness)


def load_png(original: Buffer, _header: ImageHeader, _options: DecodeOptions) -> pyvips.Image:
    return pyvips.Image.pngload_buffer(memoryview(original), **_STRICT)


def load_webp(original: Buffer, _header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    return pyvips.Image.webpload_buffer(
        memoryview(original), page=options.first_frame, n=options.frame_count, **_STRICT
    )


def load_gif(original: Buffer, _header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    return pyvips.Image.gifload_buffer(
        memoryview(original), page=options.first_frame, n=options.frame_count, **_STRICT
    )


def load_gif_frame(file: bytes) -> pyvips.Image:
    """Decode the first frame of a GIF."""
    return pyvips.Image.gifload_buffer(file, **_STRICT)


def load_avif(original: Buffer, _header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    return pyvips.Image.heifload_buffer(memoryview(original), page=options.first_frame, **_STRICT)


def load_tiff(original: Buffer, page: TiffPage) -> pyvips.Image:
    return pyvips.Image.tiffload_buffer(
        memoryview(original), page=page.directory, subifd=page.subdirectory, **_STRICT
    )


def load_svg(original: Buffer, _header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    """Rasterize a drawing. librsvg opens no file and no connection for it."""
    return pyvips.Image.svgload_buffer(memoryview(original), scale=options.scale, **_STRICT)
