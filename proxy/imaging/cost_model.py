"""Estimate the CPU time of decoding and encoding, in seconds of one core.

The estimate is right within a factor of two or so: enough to keep expensive work out of the way of
cheap work. The numbers are nanoseconds a pixel for photographs on an ordinary server core, each
codec with the settings that are used here.
"""

from collections.abc import Mapping

from msgspec import structs

from proxy.errors import OperationNotApplicable
from proxy.formats import FormatName
from proxy.imaging.encoder_options import EFFORTS, EncoderOptions
from proxy.imaging.headers import ImageHeader
from proxy.imaging.score_targets import MAX_SAMPLE_ENCODES
from proxy.limits import Limits

EXPENSIVE_SECONDS = 1.0
"""Work that takes longer is scheduled with the priority of expensive work."""

MAX_SMALL_ANIMATION = 1_000_000
"""Pixels of all frames together, up to which an animated AVIF is worth the slower encoder."""

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
    "avif": 350,
    "heif": 1300,
    "jxl": 450,
    "gif": 1000,
}
_ENCODE_BY_EFFORT: Mapping[FormatName, tuple[float, ...]] = {
    "webp": (100, 100, 130, 130, 130, 150, 250),
    "avif": (90, 280, 430, 660, 2800, 3700, 6200, 10000, 12000, 21000),
    "png": (20, 35, 50, 55, 65, 75, 100, 180, 320, 550),
    "gif": (0, 900, 900, 900, 1000, 2000, 3000, 3800, 4500, 5500, 6400),
    "jxl": (0, 40, 40, 40, 50, 250, 400, 450, 1900, 2200),
}
"""By the effort that a plan gives."""

_LOSSLESS: Mapping[FormatName, float] = {"webp": 500, "avif": 1300, "jxl": 900}
_LOSSLESS_WEBP_BY_EFFORT = (100.0, 300.0, 350.0, 500.0, 500.0, 750.0, 750.0)
_PROGRESSIVE = 2.0
"""A factor, where an encoder writes a picture in several passes."""

_USUAL = EncoderOptions()

_ANIMATED_AVIF, _SMALL_ANIMATED_AVIF = 150, 800
"""Frames are compared with each other: thoroughly where there are few pixels."""

_OTHER = 15.0
_COMPARE = 200.0


def decode_cost(header: ImageHeader, frames: int | None = None) -> float:
    """Seconds to decode so many frames of an original; without ``frames``, all."""
    pixels = header.pixels * (frames or header.frames)
    return pixels * (_DECODE.get(header.format, _OTHER) + header.scans * _SCAN) / 1e9


def search_cost(format: FormatName, sample_pixels: int, options: EncoderOptions) -> float:
    """Seconds to find a quality by a sample: some encodes, each compared with what it was."""
    nanoseconds = _encode_nanoseconds(format, options) + _COMPARE
    return MAX_SAMPLE_ENCODES * sample_pixels * nanoseconds / 1e9


def encode_cost(
    format: FormatName, pixels: int, options: EncoderOptions = _USUAL, *, frames: int = 1
) -> float:
    """Seconds to encode ``pixels`` pixels, all frames together."""
    if format == "avif" and frames > 1 and options.effort is None:
        cost = _SMALL_ANIMATED_AVIF if pixels <= MAX_SMALL_ANIMATION else _ANIMATED_AVIF
        return pixels * cost / 1e9
    return pixels * _encode_nanoseconds(format, options) / 1e9


def check_effort(format: FormatName, pixels: int, options: EncoderOptions, limits: Limits) -> None:
    """Raise OperationNotApplicable for an effort that takes longer than a render may.

    ``pixels`` are those of all frames.
    """
    seconds, most = encode_cost(format, pixels, options), limits.render_timeout_seconds
    if options.effort is None or seconds <= most:
        return
    raise OperationNotApplicable(
        f"effort: {options.effort} for {format} takes about {seconds:.3g} s for {pixels:,} pixels, "
        f"more than {most:g} s (FRAMEKEEP_LIMITS_RENDER_TIMEOUT_SECONDS); "
        f"{_affordable_effort(format, pixels, options, most)}"
    )


def _affordable_effort(
    format: FormatName, pixels: int, options: EncoderOptions, seconds: float
) -> str:
    low, high = EFFORTS[format]
    for effort in range(high, low - 1, -1):
        if encode_cost(format, pixels, structs.replace(options, effort=effort)) <= seconds:
            return f"{effort} is possible at this size"
    return "leave it out, or make the result smaller"


def _encode_nanoseconds(format: FormatName, options: EncoderOptions) -> float:
    cost, effort = _ENCODE.get(format, _OTHER), options.effort
    if options.lossless:
        cost = max(cost, _LOSSLESS.get(format, cost))
    if effort is not None:
        by_effort = _ENCODE_BY_EFFORT[format]
        if options.lossless and format == "webp":
            by_effort = _LOSSLESS_WEBP_BY_EFFORT
        cost = by_effort[effort]
    return cost * _PROGRESSIVE if options.progressive else cost
