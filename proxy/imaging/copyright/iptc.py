"""Copyright and author in IPTC (IIM 4.2), which Photoshop wraps in resources."""

import struct
from collections.abc import Iterator, Sequence

from proxy.buffers import Buffer
from proxy.imaging.copyright.notice import IPTC_NUMBERS, MAX_IPTC_TEXTS, MAX_TEXT_LENGTH
from proxy.imaging.headers.header import read_int

PHOTOSHOP = b"Photoshop 3.0\0"

_IPTC_RESOURCE = 0x0404
_TAG = 0x1C
_ENVELOPE, _APPLICATION = 1, 2  # records
_CHARACTER_SET, _VERSION = 90, 0
_UTF8 = b"\x1b%G"
_MAX_DATASETS = 2000


def read_iptc(data: Buffer) -> tuple[tuple[tuple[int, bytes], ...], bool]:
    """The data sets that are kept, and whether they are declared to be UTF-8.

    Raises ValueError where the structure is damaged.
    """
    kept, is_utf8 = [], False
    for record, number, value in _read_datasets(memoryview(_find_iptc(bytes(data)))):
        if (record, number) == (_ENVELOPE, _CHARACTER_SET):
            is_utf8 = value == _UTF8
        elif record == _APPLICATION and number in IPTC_NUMBERS and value.strip(b" \0"):
            kept.append((number, value[:MAX_TEXT_LENGTH]))
    return tuple(kept[:MAX_IPTC_TEXTS]), is_utf8


def write_iptc(datasets: Sequence[tuple[int, bytes]], *, is_utf8: bool) -> bytes:
    """The data sets in a resource of Photoshop, as a JPEG holds them."""
    every = [(_ENVELOPE, _CHARACTER_SET, _UTF8)] if is_utf8 else []
    every += [(_APPLICATION, _VERSION, b"\0\4")]
    every += [(_APPLICATION, number, value) for number, value in datasets]
    iptc = b"".join(
        struct.pack(">BBBH", _TAG, record, number, len(value)) + value
        for record, number, value in every
    )
    head = struct.pack(">4sHHI", b"8BIM", _IPTC_RESOURCE, 0, len(iptc))
    return PHOTOSHOP + head + iptc + bytes(len(iptc) % 2)


def _find_iptc(data: bytes) -> bytes:
    """The IPTC in a list of Photoshop's resources, or the data itself where it is bare."""
    if not data.startswith((PHOTOSHOP, b"8BIM")):
        return data
    view, offset = memoryview(data), len(PHOTOSHOP) if data.startswith(PHOTOSHOP) else 0
    while bytes(view[offset : offset + 4]) == b"8BIM":
        resource, name_length = read_int(view, ">H", offset + 4), view[offset + 6]
        start = offset + 7 + name_length + (name_length + 1) % 2
        length = read_int(view, ">I", start)
        if resource == _IPTC_RESOURCE:
            return bytes(view[start + 4 : start + 4 + length])
        offset = start + 4 + length + length % 2
    return b""


def _read_datasets(view: memoryview) -> Iterator[tuple[int, int, bytes]]:
    """Record, number and value."""
    offset = 0
    for _ in range(_MAX_DATASETS):
        if offset + 5 > len(view) or view[offset] != _TAG:
            return
        record, number, length = struct.unpack_from(">BBH", view, offset + 1)
        if length & 0x8000:
            return  # a longer one, which no text needs
        yield record, number, bytes(view[offset + 5 : offset + 5 + length])
        offset += 5 + length
