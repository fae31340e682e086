"""PNG and APNG (W3C PNG, third edition): chunks up to the first pixel data."""

import zlib

from proxy.imaging.headers.header import Header, Walk, number

MOST_INFLATED = 8 * 1024 * 1024
"""What compressed profiles and texts may grow to, all together, in bytes."""

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def read(view: memoryview) -> Header:
    if bytes(view[12:16]) != b"IHDR":
        raise ValueError("no IHDR")
    width, height = number(view, ">I", 16), number(view, ">I", 20)
    depth, kind, interlace = view[24], view[25], view[28]
    if depth not in _DEPTHS.get(kind, ()):
        raise ValueError(f"depth {depth} for colour type {kind}")
    frames, at, walk, room = 1, 33, Walk(), MOST_INFLATED
    while (name := bytes(view[at + 4 : at + 8])) != b"IDAT":
        walk.step()
        length = number(view, ">I", at)
        data = view[at + 8 : at + 8 + length]
        if name == b"acTL":
            frames = max(1, number(data, ">I", 0))
        elif name in (b"iCCP", b"zTXt", b"iTXt"):
            room -= _inflated(bytes(data), room)
        elif name in (b"IEND", b""):
            raise ValueError("no pixel data")
        at += 12 + length
    interlaced = interlace != 0
    return Header("png", width, height, frames=frames, timed=frames > 1, held=interlaced)


def _inflated(data: bytes, room: int) -> int:
    """What a chunk grows to; what is no zlib stream grows no further.

    Raises ValueError where that is more than there is room for: it would fill the memory.
    """
    start = data.find(b"\x78", data.find(b"\x00") + 1)
    if start < 0:
        return 0
    try:
        grown = len(zlib.decompressobj().decompress(data[start:], room + 1))
    except zlib.error:
        return 0
    if grown > room:
        raise ValueError(f"chunks inflate to more than {MOST_INFLATED} bytes")
    return grown
