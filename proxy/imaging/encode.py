"""Encode a picture to a rendition: choose format and quality, and fit the file into its bound.

The encoders of the formats are in `proxy.imaging.encoders`.
"""

import math
from collections.abc import Mapping

from msgspec import structs

from proxy.errors import ImageTooLarge, OperationNotApplicable
from proxy.formats import FORMATS, FormatName
from proxy.geometry import Size, scale_length
from proxy.imaging.encoders import DEFAULT_QUALITY, encode_as
from proxy.imaging.picture import Picture
from proxy.imaging.resize import resize
from proxy.imaging.results import Rendition
from proxy.limits import Limits

_WHITE = [255.0, 255.0, 255.0]
_MAX_SIDE: Mapping[FormatName, int] = {
    "webp": 16_383,
    "avif": 16_384,
    "jpeg": 65_535,
    "gif": 65_535,
}

_UNSTREAMED: frozenset[FormatName] = frozenset(("avif", "heif", "jxl"))
"""Their encoders hold the whole picture, several times."""

_MIN_QUALITY = 10
_SIZE_STEP = 0.9
"""The factor by which both sides shrink at a time where quality alone does not make a file fit."""


def encode(picture: Picture, limits: Limits) -> Rendition:
    """Encode the picture by its output options.

    Raises:
        OperationNotApplicable: the format cannot hold the picture, there is no encoder, or even one
            pixel does not fit into ``max_bytes``.
        ImageTooLarge: the file is larger than the limits allow.
    """
    format = choose_format(picture, limits)
    check_encoder_memory(format, picture.frame_size, limits)
    picture = _adapt_to_format(picture, format)
    quality = _choose_quality(picture, format)
    max_bytes = picture.output.max_bytes
    if max_bytes is None:
        body = encode_as(picture, format, quality)
    else:
        picture, body = _fit_bytes(max_bytes, picture, format, quality)
    if len(body) > limits.max_result_bytes:
        raise ImageTooLarge(
            f"the result has {len(body)} bytes, more than {limits.max_result_bytes} "
            "(FRAMEKEEP_LIMITS_MAX_RESULT_BYTES)"
        )
    return Rendition(
        body=body, format=format, size=picture.frame_size, crop_reason=picture.crop_reason
    )


def check_encoder_memory(format: FormatName, size: Size, limits: Limits) -> None:
    """Raise ImageTooLarge where an encoder would need more memory than there is."""
    if format in _UNSTREAMED and size.pixels > limits.max_result_pixels_unstreamed:
        raise ImageTooLarge(
            f"the result is {size}, more than {limits.max_result_pixels_unstreamed} pixels for "
            f"{format}, which is encoded as a whole (FRAMEKEEP_LIMITS_MAX_RESULT_PIXELS_UNSTREAMED)"
        )


def choose_format(picture: Picture, limits: Limits) -> FormatName:
    """The output format; "auto" is resolved for this picture."""
    requested, size = picture.output.format, picture.frame_size
    if requested != "auto":
        return requested
    is_animated = picture.frame_count > 1
    for format in picture.output.accepted_formats:
        fits = format not in _UNSTREAMED or size.pixels <= limits.max_result_pixels_unstreamed
        if fits and (FORMATS[format].animated or not is_animated) and _can_hold(format, size):
            return format
    if is_animated:
        return "gif"
    return "png" if picture.image.hasalpha() else "jpeg"


def _choose_quality(picture: Picture, format: FormatName) -> int:
    """From 1 to 100 on the format's scale; with "auto" the requested one is on JPEG's scale."""
    default, requested = DEFAULT_QUALITY.get(format, 100), picture.output.quality
    if format in picture.output.format_qualities:
        return picture.output.format_qualities[format]
    if requested is None:
        return default
    if picture.output.format == "auto" and format in DEFAULT_QUALITY:
        return min(100, scale_length(requested, default, DEFAULT_QUALITY["jpeg"]))
    return requested


def _adapt_to_format(picture: Picture, format: FormatName) -> Picture:
    """Remove what the format cannot hold: further frames, alpha. Raise where a side is too long."""
    if picture.animation is not None and not FORMATS[format].animated:
        picture = structs.replace(picture, image=picture.frame(0), animation=None)
    if picture.image.hasalpha() and not FORMATS[format].alpha:
        picture = picture.with_pixels(picture.image.flatten(background=_WHITE))
    if not _can_hold(format, picture.frame_size):
        raise OperationNotApplicable(
            f"a result of {picture.frame_size} is too large for {format}, which holds "
            f"{_MAX_SIDE[format]} pixels a side"
        )
    return picture


def _can_hold(format: FormatName, size: Size) -> bool:
    return max(size.width, size.height) <= _MAX_SIDE.get(format, math.inf)


def _fit_bytes(
    max_bytes: int, picture: Picture, format: FormatName, quality: int
) -> tuple[Picture, bytes]:
    """The picture and its file of at most ``max_bytes``: lower the quality first, then the size."""
    picture = picture.materialize()  # it is encoded more than once
    body = encode_as(picture, format, quality)
    if len(body) <= max_bytes:
        return picture, body
    lowest = min(quality, _MIN_QUALITY) if FORMATS[format].lossy else quality
    if lowest < quality:
        body = encode_as(picture, format, lowest)
        if len(body) <= max_bytes:
            return picture, _find_best_quality(max_bytes, picture, format, lowest, quality) or body
    return _shrink_to_fit(max_bytes, picture, format, lowest, len(body))


def _find_best_quality(
    max_bytes: int, picture: Picture, format: FormatName, low: int, high: int
) -> bytes | None:
    """Bisect between a quality that fits and one that does not; None if nothing better fits."""
    best = None
    while high - low > 1:
        middle = (low + high) // 2
        body = encode_as(picture, format, middle)
        if len(body) <= max_bytes:
            low, best = middle, body
        else:
            high = middle
    return best


def _shrink_to_fit(
    max_bytes: int, picture: Picture, format: FormatName, quality: int, current_bytes: int
) -> tuple[Picture, bytes]:
    """The largest picture that fits, among sizes that are each a tenth smaller than the last."""

    def attempt(step: int) -> tuple[Picture, bytes]:
        smaller = _scale_down(picture, step)
        return smaller, encode_as(smaller, format, quality)

    # Bytes are about proportional to the area, so the search starts near its end.
    first = max(1, math.floor(math.log(max_bytes / current_bytes) / math.log(_SIZE_STEP) / 2))
    step, result = first, attempt(first)
    while len(result[1]) > max_bytes:
        if result[0].frame_size == Size(1, 1):
            raise OperationNotApplicable(
                f"even one pixel of {format} does not fit into {max_bytes} bytes "
                "(max_file_size_in_bytes)"
            )
        step += 1
        result = attempt(step)
    while step == first and step > 1 and len((larger := attempt(step - 1))[1]) <= max_bytes:
        step, first, result = step - 1, first - 1, larger
    return result


def _scale_down(picture: Picture, step: int) -> Picture:
    factor = _SIZE_STEP**step
    width, height = picture.frame_size.width, picture.frame_size.height
    size = Size(max(1, int(width * factor)), max(1, int(height * factor)))
    return resize(picture, size)
