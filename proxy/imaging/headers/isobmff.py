"""AVIF and HEIF (ISO/IEC 23008-12): the extents that the item properties declare."""

from collections.abc import Iterator

from proxy.formats import sniff
from proxy.imaging.headers.header import Header, Walk, number

_HOLDERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0}
"""Boxes that hold boxes, and how many bytes of their own stand before these."""


def read(view: memoryview) -> Header:
    form = sniff(bytes(view[:1024]))
    if form is None:
        raise ValueError("no brand")
    extents = [
        (number(view, ">I", at + 4), number(view, ">I", at + 8))
        for name, at, _ in _boxes(view, 0, len(view), 0, Walk())
        if name == b"ispe"
    ]
    if not extents:
        raise ValueError("no extent is declared")
    # Tiles and thumbnails declare theirs too; the picture itself is the largest.
    width, height = max(extents, key=lambda extent: extent[0] * extent[1])
    return Header(form.name, width, height, held=True)


def _boxes(
    view: memoryview, at: int, end: int, depth: int, walk: Walk
) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and end of every box's content, holders opened."""
    while at + 8 <= end:
        walk.step()
        length, name, start = number(view, ">I", at), bytes(view[at + 4 : at + 8]), at + 8
        if length == 1:
            length, start = number(view, ">Q", at + 8), at + 16
        stop = end if length == 0 else at + length
        if stop < start:
            raise ValueError(f"a box of length {length} at {at}")
        stop = min(stop, end)
        yield name, start, stop
        if name in _HOLDERS and depth < 8:
            yield from _boxes(view, start + _HOLDERS[name], stop, depth + 1, walk)
        at = stop
