"""Encode a picture once more, with more CPU time: in fewer bytes, and never with a worse look.

The first rendition of a picture is encoded quickly. What is requested often is worth slower
encoders: mozjpeg's trellis quantization and progressive scans for JPEG, the highest effort and
sharp chroma for WebP, more effort for AVIF, and AVIF in place of WebP where the client accepts
both. Of each the lowest quality is taken at which SSIMULACRA2 is at least that of the first
rendition. What is lossless stays so: only the compression is better. Encoder options that the plan
has given are kept. `bench/better.py` shows what it saves.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyvips
from msgspec import structs

from proxy.formats import FORMATS, FormatName
from proxy.imaging.encode import encode, prepare
from proxy.imaging.encoder_options import EncoderOptions
from proxy.imaging.encoders import (
    FULL_CHROMA_QUALITY,
    SUBSAMPLE_MODES,
    Encoder,
    encode_as,
    encode_avif,
)
from proxy.imaging.format_choice import Encoding
from proxy.imaging.picture import Picture
from proxy.imaging.results import MIN_SAVING, OPTIMIZABLE, Rendition
from proxy.imaging.ssimulacra2 import Reference
from proxy.limits import Limits

_MIN_SIDE = 16
_MAX_PIXELS = 4_000_000
_MAX_ENCODES = 6
"""Of one format."""

_QUALITY_BELOW, _QUALITY_ABOVE = 14, 4
"""How far from the usual quality the search goes."""

_MAX_WHOLE_PIXELS, _TILE, _TILES_A_SIDE = 600_000, 256, 3
"""Pictures with more pixels are compared in so many tiles."""

_MAX_EFFORT_SAVING = 1.1
"""How many more bytes the search may find than the file, encoded with more effort, has then."""

_AVIF_EFFORT_PIXELS = 600_000
"""Up to here AVIF gets one more level of effort: it takes a second of a core."""

_PNG_FILTERS = (0x08, 0x10, 0x80, 0xF8)
"""None, sub, Paeth, and whatever is best for each row: libvips' flags."""

_WHITE = [255.0, 255.0, 255.0]

Pixels = npt.NDArray[np.uint8]


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
    sample = _sample(_flatten(first_picture.image))
    reference = Reference(sample)
    target = _score(reference, first.body)

    def looks_as_good(body: bytes) -> bool:
        return _score(reference, body) >= target

    for better, encoding in (prepare(picture, limits), (first_picture, first_encoding)):
        is_lossy = not encoding.lossless and encoding.format in _ENCODERS
        if is_lossy and not (encoding.format == "avif" and better.image.hasalpha()):
            body = _find_lowest_quality(better, encoding, max_bytes, looks_as_good)
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


def _find_lowest_quality(
    picture: Picture, encoding: Encoding, max_bytes: int, looks_as_good: Callable[[bytes], bool]
) -> bytes | None:
    """The file of the lowest quality that looks as good, if it is small enough."""
    quality, best = encoding.quality, None
    low, high = max(1, quality - _QUALITY_BELOW), min(100, quality + _QUALITY_ABOVE)
    for _ in range(_MAX_ENCODES):
        body = encode_as(picture, encoding.format, quality, encoders=_SEARCH_ENCODERS)
        if looks_as_good(body):
            high, best = quality - 1, quality
        elif len(body) >= max_bytes * _MAX_EFFORT_SAVING:
            break  # what looks better has more bytes
        else:
            low = quality + 1
        if low > high:
            break
        quality = (low + high) // 2
    if best is None:
        return None
    for quality in (best, best + 1):
        body = encode_as(picture, encoding.format, quality, encoders=_ENCODERS)
        if len(body) > max_bytes:
            return None
        if looks_as_good(body):
            return body
    return None


def _optimize_lossless(
    picture: Picture, encoding: Encoding, first: Rendition, max_bytes: int
) -> Rendition:
    if encoding.format == "webp":
        files = [encode_as(picture, "webp", 100, lossless=True, encoders={"webp": _encode_webp})]
    elif encoding.format == "png":
        files = [
            encode_as(picture, "png", 100, encoders={"png": _png_encoder(filter)})
            for filter in _PNG_FILTERS
        ]
    else:
        return first
    body = min(files, key=len)
    if len(body) > max_bytes:
        return first
    return Rendition(body, encoding.format, first.size, first.crop_reason)


def _encode_jpeg(
    image: pyvips.Image, _frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    is_progressive = options.progressive is not False
    # At equal SSIMULACRA2, trellis quantization with table 5 takes up to 15 % fewer bytes than our
    # tables without it for smooth pictures, and 1 to 5 % fewer for photographs. At full color
    # resolution table 3 is better.
    is_full_chroma = options.chroma == "444" or (
        options.chroma is None and quality >= FULL_CHROMA_QUALITY
    )
    return image.jpegsave_buffer(
        Q=quality,
        optimize_coding=True,
        interlace=is_progressive,
        trellis_quant=True,
        overshoot_deringing=True,
        optimize_scans=is_progressive,
        quant_table=3 if is_full_chroma else 5,
        subsample_mode=SUBSAMPLE_MODES[options.chroma],
        keep=0,
    )


def _encode_webp(
    image: pyvips.Image, _frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    return image.webpsave_buffer(
        Q=quality,
        effort=6 if options.effort is None else options.effort,
        lossless=options.lossless,
        smart_subsample=True,
        keep=0,
    )


def _encode_avif(
    image: pyvips.Image, frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    usual = 5 if image.width * image.height <= _AVIF_EFFORT_PIXELS else 4
    effort = usual if options.effort is None else options.effort
    return encode_avif(image, frame_height, quality, structs.replace(options, effort=effort))


def _png_encoder(filter: int) -> Encoder:
    def encode_png(
        image: pyvips.Image, _frame_height: int, _quality: int, options: EncoderOptions
    ) -> bytes:
        return image.pngsave_buffer(
            compression=9 if options.effort is None else options.effort,
            filter=filter,
            interlace=bool(options.progressive),
            keep=0,
        )

    return encode_png


_ENCODERS: Mapping[FormatName, Encoder] = {
    "jpeg": _encode_jpeg,
    "webp": _encode_webp,
    "avif": _encode_avif,
}

_SEARCH_ENCODERS: Mapping[FormatName, Encoder] = {"jpeg": _encode_jpeg, "webp": _encode_webp}
"""The quality of an AVIF is found with its usual effort, in a fifth of the CPU time."""


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
