"""Encode a picture once more, with more CPU time: in fewer bytes, and never with a worse look.

The first rendition of a picture is encoded quickly. What is requested often is worth the slow
encoders of `proxy.imaging.slow_encoders`, and AVIF in place of WebP where the client accepts both.
In each way the lowest quality is taken at which SSIMULACRA2 is at least that of the first
rendition, and of these files the smallest. What is lossless stays so: only the compression is
better. Encoder options that the plan has given are kept. `bench/better.py` shows what it saves.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.formats import FORMATS, FormatName
from proxy.imaging.encode import encode, prepare
from proxy.imaging.encoders import Encoder, encode_as
from proxy.imaging.format_choice import Encoding
from proxy.imaging.lowest_quality import Attempt, LowestQuality
from proxy.imaging.picture import Picture
from proxy.imaging.results import MIN_SAVING, OPTIMIZABLE, Rendition
from proxy.imaging.slow_encoders import SLOW_LOSSLESS, slow_ways
from proxy.imaging.ssimulacra2 import Reference
from proxy.limits import Limits

_MIN_SIDE = 16
_MAX_PIXELS = 4_000_000
_MAX_ENCODES = 4
"""In one way."""

_QUALITY_BELOW, _QUALITY_ABOVE = 20, 6
"""How far from the usual quality the search goes."""

_SIZES, _SIZE_STEP = 2, 0.94
"""How many sizes are tried between a file and one of the next lower quality, about."""

_MAX_WHOLE_PIXELS, _TILE, _TILES_A_SIDE = 600_000, 256, 3
"""Pictures with more pixels are compared in so many tiles."""

_WHITE = [255.0, 255.0, 255.0]

Pixels = npt.NDArray[np.uint8]

Score = Callable[[bytes], float]
"""How good a file looks."""


def encode_optimized(
    picture: Picture, first_formats: Sequence[FormatName], limits: Limits
) -> Rendition:
    """The picture in fewer bytes; the first rendition again where it cannot be made smaller.

    That was made for a client that accepts ``first_formats``.
    Raises the errors of `encode`.
    """
    picture = picture.materialize()
    first_output = picture.with_output(accepted_formats=tuple(first_formats))
    first = encode(first_output, limits)
    if not _can_be_optimized(picture, first):
        return first
    first_picture, first_encoding = prepare(first_output, limits)
    max_bytes = int(len(first.body) * (1 - MIN_SAVING))
    if first_encoding.lossless or not FORMATS[first_encoding.format].lossy:
        return _optimize_lossless(first_picture, first_encoding, first, max_bytes)
    score = partial(_score, Reference(_sample(_flatten(first_picture.image))))
    target = score(first.body)
    for better, encoding in (prepare(picture, limits), (first_picture, first_encoding)):
        # The quality of alpha would change as well, which SSIMULACRA2 does not see.
        is_possible = encoding.format != "avif" or not better.image.hasalpha()
        if is_possible and not encoding.lossless:
            body = _find_smallest(better, encoding, max_bytes, target, score)
            if body is not None:
                return Rendition(body, encoding.format, first.size, first.crop_reason)
        if encoding == first_encoding:
            break
    return first


def _can_be_optimized(picture: Picture, first: Rendition) -> bool:
    size = picture.frame_size
    return (
        first.format in OPTIMIZABLE
        and first.size == size
        and picture.frame_count == 1
        and picture.gain_map is None
        and picture.output.max_bytes is None
        and min(size.width, size.height) >= _MIN_SIDE
        and size.pixels <= _MAX_PIXELS
    )


def _find_smallest(
    picture: Picture, encoding: Encoding, max_bytes: int, target: float, score: Score
) -> bytes | None:
    """The smallest file that looks as good, of all ways to encode, if it is small enough."""
    format, start = encoding.format, encoding.quality
    best_way = best = None

    def attempt(encoder: Encoder, quality: int) -> Attempt:
        body = encode_as(picture, format, quality, encoders={format: encoder})
        return Attempt(quality, body, score(body))

    for way in slow_ways(format, picture.frame_size.pixels):
        search = LowestQuality(
            _qualities_near(encoding.quality),
            partial(attempt, way.encode),
            None if way.preview is None else partial(attempt, way.preview),
        )
        found = search.find(start + way.quality_shift, target, max_bytes, _MAX_ENCODES)
        best_way = best_way or way
        if found is not None:
            best_way, best, max_bytes = way, found.body, len(found.body) - 1
            start = found.quality - way.quality_shift
    if best_way is None or best_way.encode_to_size is None:
        return best
    low, high = round(max_bytes * _SIZE_STEP), max_bytes
    for _ in range(_SIZES):
        middle = (low + high) // 2
        found = attempt(best_way.encode_to_size, middle)
        if found.look >= target and len(found.body) <= max_bytes:
            best, max_bytes, high = found.body, len(found.body) - 1, middle
        else:
            low = middle
    return best


def _qualities_near(usual: int) -> range:
    return range(max(1, usual - _QUALITY_BELOW), min(100, usual + _QUALITY_ABOVE) + 1)


def _optimize_lossless(
    picture: Picture, encoding: Encoding, first: Rendition, max_bytes: int
) -> Rendition:
    format = encoding.format
    if format not in SLOW_LOSSLESS:
        return first
    slow = {format: SLOW_LOSSLESS[format]}
    body = encode_as(picture, format, 100, lossless=format == "webp", encoders=slow)
    if len(body) > max_bytes:
        return first
    return Rendition(body, format, first.size, first.crop_reason)


def _score(reference: Reference, body: bytes) -> float:
    """Rounded, because sums differ between processors."""
    image = pyvips.Image.new_from_buffer(body, "")
    return round(reference.score(_sample(_flatten(image.colourspace("srgb").cast("uchar")))), 1)


def _flatten(image: pyvips.Image) -> pyvips.Image:
    return image.flatten(background=_WHITE) if image.hasalpha() else image


def _sample(image: pyvips.Image) -> Pixels:
    """All pixels, or tiles in rows and columns that are spread over the picture."""
    width, height = image.width, image.height
    if width * height <= _MAX_WHOLE_PIXELS:
        return image.numpy()
    tile_width, tile_height = min(_TILE, width), min(_TILE, height)
    last = _TILES_A_SIDE - 1
    return np.stack(
        [
            image.crop(
                (width - tile_width) * column // last,
                (height - tile_height) * row // last,
                tile_width,
                tile_height,
            ).numpy()
            for row in range(_TILES_A_SIDE)
            for column in range(_TILES_A_SIDE)
        ]
    )
