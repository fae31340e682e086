"""WebP (RIFF): the canvas, and the number of frames."""

from proxy.imaging.headers.header import ImageHeader, ProbeBudget, read_int


def read_header(view: memoryview, budget: ProbeBudget) -> ImageHeader:
    name = bytes(view[12:16])
    if name == b"VP8 ":
        width, height = read_int(view, "<H", 26) & 0x3FFF, read_int(view, "<H", 28) & 0x3FFF
        return ImageHeader("webp", width, height, needs_full_frame=True)
    if name == b"VP8L":
        bits = read_int(view, "<I", 21)
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
        return ImageHeader("webp", width, height, needs_full_frame=True, lossless=True)
    if name != b"VP8X":
        raise ValueError(f"chunk {name!r} comes first")
    width = (read_int(view, "<I", 24) & 0xFFFFFF) + 1
    height = (read_int(view, "<I", 26) >> 8 & 0xFFFFFF) + 1
    frames, offset, end, lossless = 0, 12, len(view), False
    while offset + 8 <= end:
        budget.count()
        name = bytes(view[offset : offset + 4])
        frames += name == b"ANMF"
        lossless |= name == b"VP8L"
        length = read_int(view, "<I", offset + 4)
        offset += 8 + length + (length & 1)
    return ImageHeader(
        "webp",
        width,
        height,
        frames=max(1, frames),
        animated=frames > 1,
        needs_full_frame=True,
        lossless=lossless,
    )
