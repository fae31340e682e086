"""Decoders, one file per library. This table alone decides which one decodes a format.

A decoder gets an original whose header is within the limits. It may shrink a frame by an integer
factor. It sets profile, orientation and timing in the metadata fields that libvips uses for them.
"""

from collections.abc import Callable, Mapping

import pyvips

from proxy.buffers import Buffer
from proxy.formats import FormatName
from proxy.imaging.decoders import pillow, turbo, vips
from proxy.imaging.decoders.options import DecodeOptions
from proxy.imaging.headers import ImageHeader

Decoder = Callable[[Buffer, ImageHeader, DecodeOptions], pyvips.Image]


def _decode_png(original: Buffer, header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    """APNG is read by Pillow, which knows its frames."""
    decoder = pillow.decode_frames if options.frame_count > 1 else vips.load_png
    return decoder(original, header, options)


DECODERS: Mapping[FormatName, Decoder] = {
    "jpeg": vips.load_jpeg,
    "png": _decode_png,
    "webp": vips.load_webp,
    "avif": vips.load_avif,
    "heif": pillow.decode_optional,
    "jxl": pillow.decode_optional,
    "gif": vips.load_gif,
    "tiff": vips.load_tiff,
    "bmp": pillow.decode_still,
    "ico": pillow.decode_still,
    "svg": vips.load_svg,
}

__all__ = ["DECODERS", "DecodeOptions", "Decoder", "turbo"]
