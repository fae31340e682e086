"""PNG and APNG (W3C PNG, third edition): chunks up to the first pixel data."""

import zlib

from proxy.imaging.headers.header import ImageHeader, StepLimit, read_int

MAX_INFLATED_BYTES = 8 * 1024 * 1024
"""The decompressed size of profiles and texts, all together."""

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Allowed bits a sample, by color type."""


def read_header(view: memoryview) -> ImageHeader:
    if bytes(view[12:16]) != b"IHDR":
        raise ValueError("no IHDR")
    width, height = read_int(view, ">I", 16), read_int(view, ">I", 20)
    depth, color_type, interlace = view[24], view[25], view[28]
    if depth not in _DEPTHS.get(color_type, ()):
        raise ValueError(f"depth {depth} for color type {color_type}")
    frames, offset, limit, inflatable = 1, 33, StepLimit(), MAX_INFLATED_BYTES
    while (name := bytes(view[offset + 4 : offset + 8])) != b"IDAT":
        limit.count()
        length = read_int(view, ">I", offset)
        data = view[offset + 8 : offset + 8 + length]
        if name == b"acTL":
            frames = max(1, read_int(data, ">I", 0))
        elif name in (b"iCCP", b"zTXt", b"iTXt"):
            inflatable -= _inflated_length(bytes(data), inflatable)
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


def _inflated_length(data: bytes, max_bytes: int) -> int:
    """The decompressed length of a chunk; 0 where it is not a zlib stream.

    Raises ValueError beyond ``max_bytes``: a small file could fill the memory.
    """
    start = data.find(b"\x78", data.find(b"\x00") + 1)
    if start < 0:
        return 0
    try:
        length = len(zlib.decompressobj().decompress(data[start:], max_bytes + 1))
    except zlib.error:
        return 0
    if length > max_bytes:
        raise ValueError(f"chunks inflate to more than {MAX_INFLATED_BYTES} bytes")
    return length
