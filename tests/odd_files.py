"""Draw files that are odd and that browsers show: GIFs frame by frame, TIFFs by directories."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pictures

PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))


class GifFrame(NamedTuple):
    """A rectangle of one color of the palette; ``transparent`` is the color that is not drawn."""

    box: tuple[int, int, int, int]
    color: int
    disposal: int = 0
    transparent: int | None = None


def gif(width: int, height: int, frames: Sequence[GifFrame]) -> bytes:
    parts = [b"GIF89a", struct.pack("<HHBBB", width, height, 0x81, 0, 0)]
    parts += [bytes(color) for color in PALETTE]
    for frame in frames:
        left, top, right, bottom = frame.box
        flags = frame.disposal << 2 | (frame.transparent is not None)
        parts.append(struct.pack("<BBBBHBB", 0x21, 0xF9, 4, flags, 10, frame.transparent or 0, 0))
        parts.append(struct.pack("<BHHHHB", 0x2C, left, top, right - left, bottom - top, 0))
        parts.append(_lzw([frame.color] * ((right - left) * (bottom - top))))
    return b"".join((*parts, b";"))


def _lzw(indexes: Sequence[int]) -> bytes:
    """Codes of three bits; the table is cleared before it needs longer ones."""
    codes: list[int] = []
    for start in range(0, len(indexes), 2):
        codes += (4, *indexes[start : start + 2])
    codes.append(5)
    bits = sum(code << 3 * position for position, code in enumerate(codes))
    data = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
    blocks = [data[start : start + 255] for start in range(0, len(data), 255)]
    return b"".join((b"\2", *(bytes((len(block),)) + block for block in blocks), b"\0"))


def shown_frames(width: int, height: int, frames: Sequence[GifFrame]) -> list[pictures.Pixels]:
    """What browsers show, RGBA: empty canvas is transparent."""
    canvas = np.zeros((height, width, 4), np.uint8)
    shown = []
    for frame in frames:
        left, top, right, bottom = frame.box
        before = canvas.copy()
        if frame.color != frame.transparent:
            canvas[top:bottom, left:right] = (*PALETTE[frame.color], 255)
        shown.append(canvas.copy())
        if frame.disposal == 2:
            canvas[top:bottom, left:right] = 0
        elif frame.disposal == 3:
            canvas = before
    return shown


class Directory(NamedTuple):
    """A plain picture of one color in a TIFF; ``kind`` is the NewSubfileType."""

    width: int
    height: int
    color: tuple[int, int, int]
    kind: int = 0
    photometric: int = 2
    orientation: int | None = None
    inside: "tuple[Directory, ...]" = ()


def tiff(*directories: Directory, byte_order: str = "<") -> bytes:
    """The directories in a chain; those that are ``inside`` one are its sub-directories."""
    body = bytearray(struct.pack(byte_order + "2sHI", b"II" if byte_order == "<" else b"MM", 42, 0))
    link = 4
    for directory in directories:
        offset, next_link = _append(body, directory, byte_order)
        struct.pack_into(byte_order + "I", body, link, offset)
        link = next_link
    return bytes(body)


def _append(body: bytearray, directory: Directory, order: str) -> tuple[int, int]:
    """Offset of the directory, and where the offset of the next one stands."""
    inner = [_append(body, each, order)[0] for each in directory.inside]
    pixels = len(body)
    body += bytes(directory.color) * (directory.width * directory.height)
    depths = len(body)
    body += struct.pack(order + "HHH", 8, 8, 8)
    offsets = len(body)
    body += b"".join(struct.pack(order + "I", offset) for offset in inner)
    size = directory.width * directory.height * 3
    entries = [
        (254, 4, 1, directory.kind),
        (256, 4, 1, directory.width),
        (257, 4, 1, directory.height),
        (258, 3, 3, depths),
        (259, 3, 1, 1),
        (262, 3, 1, directory.photometric),
        (273, 4, 1, pixels),
        (277, 3, 1, 3),
        (278, 4, 1, directory.height),
        (279, 4, 1, size),
    ]
    if directory.orientation is not None:
        entries.append((274, 3, 1, directory.orientation))
    if inner:
        entries.append((330, 4, len(inner), inner[0] if len(inner) == 1 else offsets))
    body += bytes(len(body) % 2)
    start = len(body)
    body += struct.pack(order + "H", len(entries))
    for tag, kind, count, value in sorted(entries):
        short = kind == 3 and count == 1
        body += struct.pack(order + ("HHIHxx" if short else "HHII"), tag, kind, count, value)
    body += bytes(4)
    return start, len(body) - 4
