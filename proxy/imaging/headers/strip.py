"""Strip an original's file of everything but the image: metadata, and bytes after its end.

The coded pixels are copied, so nothing is lost. None means that it is not certain which bytes
belong to the image; there is no stripped file then.
"""

import re
from collections.abc import Callable, Mapping

from proxy.buffers import Buffer
from proxy.formats import FormatName
from proxy.imaging.headers.header import read_int
from proxy.imaging.headers.isobmff_strip import is_picture_only


def strip_metadata(original: Buffer, format: FormatName) -> bytes | None:
    """The stripped file, or None."""
    strip = _STRIPPERS.get(format)
    if strip is None:
        return None
    with memoryview(original) as view:
        try:
            return strip(view)
        except (IndexError, ValueError):
            return None


_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JFIF = bytes.fromhex("ffe000104a46494600010100000100010000")


def _strip_jpeg(view: memoryview) -> bytes | None:
    """Keep tables, frame and scans; of application data only Adobe's, for its color transform."""
    parts = [_JPEG_START]
    offset = 2
    while True:
        marker = view[offset + 1]
        if view[offset] != 0xFF or marker == 0xFF:
            return None
        if marker == 0xD9:
            return b"".join((*parts, _JPEG_END))
        end = offset + 2 + read_int(view, ">H", offset + 2)
        segment = bytes(view[offset:end])
        is_metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
        is_adobe = marker == 0xEE and segment[4:9] == b"Adobe"
        if marker == 0xE0 and segment[4:9] == b"JFIF\x00":
            parts.append(_JFIF)
        elif marker == 0xDA:
            next_marker = _JPEG_MARKER.search(view, end)
            if next_marker is None:
                return None
            end = next_marker.start()
            parts.append(bytes(view[offset:end]))
        elif is_adobe or not is_metadata:
            parts.append(segment)
        offset = end


_PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def _strip_png(view: memoryview) -> bytes:
    parts, offset = [bytes(view[:8])], 8
    name = b""
    while name != b"IEND":
        name = bytes(view[offset + 4 : offset + 8])
        end = offset + 12 + read_int(view, ">I", offset)
        if end > len(view):
            raise ValueError("a chunk ends after the file")
        if name in _PNG_CHUNKS:
            parts.append(bytes(view[offset:end]))
        offset = end
    return b"".join(parts)


_WEBP_CHUNKS = (b"VP8 ", b"VP8L", b"ALPH", b"ANIM")
_WEBP_METADATA_FLAGS = 0x20 | 0x08 | 0x04  # profile, EXIF, XMP


def _strip_webp(view: memoryview) -> bytes | None:
    end = 8 + read_int(view, "<I", 4)
    if end > len(view):
        return None
    body = _strip_webp_chunks(view, 12, end)
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def _strip_webp_chunks(view: memoryview, offset: int, end: int) -> bytes:
    parts = []
    while offset + 8 <= end:
        name, length = bytes(view[offset : offset + 4]), read_int(view, "<I", offset + 4)
        data = view[offset + 8 : offset + 8 + length]
        if name == b"VP8X":
            flags = bytes((data[0] & ~_WEBP_METADATA_FLAGS,))
            parts.append(_webp_chunk(name, flags + bytes(data[1:])))
        elif name == b"ANMF":
            frame = _strip_webp_chunks(view, offset + 8 + 16, offset + 8 + length)
            parts.append(_webp_chunk(name, bytes(data[:16]) + frame))
        elif name in _WEBP_CHUNKS:
            parts.append(_webp_chunk(name, bytes(data)))
        offset += 8 + length + (length & 1)
    return b"".join(parts)


def _webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + b"\x00" * (len(data) & 1)


def _strip_gif(view: memoryview) -> bytes:
    """Keep screen, palettes, frames, their timing and the loop count."""
    offset = 13 + _gif_palette_length(view[10])
    parts = [bytes(view[:offset])]
    while view[offset] != 0x3B:
        if view[offset] == 0x2C:
            end = _skip_gif_blocks(view, offset + 11 + _gif_palette_length(view[offset + 9]))
            parts.append(bytes(view[offset:end]))
        elif view[offset] == 0x21:
            end = _skip_gif_blocks(view, offset + 2)
            is_timing = view[offset + 1] == 0xF9
            is_loop_count = bytes(view[offset + 3 : offset + 14]) == b"NETSCAPE2.0"
            if is_timing or is_loop_count:
                parts.append(bytes(view[offset:end]))
        else:
            raise ValueError(f"no block begins at {offset}")
        offset = end
    return b"".join((*parts, b"\x3b"))


def _gif_palette_length(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_gif_blocks(view: memoryview, offset: int) -> int:
    while length := view[offset]:
        offset += length + 1
    return offset + 1


def _strip_avif(view: memoryview) -> bytes | None:
    return bytes(view) if is_picture_only(view) else None


_STRIPPERS: Mapping[FormatName, Callable[[memoryview], bytes | None]] = {
    "jpeg": _strip_jpeg,
    "png": _strip_png,
    "webp": _strip_webp,
    "gif": _strip_gif,
    "avif": _strip_avif,
}
