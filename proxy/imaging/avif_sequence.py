"""Encode animations as AVIF: an image sequence, whose frames are coded like those of a video.

Pillow writes it with libavif and libaom. libvips writes stills only. Speed 8 is libaom's mode for
live video: at equal look it takes a fifth to a third of WebP's bytes, and no more CPU time. Speed 6
looks ahead: it takes up to half of those bytes, and six to nine times the CPU time, which only
small animations are worth. `bench/animations.py` shows it.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any

import pyvips
from PIL import Image

from proxy.errors import OperationNotApplicable
from proxy.imaging.cost_model import MAX_SMALL_ANIMATION
from proxy.imaging.encoder_options import EncoderOptions
from proxy.imaging.headers.header import ProbeBudget, read_int
from proxy.imaging.headers.isobmff import boxes
from proxy.imaging.metadata import EXIF, XMP, get_field

_SPEED_SMALL, _SPEED, _SLOWEST = 6, 8, 9
"""An effort is how much slower than 9 it is, as in libheif."""

_LIVE, _RAISED = 7, 0.2
"""From this speed on libaom is in its mode for live video. There a picture looks worse at equal
quality, so that is raised by a fifth of what is missing to 100."""

_FULL_CHROMA_QUALITY = 90
"""From this quality on, chroma is not subsampled; libvips does the same for stills."""

_MIN_DELAY, _DEFAULT_DELAY = 10, 100
"""Milliseconds. Browsers show frames of up to 10 ms for 100 ms; libvips writes that into WebP."""


def is_small_animation(image: pyvips.Image) -> bool:
    """Whether all frames together are so few pixels that they are encoded with more effort."""
    return image.width * image.height <= MAX_SMALL_ANIMATION


def encode_sequence(
    image: pyvips.Image, frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    """The file of frames that are below each other; ``quality`` is 1 to 100, as for stills.

    Timing, loop count, EXIF and XMP are those of the image's metadata fields.
    Raises OperationNotApplicable where it should be lossless.
    """
    if options.lossless:
        raise OperationNotApplicable(
            "an animated avif cannot be lossless here; use webp, or leave lossless out"
        )
    speed = _SPEED_SMALL if is_small_animation(image) else _SPEED
    return _encode(image, frame_height, quality, options, speed)


def encode_large_sequence(
    image: pyvips.Image, frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    """The file of a part of a large animation, as the whole would be encoded."""
    return _encode(image, frame_height, quality, options, _SPEED)


def _encode(
    image: pyvips.Image, frame_height: int, quality: int, options: EncoderOptions, speed: int
) -> bytes:
    chroma = options.chroma or ("444" if quality >= _FULL_CHROMA_QUALITY else "420")
    speed = speed if options.effort is None else _SLOWEST - options.effort
    delays = get_field(image, "delay") or []
    pillow: dict[str, Any] = {
        "quality": quality if speed < _LIVE else round(quality + (100 - quality) * _RAISED),
        "speed": speed,
        "subsampling": ":".join(chroma),
        "duration": [delay if delay > _MIN_DELAY else _DEFAULT_DELAY for delay in delays],
        "max_threads": 1,  # every core renders another picture
    }
    metadata = {"exif": get_field(image, EXIF), "xmp": get_field(image, XMP)}
    pillow |= {name: value for name, value in metadata.items() if value is not None}
    first, *further = _frames(image, frame_height)
    output = io.BytesIO()
    first.save(output, "AVIF", save_all=True, append_images=further, **pillow)
    return _with_loop_count(output.getvalue(), get_field(image, "loop") or 0)


def _frames(image: pyvips.Image, frame_height: int) -> Iterator[Image.Image]:
    """Views of one copy of all pixels. Pillow converts those without alpha one at a time."""
    mode = "RGBA" if image.hasalpha() else "RGBX"
    if mode == "RGBX":
        image = image.bandjoin(255)
    pixels = image.numpy().reshape(-1, frame_height, image.width, 4)
    size = image.width, frame_height
    for frame in pixels:
        yield Image.frombuffer(mode, size, frame, "raw", mode, 0, 1)


def _with_loop_count(body: bytes, loop: int) -> bytes:
    """The file with how often it plays, 0 forever, and without the time at which it was made.

    libavif writes both (ISO/IEC 14496-12), and Pillow has no options for them. All its headers have
    version 1, where times and durations have 8 bytes.
    """
    written = bytearray(body)
    view = memoryview(body)
    found = list(boxes(view, ProbeBudget(len(view))))
    once = next((read_int(view, ">Q", at + 8) for name, at, _ in found if name == b"elst"), 0)
    for name, start, _ in found:
        if name in (b"mvhd", b"tkhd", b"mdhd"):
            struct.pack_into(">QQ", written, start + 4, 0, 0)
        if loop and name in _DURATION_OFFSETS:
            struct.pack_into(">Q", written, start + _DURATION_OFFSETS[name], loop * once)
    return bytes(written)


_DURATION_OFFSETS = {b"mvhd": 24, b"tkhd": 28}
