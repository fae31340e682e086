"""Encoders that take far more CPU time than the usual ones, for fewer bytes.

Most formats have several ways to encode. Which one makes the smallest file at an equal look depends
on the picture, so `proxy.imaging.optimize` tries them all. Options that the plan has given count.
JPEG XL has none: its highest effort makes 2 % fewer bytes at equal SSIMULACRA2.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyvips
from msgspec import structs

from proxy.formats import FormatName
from proxy.imaging.avif_effort import slow_effort
from proxy.imaging.encoder_options import EncoderOptions
from proxy.imaging.encoders import ENCODERS, FULL_CHROMA_QUALITY, SUBSAMPLE_MODES, Encoder
from proxy.imaging.png_encoder import encode_png_slowly

_PASSES, _USUAL_WEBP_QUALITY = 6, 80
"""The first pass has this quality; five more are enough to come near to a size."""

_MAX_PIXELS_OF_ALL_WAYS = 600_000
"""Larger pictures are encoded in the way that is best for most."""


class Way(NamedTuple):
    """A way to encode.

    ``quality_shift`` is about what is added to the quality of the usual encoder for an equal look.
    ``preview`` makes files much faster, whose looks differ by quality as those of ``encode``. None
    where ``encode`` is fast enough. ``encode_to_size`` takes a number of bytes in place of the
    quality, and makes a file of about so many: there are more sizes than qualities.
    """

    encode: Encoder
    quality_shift: int = 0
    preview: Encoder | None = None
    encode_to_size: Encoder | None = None


def slow_ways(format: FormatName, pixels: int) -> Sequence[Way]:
    """The ways to encode a picture of so many pixels, the one that is best for most first."""
    ways = _WAYS.get(format, ())
    return ways if pixels <= _MAX_PIXELS_OF_ALL_WAYS else ways[:1]


def _progressive_jpeg(
    image: pyvips.Image, frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    progressive = options.progressive is not False
    options = structs.replace(options, progressive=progressive)
    return ENCODERS["jpeg"](image, frame_height, quality, options)


def _trellis_jpeg(table: int) -> Encoder:
    """By mozjpeg, with one of its quantization tables."""

    def encode(
        image: pyvips.Image, _frame_height: int, quality: int, options: EncoderOptions
    ) -> bytes:
        progressive = options.progressive is not False
        chroma = options.chroma or ("444" if quality >= FULL_CHROMA_QUALITY else "420")
        return image.jpegsave_buffer(
            Q=quality,
            optimize_coding=True,
            interlace=progressive,
            trellis_quant=True,
            overshoot_deringing=True,
            optimize_scans=progressive,
            quant_table=table,
            subsample_mode=SUBSAMPLE_MODES[chroma],
            keep=0,
        )

    return encode


def _webp(**more: Any) -> Encoder:
    def encode(
        image: pyvips.Image, _frame_height: int, quality: int, options: EncoderOptions
    ) -> bytes:
        return image.webpsave_buffer(
            Q=quality,
            effort=6 if options.effort is None else options.effort,
            lossless=options.lossless,
            keep=0,
            **more,
        )

    return encode


def _full_chroma_avif(
    image: pyvips.Image, frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    """At equal SSIMULACRA2, full color resolution makes 3 % fewer bytes, and never more."""
    effort = slow_effort(image) if options.effort is None else options.effort
    options = structs.replace(options, effort=effort, chroma=options.chroma or "444")
    return ENCODERS["avif"](image, frame_height, quality, options)


def _preview_avif(
    image: pyvips.Image, frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    options = structs.replace(options, effort=2, chroma=options.chroma or "444")
    return ENCODERS["avif"](image, frame_height, quality, options)


def _webp_way(**more: Any) -> Way:
    def encode_to_size(
        image: pyvips.Image, frame_height: int, size: int, options: EncoderOptions
    ) -> bytes:
        return _webp(target_size=size, passes=_PASSES, **more)(
            image, frame_height, _USUAL_WEBP_QUALITY, options
        )

    return Way(_webp(**more), -1, encode_to_size=encode_to_size)


SLOW_LOSSLESS: Mapping[FormatName, Encoder] = {"webp": _webp(), "png": encode_png_slowly}

_WAYS: Mapping[FormatName, Sequence[Way]] = {
    "jpeg": (
        Way(_progressive_jpeg),
        Way(_trellis_jpeg(2), 2),
        Way(_trellis_jpeg(5), 3),
        Way(_trellis_jpeg(3), 4),
    ),
    "webp": (
        _webp_way(smart_subsample=True),
        _webp_way(smart_subsample=True, preset="picture"),
        _webp_way(smart_subsample=True, smart_deblock=True),
        _webp_way(),
    ),
    "avif": (Way(_full_chroma_avif, -3, _preview_avif),),
}
