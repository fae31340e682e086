"""Copyright and author in EXIF (CIPA DC-008), whose structure is that of TIFF."""

import struct
from collections.abc import Mapping

from proxy.buffers import Buffer
from proxy.imaging.copyright.notice import EXIF_TAGS, MAX_TEXT_LENGTH, decode_text
from proxy.imaging.headers.header import read_int

PREFIX = b"Exif\0\0"

_BYTE_TYPES = (1, 2, 7, 129)  # bytes, ASCII, undefined, UTF-8
_ENTRY_BYTES, _INLINE_BYTES = 12, 4
_ASCII, _MAGIC = 2, 42
_MAX_ENTRIES = 1000


def read_exif(data: Buffer) -> dict[int, str]:
    """The texts of the first directory, by tag. Raises ValueError where it is damaged.

    An inner NUL, which separates photographer and editor, stays.
    """
    view = memoryview(data)
    if bytes(view[: len(PREFIX)]) == PREFIX:
        view = view[len(PREFIX) :]
    order = {b"II": "<", b"MM": ">"}.get(bytes(view[:2]))
    if order is None or read_int(view, order + "H", 2) != _MAGIC:
        raise ValueError("no TIFF structure")
    directory = read_int(view, order + "I", 4)
    texts = {}
    for index in range(min(read_int(view, order + "H", directory), _MAX_ENTRIES)):
        entry = directory + 2 + _ENTRY_BYTES * index
        tag, kind = (read_int(view, order + "H", entry + at) for at in (0, 2))
        if tag not in EXIF_TAGS or kind not in _BYTE_TYPES:
            continue
        length, start = read_int(view, order + "I", entry + 4), entry + 8
        if length > _INLINE_BYTES:
            start = read_int(view, order + "I", start)
        text = decode_text(bytes(view[start : start + length]).rstrip(b"\0")).strip(" ")
        if text:
            texts[tag] = text[:MAX_TEXT_LENGTH]
    return texts


def write_exif(texts: Mapping[int, str]) -> bytes:
    """EXIF with these texts alone, without the prefix."""
    values = {tag: texts[tag].encode() + b"\0" for tag in sorted(texts)}
    offset = 8 + 2 + _ENTRY_BYTES * len(values) + 4
    entries, data = b"", b""
    for tag, value in values.items():
        entries += struct.pack("<HHI", tag, _ASCII, len(value))
        if len(value) <= _INLINE_BYTES:
            entries += value.ljust(_INLINE_BYTES, b"\0")
        else:
            entries += struct.pack("<I", offset + len(data))
            data += value + bytes(len(value) % 2)
    return b"".join((b"II*\0\x08\0\0\0", struct.pack("<H", len(values)), entries, bytes(4), data))
