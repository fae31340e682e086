"""From bytes to pixels, one file per library. Which one reads a format is decided here alone.

A loader is handed an original whose header has passed the limits. It may read a frame several
times smaller by a whole number, and it tells profile, orientation and timing in the fields that
libvips uses for them.
"""

from collections.abc import Callable, Mapping

import pyvips

from proxy.buffers import Buffer
from proxy.formats import Name
from proxy.imaging.decoders import pillow, turbo, vips
from proxy.imaging.decoders.options import Wanted
from proxy.imaging.headers import Header

Loader = Callable[[Buffer, Header, Wanted], pyvips.Image]

LOADERS: Mapping[Name, Loader] = {
    "jpeg": vips.jpeg,
    "png": lambda original, header, wanted: (pillow.frames if wanted.count > 1 else vips.png)(
        original, header, wanted
    ),
    "webp": vips.webp,
    "avif": vips.avif,
    "heif": pillow.extra,
    "jxl": pillow.extra,
    "gif": vips.gif,
    "tiff": vips.tiff,
    "bmp": pillow.still,
    "ico": pillow.still,
    "svg": vips.svg,
}

__all__ = ["LOADERS", "Loader", "Wanted", "turbo"]
