"""What work will cost, told before it begins: seconds of one core, within a factor of two or so.

Enough to keep what is dear out of the way of what is cheap. The numbers are nanoseconds a pixel of
photographs on an ordinary server core, each codec with the settings that are used here.
"""

from collections.abc import Mapping

from proxy.formats import Name
from proxy.imaging.headers import Header

HEAVY_SECONDS = 1.0
"""From here on, work waits where dear work waits."""

_DECODING: Mapping[Name, float] = {"jpeg": 10, "webp": 35, "avif": 60, "heif": 60, "svg": 50}
_SCAN = 2.0
_ENCODING: Mapping[Name, float] = {
    "jpeg": 30,
    "png": 100,
    "webp": 130,
    "avif": 250,
    "heif": 250,
    "gif": 1000,
}
_ELSE = 15.0


def decoding(header: Header) -> float:
    """Seconds to decode all of an original."""
    pixels = header.pixels * header.frames
    return pixels * (_DECODING.get(header.format, _ELSE) + header.scans * _SCAN) / 1e9


def encoding(name: Name, pixels: int) -> float:
    """Seconds to write so many pixels, all frames together, in that format."""
    return pixels * _ENCODING.get(name, _ELSE) / 1e9
