"""Repair JPEGs that browsers show though they are not quite whole.

Bytes before the image and between its segments are left out, and a missing end marker is added if
every scan is there. A truncated scan stays truncated: its decoder finds that out, as long as it has
nothing else to report, since it reports only the first fault. So an unknown version of JFIF, which
is a fault too, becomes a known one, and a repaired file must be decoded without any fault.
"""

import re
from collections import defaultdict

from proxy.formats import find_jpeg
from proxy.imaging.headers.header import ProbeBudget, read_int
from proxy.imaging.headers.jpeg import FRAMES, START_OF_SCAN, segments

_START, _END = b"\xff\xd8", b"\xff\xd9"
_END_MARKER = re.compile(re.escape(_END))
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_JFIF, _JFIF_VERSION = b"JFIF\0", b"\x01\x01"
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)  # decoders of arithmetic coding do not report truncation
_COEFFICIENTS = 64
_TAIL_BYTES = 64 * 1024
_APP0 = 0xE0


def repair_jpeg(view: memoryview) -> bytes | None:
    """The repaired file; None where nothing has to change, or can be repaired.

    Raises ValueError or IndexError where the structure is damaged.
    """
    budget = ProbeBudget(len(view))
    found = list(segments(view, budget))
    lengths = [read_int(view, ">H", offset + 2) + 2 for _, offset in found]
    expected = find_jpeg(bytes(view[:1024])) + 2
    is_regular = expected == len(_START)
    for (_, offset), length in zip(found, lengths, strict=True):
        is_regular = is_regular and offset == expected and not _is_unknown_jfif(view, offset)
        expected = offset + length
    scans = found[-1][1]
    lacks_end_only = not _has_end(view, scans) and _has_all_scans(view, found, budget)
    if is_regular and not lacks_end_only:
        return None
    parts = [
        _with_known_jfif(view, offset, length)
        for (_, offset), length in zip(found[:-1], lengths[:-1], strict=True)
    ]
    return b"".join((_START, *parts, view[scans:], _END if lacks_end_only else b""))


def _has_end(view: memoryview, scans: int) -> bool:
    """Whether an end marker follows the start of the first scan; it is looked for at the end first.

    What cameras append, such as a preview, is short. To search 2 MB takes half a millisecond.
    """
    tail = max(scans, len(view) - _TAIL_BYTES)
    return any(_END_MARKER.search(view, start) is not None for start in (tail, scans))


def _is_unknown_jfif(view: memoryview, offset: int) -> bool:
    is_jfif = view[offset + 1] == _APP0 and bytes(view[offset + 4 : offset + 9]) == _JFIF
    return is_jfif and view[offset + 9] != _JFIF_VERSION[0]


def _with_known_jfif(view: memoryview, offset: int, length: int) -> bytes:
    segment = bytes(view[offset : offset + length])
    if not _is_unknown_jfif(view, offset):
        return segment
    return segment[:9] + _JFIF_VERSION + segment[11:]


def _has_all_scans(view: memoryview, found: list[tuple[int, int]], budget: ProbeBudget) -> bool:
    """Whether scans for every bit of every coefficient begin in the file."""
    marker, frame = next((marker, offset) for marker, offset in found if marker in FRAMES)
    if marker not in _HUFFMAN_FRAMES:
        return False
    components = [view[frame + 10 + 3 * index] for index in range(view[frame + 9])]
    received: defaultdict[int, set[int]] = defaultdict(set)
    offset = found[-1][1]
    while True:
        budget.count()
        if view[offset + 1] == START_OF_SCAN:
            count = view[offset + 4]
            names = [view[offset + 5 + 2 * index] for index in range(count)]
            first, last, bits = view[offset + 5 + 2 * count : offset + 8 + 2 * count]
            for name in names:
                if bits & 0x0F == 0:
                    received[name].update(range(first, last + 1))
        end = offset + 2 + read_int(view, ">H", offset + 2)
        following = _NEXT_MARKER.search(view, end)
        if following is None:
            return all(len(received[name]) == _COEFFICIENTS for name in components)
        offset = following.start()
