"""JPEG (ITU-T T.81): segments up to the first scan, then the number of scans."""

import re
import struct
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice

from proxy.errors import NotAnImage
from proxy.formats import find_jpeg
from proxy.imaging.headers.header import ImageHeader, ProbeBudget, read_int
from proxy.imaging.quantization import luma_bytes

_WITHOUT_SEGMENT = frozenset((0x01, *range(0xD0, 0xD9)))
FRAMES = frozenset((*range(0xC0, 0xD0),)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset((0xC0, 0xC1, 0xC9))
_PROGRESSIVE = frozenset((0xC2, 0xCA))
_QUANTIZATION = 0xDB
_LUMA_STEPS = 3688
"""The sum of the table for brightness in ITU-T T.81, Annex K, which is that of quality 50."""
_FIRST_LUMA_STEPS = 132
"""The sum of its first ten steps, in the order of a file."""
_MAX_STEP = 255
_END_OF_IMAGE = 0xD9
START_OF_SCAN = 0xDA
_SCAN = re.compile(rb"\xff\xda")
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_START = b"\xff\xd8"

MAX_SCANS_COUNTED = 10_000


def read_header(view: memoryview, budget: ProbeBudget) -> ImageHeader:
    """Raises NotAnImage for lossless and hierarchical JPEGs.

    Nothing else keeps these from the decoders. So a decoder must not find another frame in the file
    than is found here: segments are found as libjpeg finds them, and `jpeg_repair` leaves out what
    lies between them.
    """
    width = height = frame = components = 0
    quality = None
    for marker, offset in segments(view, budget):
        if marker == _QUANTIZATION:
            quality = _estimate_quality(view, offset) or quality
        if marker not in FRAMES:
            continue
        if marker not in _SEQUENTIAL | _PROGRESSIVE:
            raise NotAnImage("lossless and hierarchical JPEG originals are not accepted")
        if frame:
            raise ValueError(f"a second frame at {offset}")
        frame = marker
        height, width = read_int(view, ">H", offset + 5), read_int(view, ">H", offset + 7)
        components = view[offset + 9]
    if frame not in _PROGRESSIVE:
        is_interleaved = view[offset + 4] >= components  # all of them are in the first scan
        return ImageHeader(
            "jpeg", width, height, needs_full_frame=not is_interleaved, quality=quality
        )
    # In coded data FF is always followed by 00 or a restart marker. Where a table contains the two
    # bytes by chance, the count is one too high, which does not matter for any bound.
    scans = sum(1 for _ in islice(_SCAN.finditer(view, offset), MAX_SCANS_COUNTED))
    return ImageHeader("jpeg", width, height, needs_full_frame=True, scans=scans, quality=quality)


def find_first_scan(view: memoryview) -> int:
    """The offset of the first scan. Raises ValueError where there is none."""
    *_, (_, offset) = segments(view, ProbeBudget(len(view)))
    return offset


def _estimate_quality(view: memoryview, offset: int) -> int | None:
    """The quality of the table for brightness; None for another table.

    Ours are known. Of others it is the quality by which libjpeg would make about this table.
    """
    length = read_int(view, ">H", offset + 2)
    precision, table = divmod(view[offset + 4], 16)
    size = 67 + 64 * (precision > 0)
    if table != 0 or length < size or offset + 2 + size > len(view):
        return None
    if own := _own_qualities().get(bytes(view[offset + 5 : offset + 69])):
        return own
    steps = struct.unpack_from(">64H" if precision else "64B", view, offset + 5)
    # Steps for high frequencies end at 255 in poor pictures; then the first ones tell more.
    percent: float = (
        100 * sum(steps) / _LUMA_STEPS
        if max(steps) < _MAX_STEP
        else 100 * sum(steps[:10]) / _FIRST_LUMA_STEPS
    )
    quality = (200 - percent) / 2 if percent <= 100 else 5000 / percent
    return max(1, min(100, round(quality)))


@cache
def _own_qualities() -> Mapping[bytes, int]:
    return {luma_bytes(quality): quality for quality in range(1, 101)}


def segments(view: memoryview, budget: ProbeBudget) -> Iterator[tuple[int, int]]:
    """Markers with a segment, and their offsets, up to the start of the first scan.

    Bytes between segments are skipped, as libjpeg does, and so is an end that another start
    follows: the images of old Flash files begin that way.
    """
    offset = find_jpeg(bytes(view[:1024])) + 2
    while (found := _MARKER.search(view, offset)) is not None:
        budget.count()
        offset, marker = found.end() - 2, view[found.end() - 1]
        if marker == _END_OF_IMAGE and bytes(view[offset + 2 : offset + 4]) != _START:
            raise ValueError("ends before the first scan")
        if marker in _WITHOUT_SEGMENT or marker == _END_OF_IMAGE:
            offset += 2
            continue
        yield marker, offset
        if marker == START_OF_SCAN:
            return
        length = read_int(view, ">H", offset + 2)
        if length < 2:
            raise ValueError(f"a segment of length {length} at {offset}")
        offset += 2 + length
    raise ValueError("ends before the first scan")
