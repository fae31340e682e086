"""GIF (89a): the logical screen and the number of frames."""

from proxy.imaging.headers.header import ImageHeader, ProbeBudget, read_int

MAX_FRAMES_COUNTED = 100_000

_TRAILER, _EXTENSION, _IMAGE = 0x3B, 0x21, 0x2C


def read_header(view: memoryview, budget: ProbeBudget) -> ImageHeader:
    width, height = read_int(view, "<H", 6), read_int(view, "<H", 8)
    offset = 13 + palette_length(view[10])
    frames = 0
    # Decoders accept a file without trailer, so the end of the bytes is an end too.
    while offset < len(view) and view[offset] != _TRAILER and frames < MAX_FRAMES_COUNTED:
        budget.count()
        if view[offset] == _EXTENSION:
            offset = skip_blocks(view, offset + 2, budget)
        elif view[offset] == _IMAGE:
            frames += 1
            if offset + 10 > len(view):
                break
            # A frame that is larger than the screen enlarges it.
            width = max(width, read_int(view, "<H", offset + 1) + read_int(view, "<H", offset + 5))
            height = max(
                height, read_int(view, "<H", offset + 3) + read_int(view, "<H", offset + 7)
            )
            data = offset + 11 + palette_length(view[offset + 9])
            offset = skip_blocks(view, data, budget)
        else:
            break  # garbage after the last frame
    if not frames:
        raise ValueError("no frames")
    return ImageHeader(
        "gif", width, height, frames=frames, animated=frames > 1, needs_full_frame=True
    )


def palette_length(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def skip_blocks(view: memoryview, offset: int, budget: ProbeBudget) -> int:
    end = len(view)
    while offset < end and (length := view[offset]):
        budget.count()
        offset += length + 1
    return offset + 1
