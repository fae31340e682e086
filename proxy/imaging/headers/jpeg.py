"""JPEG (ITU-T T.81): segments up to the first scan, then the number of scans."""

import re
from collections.abc import Iterator
from itertools import islice

from proxy.errors import NotAnImage
from proxy.imaging.headers.header import Header, Walk, number

_BARE = frozenset((0x01, *range(0xD0, 0xD9)))
_FRAMES = frozenset((*range(0xC0, 0xD0),)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset((0xC0, 0xC1, 0xC9))
_PROGRESSIVE = frozenset((0xC2, 0xCA))
_SCAN_BEGINS = 0xDA
_SCAN = re.compile(rb"\xff\xda")

MOST_SCANS_COUNTED = 10_000


def read(view: memoryview) -> Header:
    """What the segments say. Raises NotAnImage for the lossless and hierarchical kinds.

    Decoders must not find another frame in the file than is found here, since nothing else keeps
    those kinds from them: what they would pass over on their way to one is refused.
    """
    width = height = kind = 0
    for marker, at in _segments(view):
        if marker not in _FRAMES:
            continue
        if marker not in _SEQUENTIAL | _PROGRESSIVE:
            raise NotAnImage("lossless and hierarchical JPEGs are not taken here")
        if kind:
            raise ValueError(f"a second frame at {at}")
        kind, height, width = marker, number(view, ">H", at + 5), number(view, ">H", at + 7)
    if kind not in _PROGRESSIVE:
        return Header("jpeg", width, height, scans=1)
    # In coded data FF is always followed by 00 or a restart marker; a table that happens to hold
    # the two bytes makes the count too high by one, which no bound here is near enough to notice.
    scans = sum(1 for _ in islice(_SCAN.finditer(view, at), MOST_SCANS_COUNTED))
    return Header("jpeg", width, height, scans=scans)


def _segments(view: memoryview) -> Iterator[tuple[int, int]]:
    """The markers that a segment follows and where they stand; the last is the first scan's."""
    at = 2
    walk = Walk()
    while True:
        walk.step()
        marker = view[at + 1]
        if view[at] != 0xFF or marker == 0x00:
            raise ValueError(f"no marker at {at}")
        if marker == 0xD9:
            raise ValueError("ends before the first scan")
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            yield marker, at
            if marker == _SCAN_BEGINS:
                return
            length = number(view, ">H", at + 2)
            if length < 2:
                raise ValueError(f"a segment of length {length} at {at}")
            at += 2 + length
