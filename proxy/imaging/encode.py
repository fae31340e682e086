"""Encode a picture to a rendition: adapt it to the format, and fit the file into its bound.

The encoders are in `proxy.imaging.encoders`, the choice is in `proxy.imaging.format_choice`.
"""

import math

from msgspec import structs

from proxy.errors import ImageTooLarge, OperationNotApplicable
from proxy.formats import FORMATS, FormatName
from proxy.geometry import Size
from proxy.imaging.cost_model import check_effort
from proxy.imaging.encoders import encode_as
from proxy.imaging.format_choice import Encoding, choose_encoding, lossy_encoding
from proxy.imaging.format_limits import MAX_SIDE, can_hold, check_encoder_memory
from proxy.imaging.picture import Picture
from proxy.imaging.quality_search import can_find_quality, find_quality
from proxy.imaging.resize import resize
from proxy.imaging.results import Rendition
from proxy.limits import Limits

_WHITE = [255.0, 255.0, 255.0]
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
    picture, encoding = prepare(picture, limits)
    max_bytes = picture.output.max_bytes
    body = b""
    if max_bytes is None or encoding.lossless:
        body = encode_as(picture, encoding.format, encoding.quality, lossless=encoding.lossless)
    if max_bytes is not None and not 0 < len(body) <= max_bytes:
        if encoding.lossless and not picture.output.must_be_lossless(encoding.format):
            encoding = lossy_encoding(picture, limits)
            picture = _adapt_to_format(picture, encoding.format)
            picture, encoding = _with_found_quality(picture, encoding)
        picture, body = _fit_bytes(max_bytes, picture, encoding)
    if len(body) > limits.max_result_bytes:
        raise ImageTooLarge(
            f"the result has {len(body)} bytes, more than {limits.max_result_bytes} "
            "(FRAMEKEEP_LIMITS_MAX_RESULT_BYTES)"
        )
    return Rendition(
        body=body, format=encoding.format, size=picture.frame_size, crop_reason=picture.crop_reason
    )


def prepare(picture: Picture, limits: Limits) -> tuple[Picture, Encoding]:
    """The encoding that its output options ask for, and the picture as that can hold it.

    Raises the errors of `encode`.
    """
    picture, encoding = choose_encoding(picture, limits)
    check_encoder_memory(encoding.format, picture.frame_size, picture.frame_count, limits)
    picture = _adapt_to_format(picture, encoding.format)
    options = structs.replace(picture.output.encoder(encoding.format), lossless=encoding.lossless)
    pixels = picture.frame_size.pixels * picture.frame_count
    check_effort(encoding.format, pixels, options, limits)
    return _with_found_quality(picture, encoding)


def _adapt_to_format(picture: Picture, format: FormatName) -> Picture:
    """Remove what the format cannot hold: further frames, alpha. Raise where a side is too long."""
    if picture.animation is not None and not FORMATS[format].animated:
        picture = structs.replace(picture, image=picture.frame(0), animation=None)
    if picture.image.hasalpha() and not FORMATS[format].alpha:
        picture = picture.with_pixels(picture.image.flatten(background=_WHITE))
    if not can_hold(format, picture.frame_size):
        raise OperationNotApplicable(
            f"a result of {picture.frame_size} is too large for {format}, which holds "
            f"{MAX_SIDE[format]} pixels a side"
        )
    return picture


def _with_found_quality(picture: Picture, encoding: Encoding) -> tuple[Picture, Encoding]:
    """The quality that gives the score that was asked for, if any, and the picture in memory."""
    score = picture.output.score
    if score is None or encoding.lossless or not can_find_quality(encoding.format):
        return picture, encoding
    picture, quality = find_quality(picture, encoding.format, score)
    return picture, structs.replace(encoding, quality=quality)


def _fit_bytes(max_bytes: int, picture: Picture, encoding: Encoding) -> tuple[Picture, bytes]:
    """The picture and its file of at most ``max_bytes``: lower the quality first, then the size."""
    picture = picture.materialize()  # it is encoded more than once
    format, quality = encoding.format, encoding.quality
    body = encode_as(picture, format, quality, lossless=encoding.lossless)
    if len(body) <= max_bytes:
        return picture, body
    is_lossy = FORMATS[format].lossy and not encoding.lossless
    lowest = min(quality, _MIN_QUALITY) if is_lossy else quality
    if lowest < quality:
        body = encode_as(picture, format, lowest)
        if len(body) <= max_bytes:
            return picture, _find_best_quality(max_bytes, picture, format, lowest, quality) or body
    return _shrink_to_fit(max_bytes, picture, structs.replace(encoding, quality=lowest), len(body))


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
    max_bytes: int, picture: Picture, encoding: Encoding, current_bytes: int
) -> tuple[Picture, bytes]:
    """The largest picture that fits, among sizes that are each a tenth smaller than the last."""

    def attempt(step: int) -> tuple[Picture, bytes]:
        smaller = _scale_down(picture, step)
        body = encode_as(smaller, encoding.format, encoding.quality, lossless=encoding.lossless)
        return smaller, body

    # Bytes are about proportional to the area, so the search starts near its end.
    first = max(1, math.floor(math.log(max_bytes / current_bytes) / math.log(_SIZE_STEP) / 2))
    step, result = first, attempt(first)
    while len(result[1]) > max_bytes:
        if result[0].frame_size == Size(1, 1):
            raise OperationNotApplicable(
                f"even one pixel of {encoding.format} does not fit into {max_bytes} bytes "
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
