"""GIF (89a): the screen and the number of pictures on it."""

from proxy.imaging.headers.header import Header, number

MOST_FRAMES_COUNTED = 100_000


def read(view: memoryview) -> Header:
    width, height = number(view, "<H", 6), number(view, "<H", 8)
    at = 13 + _palette(view[10])
    frames = 0
    # Decoders take what is there when the trailer is missing, so the end of the bytes is an end.
    while at < len(view) and view[at] != 0x3B and frames < MOST_FRAMES_COUNTED:
        if view[at] == 0x21:
            at = _after_blocks(view, at + 2)
        elif view[at] == 0x2C:
            frames += 1
            if at + 10 > len(view):
                break
            # a frame larger than the screen enlarges the screen
            width = max(width, number(view, "<H", at + 1) + number(view, "<H", at + 5))
            height = max(height, number(view, "<H", at + 3) + number(view, "<H", at + 7))
            at = _after_blocks(view, at + 11 + _palette(view[at + 9]))
        else:
            break  # junk after the last frame
    if not frames:
        raise ValueError("no frames")
    return Header("gif", width, height, frames=frames, timed=frames > 1)


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(view: memoryview, at: int) -> int:
    end = len(view)
    while at < end and (length := view[at]):
        at += length + 1
    return at + 1
