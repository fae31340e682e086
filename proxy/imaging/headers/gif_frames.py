"""The frames of a GIF one by one, for those files whose frames leave a part of the canvas empty."""

import struct
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from proxy.imaging.headers.gif import MAX_FRAMES_COUNTED, palette_length, skip_blocks
from proxy.imaging.headers.header import ProbeBudget, read_int

RESTORE_BACKGROUND, RESTORE_PREVIOUS = 2, 3
"""What happens to a frame's rectangle before the next frame; otherwise it stays."""

_TRAILER, _EXTENSION, _IMAGE, _GRAPHIC_CONTROL = 0x3B, 0x21, 0x2C, 0xF9
_TRANSPARENT_FLAG = 0x01

_TRANSPARENT_FRAME = bytes.fromhex(
    "21f904 01000000 00"  # graphic control: color 0 is transparent
    "2c 0000 0000 0100 0100 80 000000 000000"  # 1 x 1 pixel, two colors
    "02 02 4401 00"  # LZW: clear, color 0, end
)


class GifFrame(Struct, frozen=True):
    """``box`` is left, top, right and bottom on the canvas.

    ``control`` and ``image`` are the start and end of its two parts in the file.
    """

    control: tuple[int, int]
    image: tuple[int, int]
    box: tuple[int, int, int, int]
    disposal: int
    has_transparency: bool


def read_frames(view: memoryview) -> list[GifFrame]:
    """Raises ValueError or IndexError where the structure is damaged."""
    budget = ProbeBudget(len(view))
    offset = 13 + palette_length(view[10])
    frames: list[GifFrame] = []
    flags, control = 0, (0, 0)
    while offset < len(view) and view[offset] != _TRAILER and len(frames) < MAX_FRAMES_COUNTED:
        if view[offset] == _EXTENSION:
            end = skip_blocks(view, offset + 2, budget)
            if view[offset + 1] == _GRAPHIC_CONTROL:
                flags, control = view[offset + 3], (offset, end)
        elif view[offset] == _IMAGE:
            left, top, width, height = (read_int(view, "<H", offset + at) for at in (1, 3, 5, 7))
            end = skip_blocks(view, offset + 11 + palette_length(view[offset + 9]), budget)
            if end > len(view) and frames:  # the decoder notices it in the first frame alone
                raise ValueError(f"frame {len(frames) + 1} ends after the file")
            box = left, top, left + width, top + height
            disposal, has_transparency = flags >> 2 & 7, bool(flags & _TRANSPARENT_FLAG)
            frames.append(GifFrame(control, (offset, end), box, disposal, has_transparency))
            flags, control = 0, (0, 0)
        else:
            break
        offset = end
    return frames


def leaves_canvas_empty(frames: Sequence[GifFrame], width: int, height: int) -> bool:
    """Whether a part of the canvas may be empty where no frame declares that for the decoder.

    Empty parts are transparent in browsers. The decoder shows them in a color if the frame that was
    removed, or no frame at all, has a transparent color.
    """

    def covers(frame: GifFrame) -> bool:
        left, top, right, bottom = frame.box
        return not (left or top) and right >= width and bottom >= height

    if not covers(frames[0]) and not any(frame.has_transparency for frame in frames):
        return True
    return any(
        before.disposal == RESTORE_BACKGROUND
        and not before.has_transparency
        and not (covers(after) and not after.has_transparency)
        for before, after in pairwise(frames)
    )


def single_frame_file(view: memoryview, frame: GifFrame, width: int, height: int) -> bytes:
    """A GIF that shows this frame alone, on a canvas of at least this size.

    A second frame, of one transparent pixel, makes decoders add an alpha channel.
    """
    head = bytearray(view[: 13 + palette_length(view[10])])
    struct.pack_into("<HH", head, 6, width, height)
    parts = (view[slice(*frame.control)], view[slice(*frame.image)])
    return b"".join((head, *parts, _TRANSPARENT_FRAME, bytes((_TRAILER,))))
