"""Choose the encoding of a picture: its format, lossy or lossless, and the quality.

`auto` is never worse than doing nothing. A picture that was lossless and is flat, such as a
screenshot, a logo or a QR code, stays lossless where that takes fewer bytes than the lossy format;
a part of it is encoded both ways to find out. A lossy original is not coded better than it was.
`bench/auto.py` shows bytes and CPU time.
"""

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct, structs
from PIL import Image

from proxy.formats import FORMATS, FormatName
from proxy.geometry import scale_length
from proxy.imaging.avif_sequence import encode_large_sequence, is_small_animation
from proxy.imaging.cost_model import MAX_SMALL_ANIMATION
from proxy.imaging.encoders import DEFAULT_QUALITY, Encoder, encode_as
from proxy.imaging.flatness import MIN_FLATNESS, flatness, sample_bands
from proxy.imaging.format_limits import can_hold, has_encoder_memory
from proxy.imaging.picture import Picture
from proxy.imaging.shrink_on_load import MAX_IN_MEMORY_PIXELS
from proxy.limits import Limits

_MIN_AVIF_PIXELS = 2_500
"""Smaller pictures take fewer bytes as WebP."""

_AVIF_FRAME_BYTES = 300
"""What an AVIF file has around its coded pixels."""

_MAX_LOSSLESS_RATIO: Mapping[FormatName, float] = {"avif": 0.6, "jxl": 0.6, "webp": 1.1}
"""Bytes of lossless WebP, relative to lossy WebP, up to which the picture stays lossless; by the
lossy format. AVIF takes 0.2 to 0.8 of the bytes of lossy WebP for graphics, JPEG XL 0.3 or more."""

_CERTAIN_FLATNESS, _MAX_QUICK_RATIO = 0.85, 2.5
"""Below that flatness: bytes of the quickest lossless WebP, relative to lossy WebP, up to which a
better encoding may still be small enough. Of text it makes a quarter."""

_QUALITY_ABOVE_SOURCE = 10
"""An original is coded at its own quality. What takes fewer bytes than JPEG has a little more, so
that faults do not add up."""


_MAX_LOSSLESS_ANIMATION_RATIO = 1.1
"""Bytes of lossless WebP, relative to the lossy format, up to which an animation is lossless."""


class Encoding(Struct, frozen=True):
    """A format, and how it is used; ``quality`` is 1 to 100 on the format's scale."""

    format: FormatName
    quality: int
    lossless: bool = False


def choose_encoding(picture: Picture, limits: Limits) -> tuple[Picture, Encoding]:
    """The encoding, and the picture as it is encoded: in memory where it had to be looked at."""
    if picture.output.lossless:
        format = _lossless_format(picture)
        return picture, Encoding(format, DEFAULT_QUALITY.get(format, 100), lossless=True)
    picture, encoding = _choose_by_pixels(picture, limits)
    if picture.output.must_be_lossless(encoding.format):
        encoding = structs.replace(encoding, lossless=True)
    return picture, encoding


def _lossless_format(picture: Picture) -> FormatName:
    """What "auto" takes where nothing may be lost: webp takes the fewest bytes."""
    if "webp" in picture.output.accepted_formats and can_hold("webp", picture.frame_size):
        return "webp"
    return "gif" if picture.frame_count > 1 else "png"


def _choose_by_pixels(picture: Picture, limits: Limits) -> tuple[Picture, Encoding]:
    was_lossless = picture.source is not None and picture.source.lossless
    may_be_lossless = picture.output.negotiates and picture.output.keep_lossless
    if not may_be_lossless or not was_lossless:
        return picture, lossy_encoding(picture, limits)
    if picture.image.width * picture.image.height > MAX_IN_MEMORY_PIXELS:
        return picture, lossy_encoding(picture, limits)
    picture = _drop_opaque_alpha(picture.materialize())
    lossy = lossy_encoding(picture, limits)
    if lossy.format in _MAX_LOSSLESS_RATIO:
        is_webp_possible = "webp" in picture.output.accepted_formats and can_hold(
            "webp", picture.frame_size
        )
        if is_webp_possible and _is_smaller_lossless(picture, lossy):
            return picture, Encoding("webp", DEFAULT_QUALITY["webp"], lossless=True)
        return picture, lossy
    if lossy.format == "jpeg":
        return picture, Encoding("png", 100, lossless=True)
    return picture, lossy


def lossy_encoding(picture: Picture, limits: Limits) -> Encoding:
    """The encoding without a look at the pixels: of the formats that are accepted, the best."""
    format = likely_format(picture, limits)
    return Encoding(format, _choose_quality(picture, format))


def likely_format(picture: Picture, limits: Limits) -> FormatName:
    """The output format where "auto" finds no better one by the pixels."""
    requested = picture.output.format
    if requested != "auto":
        return requested
    if picture.gain_map is not None:
        return "jpeg"  # no other encoder writes one
    is_animated, size = picture.frame_count > 1, picture.frame_size
    formats = [
        format
        for format in picture.output.accepted_formats
        if (FORMATS[format].animated or not is_animated)
        and can_hold(format, size)
        and has_encoder_memory(format, size, picture.frame_count, limits)
        and not (format == "webp" and picture.output.full_chroma)
    ]
    if size.pixels * picture.frame_count < _MIN_AVIF_PIXELS and "webp" in formats:
        return "webp"
    if formats:
        return formats[0]
    if is_animated:
        return "gif"
    return "png" if picture.image.hasalpha() else "jpeg"


def _choose_quality(picture: Picture, format: FormatName) -> int:
    """From 1 to 100 on the format's scale; with "auto" the requested one is on JPEG's scale."""
    default, requested = DEFAULT_QUALITY.get(format, 100), picture.output.quality
    if format in picture.output.format_qualities:
        return picture.output.format_qualities[format]
    if picture.output.format != "auto" or format not in DEFAULT_QUALITY:
        return default if requested is None else requested
    quality = _quality_of_source(picture, format) if requested is None else requested
    return min(100, scale_length(quality, default, DEFAULT_QUALITY["jpeg"]))


def _quality_of_source(picture: Picture, format: FormatName) -> int:
    """JPEG's default quality, or less where the original has less.

    Its faults disappear as it is scaled down: at half the size nothing is left of them.
    """
    source, default = picture.source, DEFAULT_QUALITY["jpeg"]
    if source is None or source.quality is None or not picture.output.negotiates:
        return default
    size = picture.frame_size
    scale = max(size.width / source.size.width, size.height / source.size.height)
    visible = min(1.0, max(0.0, 2 * scale - 1))
    quality = source.quality + (0 if format == "jpeg" else _QUALITY_ABOVE_SOURCE)
    return min(default, round(100 - (100 - quality) * visible))


def _drop_opaque_alpha(picture: Picture) -> Picture:
    """Remove an alpha channel that hides nothing."""
    image = picture.image
    if not image.hasalpha() or image[3].min() != 255:
        return picture
    return structs.replace(picture, image=image[:3].copy(interpretation="srgb").copy_memory())


def _is_smaller_lossless(picture: Picture, lossy: Encoding) -> bool:
    if picture.animation is not None:
        return _is_smaller_lossless_animation(picture, lossy)
    pixels = sample_bands(picture.image)
    share = flatness(pixels)
    if share < MIN_FLATNESS:  # lossless files of such pictures are always larger
        return False
    lossy_bytes = _webp_bytes(pixels, quality=_choose_quality(picture, "webp"), method=2)
    max_bytes = lossy_bytes * _MAX_LOSSLESS_RATIO[lossy.format]
    max_bytes += _AVIF_FRAME_BYTES if lossy.format == "avif" else 0
    if share < _CERTAIN_FLATNESS:
        quick_bytes = _webp_bytes(pixels, lossless=True, quality=75, method=0)
        if quick_bytes > lossy_bytes * _MAX_QUICK_RATIO:
            return False
    return _webp_bytes(pixels, lossless=True, quality=75, method=4) <= max_bytes


def _is_smaller_lossless_animation(picture: Picture, lossy: Encoding) -> bool:
    if flatness(sample_bands(picture.image)) < MIN_FLATNESS:
        return False
    lossless_bytes = _animation_bytes(picture, Encoding("webp", 100, lossless=True))
    return lossless_bytes <= _animation_bytes(picture, lossy) * _MAX_LOSSLESS_ANIMATION_RATIO


def _animation_bytes(picture: Picture, encoding: Encoding) -> float:
    """Of a large animation, what the first frames take, and all others as much as they on average.

    The very first one does not count for others: it has no frame before it to be coded by.
    """

    def count_bytes(frames: int, encoders: Mapping[FormatName, Encoder]) -> int:
        first, lossless = picture.with_first_frames(frames), encoding.lossless
        format, quality = encoding.format, encoding.quality
        return len(encode_as(first, format, quality, lossless=lossless, encoders=encoders))

    count = picture.frame_count
    if is_small_animation(picture.image):
        return count_bytes(count, {})
    sampled = min(count, max(3, MAX_SMALL_ANIMATION // picture.frame_size.pixels))
    one, some = (count_bytes(frames, _SAMPLE_ENCODERS) for frames in (1, sampled))
    return one + (some - one) / (sampled - 1) * (count - 1)


_SAMPLE_ENCODERS: Mapping[FormatName, Encoder] = {"avif": encode_large_sequence}
"""A part of a large animation is encoded as the whole will be."""


def _webp_bytes(pixels: npt.NDArray[np.uint8], **options: int) -> int:
    output = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(output, "WEBP", **options)
    return output.tell()
