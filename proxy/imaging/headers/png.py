"""PNG and APNG (W3C PNG, third edition): chunks up to the first pixel data."""

import zlib

from proxy.imaging.headers.header import ImageHeader, ProbeBudget, read_int

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Allowed bits a sample, by color type."""


def read_header(view: memoryview, budget: ProbeBudget) -> ImageHeader:
    if bytes(view[12:16]) != b"IHDR":
        raise ValueError("no IHDR")
    width, height = read_int(view, ">I", 16), read_int(view, ">I", 20)
    depth, color_type, interlace = view[24], view[25], view[28]
    if depth not in _DEPTHS.get(color_type, ()):
        raise ValueError(f"depth {depth} for color type {color_type}")
    frames, offset = 1, 33
    while (name := bytes(view[offset + 4 : offset + 8])) != b"IDAT":
        budget.count()
        length = read_int(view, ">I", offset)
        data = view[offset + 8 : offset + 8 + length]
        if name == b"acTL":
            frames = max(1, read_int(data, ">I", 0))
        elif name in (b"iCCP", b"zTXt", b"iTXt"):
            _inflate(_compressed_part(name, bytes(data)), budget)
        elif name in (b"IEND", b""):
            raise ValueError("no pixel data")
        offset += 12 + length
    return ImageHeader(
        "png",
        width,
        height,
        frames=frames,
        animated=frames > 1,
        needs_full_frame=interlace != 0,
    )


def hides_default(view: memoryview, budget: ProbeBudget) -> bool:
    """Whether the picture that decoders without animation show is no part of the animation."""
    is_animated, offset = False, 33
    while (name := bytes(view[offset + 4 : offset + 8])) not in (b"IDAT", b""):
        budget.count()
        if name == b"fcTL":
            return False
        is_animated |= name == b"acTL"
        offset += 12 + read_int(view, ">I", offset)
    return is_animated


def _compressed_part(name: bytes, data: bytes) -> bytes:
    """The zlib stream in a chunk; empty where its text is not compressed."""
    _, _, rest = data.partition(b"\0")
    if name != b"iTXt":
        return rest[1:]  # after the method
    if rest[:1] == b"\0":
        return b""
    _, _, rest = rest[2:].partition(b"\0")  # the language
    return rest.partition(b"\0")[2]  # the translated keyword


_MAX_INPUT, _MAX_OUTPUT = 1024, 65_536  # bytes of one call


def _inflate(stream: bytes, budget: ProbeBudget) -> None:
    """Count what the stream costs to inflate, up to its end or to where it is damaged.

    A decoder inflates it too: a small file could fill the memory.
    """
    inflater = zlib.decompressobj()
    for start in range(0, len(stream), _MAX_INPUT):
        rest = stream[start : start + _MAX_INPUT]
        budget.count_inflated(len(rest))
        while rest and not inflater.eof:
            try:
                inflated = len(inflater.decompress(rest, _MAX_OUTPUT))
            except zlib.error:  # nobody knows how much came out before
                budget.count_inflated(_MAX_OUTPUT)
                return
            budget.count_inflated(inflated)
            rest = inflater.unconsumed_tail
        if inflater.eof:
            return
