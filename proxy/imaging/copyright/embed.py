"""Write a copyright notice into finished files: JPEG, PNG, WebP and GIF.

Encoders of other formats take EXIF and XMP themselves.
"""

import struct
import zlib
from collections.abc import Callable, Mapping

from proxy.formats import FormatName
from proxy.imaging.copyright import exif, iptc, xmp
from proxy.imaging.copyright.notice import (
    ARTIST,
    BY_LINE,
    COPYRIGHT,
    COPYRIGHT_NOTICE,
    CREDIT,
    SOURCE,
    CopyrightNotice,
    decode_text,
)
from proxy.imaging.headers.header import read_int

_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
_APP1, _APP13 = 0xE1, 0xED


def exif_bytes(notice: CopyrightNotice) -> bytes:
    """The notice's EXIF without prefix; empty without any."""
    return exif.write_exif(notice.exif) if notice.exif else b""


def xmp_bytes(notice: CopyrightNotice, *, with_iptc: bool = True, with_exif: bool = False) -> bytes:
    """The notice's XMP; empty without any.

    ``with_iptc`` and ``with_exif`` add what stands there and not in XMP.
    """
    creators: list[str] = []
    additions: dict[str, list[str]] = {}
    if with_iptc:
        texts = [
            (number, value.decode(errors="replace") if notice.iptc_is_utf8 else decode_text(value))
            for number, value in notice.iptc
        ]
        creators = [text for number, text in texts if number == BY_LINE]
        additions = {
            name: [text for number, text in texts if number == dataset]
            for name, dataset in _PROPERTIES.items()
        }
    if with_exif:
        creators = creators or _texts(notice, ARTIST)
        additions[xmp.RIGHTS] = additions.get(xmp.RIGHTS) or _texts(notice, COPYRIGHT)
    additions[xmp.CREATOR] = creators
    if not notice.xmp and not any(additions.values()):
        return b""
    return xmp.write_xmp(notice.xmp, additions)


def embed(body: bytes, format: FormatName, notice: CopyrightNotice) -> bytes:
    """The file with the notice; as it is where its encoder has taken it already."""
    writer = _WRITERS.get(format)
    return body if writer is None else writer(body, notice)


_PROPERTIES: Mapping[str, int] = {
    xmp.RIGHTS: COPYRIGHT_NOTICE,
    xmp.CREDIT: CREDIT,
    xmp.SOURCE: SOURCE,
}


def _texts(notice: CopyrightNotice, tag: int) -> list[str]:
    """XML has no NUL, which separates photographer and editor in EXIF."""
    return [notice.exif[tag].replace("\0", "; ")] if tag in notice.exif else []


def _embed_jpeg(body: bytes, notice: CopyrightNotice) -> bytes:
    segments = []
    if data := exif_bytes(notice):
        segments.append((_APP1, exif.PREFIX + data))
    if data := xmp_bytes(notice, with_iptc=False):
        segments.append((_APP1, _XMP_SEGMENT + data))
    if notice.iptc:
        segments.append((_APP13, iptc.write_iptc(notice.iptc, is_utf8=notice.iptc_is_utf8)))
    written = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in segments
    )
    start = 2
    if body[2:4] == b"\xff\xe0":  # JFIF stays first
        start = 4 + int.from_bytes(body[4:6], "big")
    return body[:start] + written + body[start:]


def _embed_png(body: bytes, notice: CopyrightNotice) -> bytes:
    chunks = b""
    if data := exif_bytes(notice):
        chunks += _png_chunk(b"eXIf", data)
    if data := xmp_bytes(notice):
        chunks += _png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + data)
    after_header = 33
    return body[:after_header] + chunks + body[after_header:]


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


_WEBP_XMP, _WEBP_EXIF, _WEBP_ALPHA = 0x04, 0x08, 0x10


def _embed_webp(body: bytes, notice: CopyrightNotice) -> bytes:
    exif_data, xmp_data = exif_bytes(notice), xmp_bytes(notice)
    flags = (_WEBP_EXIF if exif_data else 0) | (_WEBP_XMP if xmp_data else 0)
    chunks = body[12:]
    if chunks[:4] == b"VP8X":
        head, rest = bytearray(chunks[:18]), chunks[18:]
        head[8] |= flags
    else:
        width, height, has_alpha = _read_simple_webp(memoryview(body))
        head = bytearray(b"VP8X" + struct.pack("<II", 10, flags | _WEBP_ALPHA * has_alpha))
        head += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        rest = chunks
    parts = [bytes(head), rest, _webp_chunk(b"EXIF", exif_data), _webp_chunk(b"XMP ", xmp_data)]
    content = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _read_simple_webp(view: memoryview) -> tuple[int, int, bool]:
    """Width, height, and whether there is alpha, of a file with one chunk."""
    if bytes(view[12:16]) == b"VP8L":
        bits = read_int(view, "<I", 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    return read_int(view, "<H", 26) & 0x3FFF, read_int(view, "<H", 28) & 0x3FFF, False


def _webp_chunk(name: bytes, data: bytes) -> bytes:
    if not data:
        return b""
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


_GIF_MAGIC_TRAILER = bytes((1, *range(255, -1, -1), 0))
"""Ends the packet, which is not in blocks, for readers that take it for blocks (XMP, part 3)."""


def _embed_gif(body: bytes, notice: CopyrightNotice) -> bytes:
    data = xmp_bytes(notice, with_exif=True)
    if not data:
        return body
    extension = b"\x21\xff\x0bXMP DataXMP" + data + _GIF_MAGIC_TRAILER
    return body[:-1] + extension + body[-1:]


_WRITERS: Mapping[FormatName, Callable[[bytes, CopyrightNotice], bytes]] = {
    "jpeg": _embed_jpeg,
    "png": _embed_png,
    "webp": _embed_webp,
    "gif": _embed_gif,
}
