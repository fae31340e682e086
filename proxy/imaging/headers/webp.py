"""WebP (RIFF): the canvas, and the number of frames on it."""

from proxy.imaging.headers.header import Header, Walk, number


def read(view: memoryview) -> Header:
    name = bytes(view[12:16])
    if name == b"VP8 ":
        return Header("webp", number(view, "<H", 26) & 0x3FFF, number(view, "<H", 28) & 0x3FFF)
    if name == b"VP8L":
        bits = number(view, "<I", 21)
        return Header("webp", (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1)
    if name != b"VP8X":
        raise ValueError(f"chunk {name!r} comes first")
    width = (number(view, "<I", 24) & 0xFFFFFF) + 1
    height = (number(view, "<I", 26) >> 8 & 0xFFFFFF) + 1
    frames, at, end, walk = 0, 12, len(view), Walk()
    while at + 8 <= end:
        walk.step()
        frames += bytes(view[at : at + 4]) == b"ANMF"
        length = number(view, "<I", at + 4)
        at += 8 + length + (length & 1)
    return Header("webp", width, height, frames=max(1, frames), timed=frames > 1)
