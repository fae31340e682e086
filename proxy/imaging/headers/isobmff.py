"""AVIF and HEIF (ISO/IEC 23008-12): the sizes that items and tracks declare, and the frames."""

from collections.abc import Iterator

from proxy.formats import sniff
from proxy.imaging.headers.header import ImageHeader, ProbeBudget, read_int

_CONTAINERS = {
    **dict.fromkeys((b"iprp", b"ipco", b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl"), 0),
    b"meta": 4,
    b"stsd": 8,
    b"av01": 78,
}
"""Boxes that contain boxes, and the number of bytes before these."""

_MAX_DEPTH = 8

_SEQUENCE_BRAND = b"avis"

_TIMES = (b"tkhd", b"elst")
"""Boxes whose times have 8 bytes in version 1, and 4 in version 0."""

_REPEATS, _MAX_LOOP_COUNT = 1, 65_535


def read_header(view: memoryview, budget: ProbeBudget) -> ImageHeader:
    format = sniff(bytes(view[:1024]))
    if format is None:
        raise ValueError("no brand")
    sizes: list[tuple[int, int]] = []
    frames, handler = 1, b""
    for name, start, end in boxes(view, budget):
        if name == b"ispe":
            sizes.append((read_int(view, ">I", start + 4), read_int(view, ">I", start + 8)))
        elif name == b"tkhd":
            # Whole pixels; the fraction after them is always 0.
            sizes.append((read_int(view, ">H", end - 8), read_int(view, ">H", end - 4)))
        elif name == b"hdlr":
            handler = bytes(view[start + 8 : start + 12])
        elif name == b"stsz" and handler == b"pict":
            frames = max(frames, read_int(view, ">I", start + 8))
    if not sizes:
        raise ValueError("no size is declared")
    # Tiles and thumbnails declare a size too; the image itself is the largest.
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    if format.name != "avif" or bytes(view[8:12]) != _SEQUENCE_BRAND:
        frames = 1  # decoders show the still picture
    return ImageHeader(
        format.name, width, height, frames=frames, animated=frames > 1, needs_full_frame=True
    )


def read_loop_count(view: memoryview, budget: ProbeBudget) -> int:
    """How often an image sequence is played; 0 is forever.

    The edit list is one pass, which is repeated until the track ends (ISO/IEC 14496-12, 8.6.6).
    """
    track_duration: int | None = None
    for name, start, _ in boxes(view, budget):
        is_long = name in _TIMES and view[start] == 1
        number, width = (">Q", 8) if is_long else (">I", 4)
        if name == b"tkhd":
            duration = read_int(view, number, start + 12 + 2 * width)
            track_duration = None if duration == 256**width - 1 else duration
        elif name == b"elst":
            if not view[start + 3] & _REPEATS:
                return 1
            once = read_int(view, number, start + 8)
            if track_duration is None or not once:
                return 0
            return min(_MAX_LOOP_COUNT, -(-track_duration // once))
    return 0


def boxes(view: memoryview, budget: ProbeBudget) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of every box, also of those in containers."""
    return _boxes(view, 0, len(view), 0, budget)


def _boxes(
    view: memoryview, offset: int, end: int, depth: int, budget: ProbeBudget
) -> Iterator[tuple[bytes, int, int]]:
    while offset + 8 <= end:
        budget.count()
        length = read_int(view, ">I", offset)
        name, start = bytes(view[offset + 4 : offset + 8]), offset + 8
        if length == 1:
            length, start = read_int(view, ">Q", offset + 8), offset + 16
        stop = end if length == 0 else offset + length
        if stop < start:
            raise ValueError(f"a box of length {length} at {offset}")
        stop = min(stop, end)
        yield name, start, stop
        if name in _CONTAINERS and depth < _MAX_DEPTH:
            yield from _boxes(view, start + _CONTAINERS[name], stop, depth + 1, budget)
        offset = stop
