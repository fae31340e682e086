"""Decoders, one file per library. This table alone decides which one decodes a format.

A decoder gets an original whose header is within the limits. It may shrink a frame by an integer
factor. It sets profile, orientation and timing in the metadata fields that libvips uses for them.
"""

from collections.abc import Callable, Mapping

import pyvips

from proxy.buffers import Buffer
from proxy.formats import FormatName
from proxy.imaging.decoders import gif, pillow, tiff, turbo, vips
from proxy.imaging.decoders.options import DecodeOptions
from proxy.imaging.headers import ImageHeader, png
from proxy.imaging.headers.header import ProbeBudget

Decoder = Callable[[Buffer, ImageHeader, DecodeOptions], pyvips.Image]


def _decode_png(original: Buffer, header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    """Frames are read by Pillow, which knows them; libvips shows the default picture only."""
    with memoryview(original) as view:
        hides_default = png.hides_default(view, ProbeBudget(len(view)))
    is_frame = options.frame_count > 1 or options.first_frame or hides_default
    decoder = pillow.decode_frames if is_frame else vips.load_png
    return decoder(original, header, options)


def _decode_avif(original: Buffer, header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    """Frames are read by Pillow; libvips shows the still picture only."""
    decoder = pillow.decode_frames if header.animated else vips.load_avif
    return decoder(original, header, options)


DECODERS: Mapping[FormatName, Decoder] = {
    "jpeg": vips.load_jpeg,
    "png": _decode_png,
    "webp": vips.load_webp,
    "avif": _decode_avif,
    "heif": pillow.decode_optional,
    "jxl": pillow.decode_optional,
    "gif": gif.load_gif,
    "tiff": tiff.load_tiff,
    "bmp": pillow.decode_still,
    "ico": pillow.decode_still,
    "svg": vips.load_svg,
}

_WHOLE: frozenset[FormatName] = frozenset(("bmp", "heif", "ico", "jxl"))


def decodes_at_once(header: ImageHeader) -> bool:
    """Whether all pixels are decoded as soon as the original is opened."""
    return header.format in _WHOLE or (header.animated and header.format in ("avif", "png"))


__all__ = ["DECODERS", "DecodeOptions", "Decoder", "decodes_at_once", "turbo"]
