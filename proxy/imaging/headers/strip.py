"""Strip an original's file of everything but the image: metadata, and bytes after its end.

The coded pixels are copied, so nothing is lost. None means that it is not certain which bytes
belong to the image; there is no stripped file then.
"""

import re
from collections.abc import Callable, Mapping

from proxy.buffers import Buffer
from proxy.errors import ImageTooLarge
from proxy.formats import FormatName
from proxy.imaging.headers.header import ProbeBudget, read_int
from proxy.imaging.headers.isobmff_strip import is_picture_only
from proxy.imaging.headers.png import hides_default


def strip_metadata(original: Buffer, format: FormatName) -> bytes | None:
    """The stripped file, or None."""
    strip = _STRIPPERS.get(format)
    if strip is None:
        return None
    with memoryview(original) as view:
        try:
            return strip(view, ProbeBudget(len(view)))
        except (IndexError, ValueError, ImageTooLarge):
            return None


_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_SEGMENTS = frozenset((0xC0, 0xC1, 0xC2, 0xC4, 0xC9, 0xCA, 0xCC, 0xDB, 0xDD))
"""Frames, tables and restart interval."""
_ADOBE_BYTES = 16
_JFIF = bytes.fromhex("ffe000104a46494600010100000100010000")


def _strip_jpeg(view: memoryview, budget: ProbeBudget) -> bytes | None:
    """Keep tables, frame and scans; of application data only Adobe's, for its color transform."""
    parts = [_JPEG_START]
    offset = 2
    while True:
        budget.count()
        marker = view[offset + 1]
        if view[offset] != 0xFF or marker == 0xFF:
            return None
        if marker == 0xD9:
            return b"".join((*parts, _JPEG_END))
        end = offset + 2 + read_int(view, ">H", offset + 2)
        if marker == 0xDA:
            next_marker = _JPEG_MARKER.search(view, end)
            if next_marker is None:
                return None
            end = next_marker.start()
            parts.append(bytes(view[offset:end]))
        else:
            parts.append(_strip_jpeg_segment(marker, bytes(view[offset:end])))
        offset = end


def _strip_jpeg_segment(marker: int, segment: bytes) -> bytes:
    """What is kept of a segment. Raises ValueError for one that nobody expects."""
    if marker in _JPEG_SEGMENTS:
        return segment
    if marker == 0xE0 and segment[4:9] == b"JFIF\x00":
        return _JFIF
    if marker == 0xEE and segment[4:9] == b"Adobe":
        if len(segment) != _ADOBE_BYTES:
            raise ValueError(f"an Adobe segment of {len(segment)} bytes")
        return segment
    if 0xE0 <= marker <= 0xEF or marker == 0xFE:
        return b""
    raise ValueError(f"segment {marker:#x}")


_PNG_CHUNKS = {b"IHDR": 13, b"PLTE": 768, b"tRNS": 256, b"IDAT": 2**31 - 1, b"IEND": 0}
"""Chunks that belong to the image, and their greatest length."""


def _strip_png(view: memoryview, budget: ProbeBudget) -> bytes | None:
    if hides_default(view, budget):
        return None
    parts, offset = [bytes(view[:8])], 8
    name = b""
    while name != b"IEND":
        budget.count()
        length, name = read_int(view, ">I", offset), bytes(view[offset + 4 : offset + 8])
        end = offset + 12 + length
        if end > len(view):
            raise ValueError("a chunk ends after the file")
        if name in _PNG_CHUNKS:
            if length > _PNG_CHUNKS[name]:
                return None
            parts.append(bytes(view[offset:end]))
        offset = end
    return b"".join(parts)


_WEBP_CHUNKS = (b"VP8 ", b"VP8L", b"ALPH", b"ANIM")
_WEBP_METADATA_FLAGS = 0x20 | 0x08 | 0x04  # profile, EXIF, XMP
_WEBP_LENGTHS = {b"VP8X": 10, b"ANIM": 6}  # bytes


def _strip_webp(view: memoryview, budget: ProbeBudget) -> bytes | None:
    end = 8 + read_int(view, "<I", 4)
    if end > len(view):
        return None
    body = _strip_webp_chunks(view, 12, end, budget)
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def _strip_webp_chunks(view: memoryview, offset: int, end: int, budget: ProbeBudget) -> bytes:
    parts = []
    while offset + 8 <= end:
        budget.count()
        name, length = bytes(view[offset : offset + 4]), read_int(view, "<I", offset + 4)
        if length != _WEBP_LENGTHS.get(name, length):
            raise ValueError(f"a chunk {name!r} of {length} bytes")
        data = view[offset + 8 : offset + 8 + length]
        if name == b"VP8X":
            flags = bytes((data[0] & ~_WEBP_METADATA_FLAGS,))
            parts.append(_webp_chunk(name, flags + bytes(data[1:])))
        elif name == b"ANMF":
            frame = _strip_webp_chunks(view, offset + 8 + 16, offset + 8 + length, budget)
            parts.append(_webp_chunk(name, bytes(data[:16]) + frame))
        elif name in _WEBP_CHUNKS:
            parts.append(_webp_chunk(name, bytes(data)))
        offset += 8 + length + (length & 1)
    return b"".join(parts)


def _webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + b"\x00" * (len(data) & 1)


_GIF_TIMING = re.compile(rb"!\xf9\x04.{4}\x00", re.DOTALL)
_GIF_LOOP_COUNT = re.compile(rb"!\xff\x0bNETSCAPE2\.0\x03\x01..\x00", re.DOTALL)


def _strip_gif(view: memoryview, budget: ProbeBudget) -> bytes:
    """Keep screen, palettes, frames, their timing and the loop count."""
    offset = 13 + _gif_palette_length(view[10])
    parts = [bytes(view[:offset])]
    while view[offset] != 0x3B:
        budget.count()
        if view[offset] == 0x2C:
            data = offset + 11 + _gif_palette_length(view[offset + 9])
            end = _skip_gif_blocks(view, data, budget)
            parts.append(bytes(view[offset:end]))
        elif view[offset] == 0x21:
            end = _skip_gif_blocks(view, offset + 2, budget)
            extension = bytes(view[offset:end])
            if _GIF_TIMING.fullmatch(extension) or _GIF_LOOP_COUNT.fullmatch(extension):
                parts.append(extension)
        else:
            raise ValueError(f"no block begins at {offset}")
        offset = end
    return b"".join((*parts, b"\x3b"))


def _gif_palette_length(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_gif_blocks(view: memoryview, offset: int, budget: ProbeBudget) -> int:
    while length := view[offset]:
        budget.count()
        offset += length + 1
    return offset + 1


def _strip_avif(view: memoryview, budget: ProbeBudget) -> bytes | None:
    return bytes(view) if is_picture_only(view, budget) else None


_STRIPPERS: Mapping[FormatName, Callable[[memoryview, ProbeBudget], bytes | None]] = {
    "jpeg": _strip_jpeg,
    "png": _strip_png,
    "webp": _strip_webp,
    "gif": _strip_gif,
    "avif": _strip_avif,
}
