"""HDR gain maps of JPEG (Ultra HDR, ISO 21496-1): read one, and write one with a finished JPEG.

A gain map is a second, smaller picture. It says how much brighter each pixel is on an HDR screen;
other screens and programs show the first one. libvips reads and writes its values by libultrahdr.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyvips
from msgspec import Struct

from proxy.buffers import Buffer
from proxy.errors import BrokenImage
from proxy.geometry import Size
from proxy.imaging.headers import ImageHeader, ProbeBudget, probe
from proxy.imaging.headers.jpeg import START_OF_SCAN, segments
from proxy.imaging.metadata import get_field

_DATA = "gainmap-data"
_KEEP_GAIN_MAP = 32
"""libvips' flag."""

_QUALITY = 85
_ISO_VERSION = b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)
"""What the first picture says: there is a gain map of version 0 (ISO 21496-1, annex C)."""


class GainMap(Struct, frozen=True):
    """``image`` has as many pixels as its picture, in three bands.

    ``scale`` is how many pixels a side it had for one of the whole picture, ``is_gray`` whether it
    had one band. ``fields`` are libvips' fields that say what its pixels mean.
    """

    image: pyvips.Image
    scale: float
    is_gray: bool
    fields: Mapping[str, tuple[int, Any]]


class GainMapFile(NamedTuple):
    """A gain map as it lies in its original: a JPEG, and libvips' fields."""

    body: bytes
    header: ImageHeader
    fields: Mapping[str, tuple[int, Any]]


def read_gain_map(original: Buffer, header: ImageHeader) -> GainMapFile | None:
    """The gain map of a JPEG, None where there is none. No pixel is decoded.

    Raises BrokenImage for one that is no JPEG, or is larger than its picture.
    """
    try:
        picture = pyvips.Image.uhdrload_buffer(memoryview(original))
    except pyvips.Error:
        return None  # there is none, or nothing that an HDR screen would show
    data: Any = get_field(picture, _DATA)
    if data is None:
        return None
    inner = probe(data)
    if inner.format != "jpeg" or inner.width > header.width or inner.height > header.height:
        raise BrokenImage("the gain map is no jpeg, or larger than its picture")
    fields = {
        name: (picture.get_typeof(name), picture.get(name))
        for name in picture.get_fields()
        if name.startswith("gainmap-") and name != _DATA
    }
    return GainMapFile(data, inner, fields)


def write_gain_map(body: bytes, gain_map: GainMap, size: Size) -> bytes:
    """The finished JPEG of this size, with the gain map behind it."""
    second = _encode(gain_map, size)
    version = _segment(_ISO_VERSION)
    start = next(offset for marker, offset in _segments(body) if marker not in _APPLICATION)
    first_bytes = len(body) + len(version) + len(_segment(_index(0, 0, 0)))
    # Offsets count from behind the name of the index's segment.
    index_start = start + len(version) + 8
    index = _segment(_index(first_bytes, len(second), first_bytes - index_start))
    return b"".join((body[:start], version, index, body[start:], second))


def _encode(gain_map: GainMap, size: Size) -> bytes:
    """The second picture, with the values that say what its pixels mean."""
    scale = min(1.0, gain_map.scale)
    width, height = (max(1, round(side * scale)) for side in (size.width, size.height))
    image = gain_map.image
    image = image.resize(width / image.width, vscale=height / image.height)
    image = image[0].copy(interpretation="b-w") if gain_map.is_gray else image
    # libultrahdr writes them into the second picture of any file, however small the first one is.
    carrier = pyvips.Image.black(8, 8, bands=3).copy(interpretation="srgb")
    for name, (kind, value) in gain_map.fields.items():
        carrier.set_type(kind, name, value)
    data: Any = image.jpegsave_buffer(Q=_QUALITY, optimize_coding=True, keep=0)
    carrier.set_type(pyvips.GValue.blob_type, _DATA, data)
    file = bytes(carrier.uhdrsave_buffer(keep=_KEEP_GAIN_MAP))
    scan = next(offset for marker, offset in _segments(file) if marker == START_OF_SCAN)
    return file[file.index(_END_AND_START, scan) + 2 :]


_END_AND_START = b"\xff\xd9\xff\xd8"
_APPLICATION = range(0xE0, 0xF0)


def _segments(body: bytes) -> Iterator[tuple[int, int]]:
    return segments(memoryview(body), ProbeBudget(len(body)))


def _segment(content: bytes) -> bytes:
    return b"\xff\xe2" + struct.pack(">H", len(content) + 2) + content


def _index(first_bytes: int, second_bytes: int, second_offset: int) -> bytes:
    """Where the two pictures are: the multi-picture index of CIPA DC-007."""
    entries = struct.pack("<5I", _PRIMARY, first_bytes, 0, 0, 0)[:16]
    entries += struct.pack("<5I", 0, second_bytes, second_offset, 0, 0)[:16]
    return b"".join(
        (
            b"MPF\0II*\0" + struct.pack("<IH", 8, 3),
            struct.pack("<HHI4s", 0xB000, 7, 4, b"0100"),
            struct.pack("<HHII", 0xB001, 4, 1, 2),
            struct.pack("<HHIII", 0xB002, 7, len(entries), 50, 0),
            entries,
        )
    )


_PRIMARY = 0x030000
