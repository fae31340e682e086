"""Estimate the CPU time of decoding and encoding, in seconds of one core.

The estimate is right within a factor of two or so: enough to keep expensive work out of the way of
cheap work. The numbers are nanoseconds a pixel for photographs on an ordinary server core, each
codec with the settings that are used here.
"""

from collections.abc import Mapping

from proxy.formats import FormatName
from proxy.imaging.headers import ImageHeader

EXPENSIVE_SECONDS = 1.0
"""Work that takes longer is scheduled with the priority of expensive work."""

_DECODE: Mapping[FormatName, float] = {
    "jpeg": 10,
    "webp": 35,
    "avif": 60,
    "heif": 60,
    "jxl": 80,
    "svg": 50,
}
_SCAN = 2.0
_ENCODE: Mapping[FormatName, float] = {
    "jpeg": 30,
    "png": 100,
    "webp": 130,
    "avif": 250,
    "heif": 1300,
    "jxl": 450,
    "gif": 1000,
}
_OTHER = 15.0
_COMPARE = 400.0


def decode_cost(header: ImageHeader, frames: int | None = None) -> float:
    """Seconds to decode so many frames of an original; without ``frames``, all."""
    pixels = header.pixels * (frames or header.frames)
    return pixels * (_DECODE.get(header.format, _OTHER) + header.scans * _SCAN) / 1e9


def search_cost(format: FormatName, sample_pixels: int) -> float:
    """Seconds to find a quality by a sample: two encodes, each compared with what it was."""
    return 2 * sample_pixels * (_ENCODE.get(format, _OTHER) + _COMPARE) / 1e9


def encode_cost(format: FormatName, pixels: int) -> float:
    """Seconds to encode ``pixels`` pixels, all frames together."""
    return pixels * _ENCODE.get(format, _OTHER) / 1e9
