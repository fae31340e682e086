"""JPEG (ITU-T T.81): segments up to the first scan, then the number of scans."""

import re
from itertools import islice

from proxy.containers.header import Header, Walk, number

_BARE = frozenset((0x01, *range(0xD0, 0xD9)))
_FRAMES = frozenset((*range(0xC0, 0xD0),)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_SCAN = re.compile(rb"\xff\xda")

MOST_SCANS_COUNTED = 10_000


def read(view: memoryview) -> Header:
    width = height = marker_of_frame = 0
    at = 2
    walk = Walk()
    while True:
        walk.step()
        if view[at] != 0xFF:
            raise ValueError(f"no marker at {at}")
        marker = view[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
            continue
        if marker in _BARE:
            at += 2
            continue
        if marker == 0xDA:
            break
        if marker == 0xD9:
            raise ValueError("ends before the first scan")
        if marker in _FRAMES:
            height, width = number(view, ">H", at + 5), number(view, ">H", at + 7)
            marker_of_frame = marker
        length = number(view, ">H", at + 2)
        if length < 2:
            raise ValueError(f"a segment of length {length} at {at}")
        at += 2 + length
    if marker_of_frame not in _PROGRESSIVE:
        return Header("jpeg", width, height, scans=1)
    # In coded data FF is always followed by 00 or a restart marker; a table that happens to hold
    # the two bytes makes the count too high by one, which no bound here is near enough to notice.
    scans = sum(1 for _ in islice(_SCAN.finditer(view, at), MOST_SCANS_COUNTED))
    return Header("jpeg", width, height, scans=scans)
