"""An original's file with nothing in it but the picture: no metadata, nothing after its end.

The coded pixels are copied as they are, so nothing is lost. None means that it cannot be told what
is picture and what is not; then there is no such file.
"""

import re
from collections.abc import Callable, Mapping

from proxy.buffers import Buffer
from proxy.formats import Name
from proxy.imaging.headers.header import number
from proxy.imaging.headers.isobmff_strip import only_picture


def bare(original: Buffer, form: Name) -> bytes | None:
    """The stripped file, or None."""
    strip = _STRIPPERS.get(form)
    if strip is None:
        return None
    with memoryview(original) as view:
        try:
            return strip(view)
        except (IndexError, ValueError):
            return None


_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_JPEG_OTHERS = frozenset((*range(0xE0, 0xF0), 0xFE))  # applications' segments and comments
_JFIF = bytes.fromhex("ffe000104a46494600010100000100010000")


def _jpeg(view: memoryview) -> bytes | None:
    """Tables, frame and scans; of applications only Adobe's, which names the colour transform."""
    kept = [b"\xff\xd8"]
    at = 2
    while True:
        marker = view[at + 1]
        if view[at] != 0xFF or marker == 0xFF:
            return None
        if marker == 0xD9:
            return b"".join((*kept, b"\xff\xd9"))
        end = at + 2 + number(view, ">H", at + 2)
        segment = bytes(view[at:end])
        if marker == 0xE0 and segment[4:9] == b"JFIF\x00":
            kept.append(_JFIF)
        elif marker == 0xDA:
            following = _JPEG_MARKER.search(view, end)
            if following is None:
                return None
            end = following.start()
            kept.append(bytes(view[at:end]))
        elif (marker == 0xEE and segment[4:9] == b"Adobe") or (
            not 0xE0 <= marker <= 0xEF and marker != 0xFE
        ):
            kept.append(segment)
        at = end


_PNG_PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def _png(view: memoryview) -> bytes:
    kept, at = [bytes(view[:8])], 8
    name = b""
    while name != b"IEND":
        name, end = bytes(view[at + 4 : at + 8]), at + 12 + number(view, ">I", at)
        if end > len(view):
            raise ValueError("a chunk ends after the file")
        if name in _PNG_PICTURE:
            kept.append(bytes(view[at:end]))
        at = end
    return b"".join(kept)


_WEBP_PICTURE = (b"VP8 ", b"VP8L", b"ALPH", b"ANIM")
_WEBP_METADATA_FLAGS = 0x20 | 0x08 | 0x04  # profile, EXIF, XMP


def _webp(view: memoryview) -> bytes | None:
    end = 8 + number(view, "<I", 4)
    if end > len(view):
        return None
    body = _webp_chunks(view, 12, end)
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def _webp_chunks(view: memoryview, at: int, end: int) -> bytes:
    kept = []
    while at + 8 <= end:
        name, length = bytes(view[at : at + 4]), number(view, "<I", at + 4)
        data = view[at + 8 : at + 8 + length]
        if name == b"VP8X":
            flags = bytes((data[0] & ~_WEBP_METADATA_FLAGS,))
            kept.append(_webp_chunk(name, flags + bytes(data[1:])))
        elif name == b"ANMF":
            frame = _webp_chunks(view, at + 8 + 16, at + 8 + length)
            kept.append(_webp_chunk(name, bytes(data[:16]) + frame))
        elif name in _WEBP_PICTURE:
            kept.append(_webp_chunk(name, bytes(data)))
        at += 8 + length + (length & 1)
    return b"".join(kept)


def _webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + b"\x00" * (len(data) & 1)


def _gif(view: memoryview) -> bytes:
    """Screen, palettes, frames, their timing and the number of loops."""
    at = 13 + _gif_palette(view[10])
    kept = [bytes(view[:at])]
    while view[at] != 0x3B:
        if view[at] == 0x2C:
            end = _gif_blocks(view, at + 11 + _gif_palette(view[at + 9]))
            kept.append(bytes(view[at:end]))
        elif view[at] == 0x21:
            end = _gif_blocks(view, at + 2)
            timing = view[at + 1] == 0xF9
            if timing or bytes(view[at + 3 : at + 14]) == b"NETSCAPE2.0":
                kept.append(bytes(view[at:end]))
        else:
            raise ValueError(f"no block begins at {at}")
        at = end
    return b"".join((*kept, b"\x3b"))


def _gif_palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_blocks(view: memoryview, at: int) -> int:
    while length := view[at]:
        at += length + 1
    return at + 1


_STRIPPERS: Mapping[Name, Callable[[memoryview], bytes | None]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "gif": _gif,
    "avif": only_picture,
}
