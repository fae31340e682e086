"""TIFF 6.0 and BigTIFF: the chain of directories, and which of them are pages.

A directory may be a small version of a picture that is in another one: in a chain before or after
it, or in a sub-directory, as in DNG. Such a thumbnail is no page, unless nothing larger can be
shown. Sensor data cannot be shown; DNG has a preview beside it.
"""

import struct
from collections.abc import Iterator, Mapping
from itertools import chain

from msgspec import Struct

from proxy.imaging.headers.header import ImageHeader, ProbeBudget, read_int

MAX_PAGES_COUNTED = 10_000
_MAX_VALUES = 16  # of one entry

_NEW_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _WIDTH, _HEIGHT = 254, 255, 256, 257
_BITS, _PHOTOMETRIC, _ORIENTATION, _BANDS, _SUBDIRECTORIES = 258, 262, 274, 277, 330
_ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT = 278, 322, 323
_SIZE_TAGS = (_WIDTH, _HEIGHT)
_OPTIONAL_TAGS = (
    _NEW_SUBFILE_TYPE,
    _OLD_SUBFILE_TYPE,
    _PHOTOMETRIC,
    _ORIENTATION,
    _BANDS,
    _ROWS_PER_STRIP,
    _TILE_WIDTH,
    _TILE_HEIGHT,
)
_LIST_TAGS = (_BITS, _SUBDIRECTORIES)
_MAX_STREAMED_STRIP_PIXELS = 8_000_000
"""A file of larger strips, or rows of tiles, counts as one that is decoded as a whole."""
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_SENSOR_DATA = (32803, 34892)  # color filter array, linear raw
_VALUE_FORMATS = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


class TiffPage(Struct, frozen=True):
    """Where a page is: a directory of the chain, counted from 0, or one of its sub-directories.

    ``subdirectory`` is -1 for the directory itself. ``is_full`` is False for thumbnails and masks.
    ``photometric`` is the number of the color space, and ``photometric_offset`` where it stands as
    two bytes. ``bits`` are those of one band.
    ``pixels_in_strip`` is how many are decoded together: those of a strip or of a row of tiles.
    """

    directory: int
    subdirectory: int
    width: int
    height: int
    orientation: int
    is_full: bool
    photometric: int | None
    photometric_offset: int
    bands: int
    bits: int
    pixels_in_strip: int

    @property
    def can_be_shown(self) -> bool:
        return self.photometric not in _SENSOR_DATA


class _Layout(Struct, frozen=True):
    """How the file is laid out: formats of `struct`, lengths in bytes, offsets.

    ``first_directory`` is where the offset of the first directory is, ``value_offset`` where the
    value is in its entry.
    """

    byte_order: str
    count: str
    count_bytes: int
    offset: str
    first_directory: int
    entry_bytes: int
    value_offset: int


def _layout(view: memoryview) -> _Layout:
    order = "<" if bytes(view[:2]) == b"II" else ">"
    if read_int(view, order + "H", 2) == 43:
        return _Layout(order, order + "Q", 8, order + "Q", 8, 20, 12)
    return _Layout(order, order + "H", 2, order + "I", 4, 12, 8)


def read_header(view: memoryview, budget: ProbeBudget) -> ImageHeader:
    pages = read_pages(view, budget)
    width, height = max(
        ((page.width, page.height) for page in pages), key=lambda size: size[0] * size[1]
    )
    piece = max(page.pixels_in_strip for page in pages)
    return ImageHeader(
        "tiff",
        width,
        height,
        frames=len(pages),
        needs_full_frame=piece > _MAX_STREAMED_STRIP_PIXELS,
    )


def read_pages(view: memoryview, budget: ProbeBudget) -> list[TiffPage]:
    """The pages in their order; at least one.

    Raises ValueError where the structure is damaged.
    """
    directories = list(_read_directories(view, _layout(view), budget))
    pages = []
    for directory in directories:
        full = [page for page in directory if page.is_full and page.can_be_shown]
        if full:
            pages.append(full[0] if full[0].subdirectory < 0 else max(full, key=_area))
    if pages:
        return pages
    every = list(chain.from_iterable(directories))
    if not every:
        raise ValueError("no directory")
    return [max(every, key=lambda page: (page.can_be_shown, _area(page)))]


def _area(page: TiffPage) -> int:
    return page.width * page.height


def _read_directories(
    view: memoryview, layout: _Layout, budget: ProbeBudget
) -> Iterator[list[TiffPage]]:
    """Each directory of the chain, followed by its sub-directories."""
    seen: set[int] = set()
    offset = read_int(view, layout.offset, layout.first_directory)
    while offset and offset not in seen and len(seen) < MAX_PAGES_COUNTED:
        index = len(seen)
        seen.add(offset)
        main = _read_directory(view, offset, layout, budget)
        pages = [_to_page(index, -1, main)]
        for number, position in enumerate(main.lists.get(_SUBDIRECTORIES, [])):
            inner = _read_directory(view, position, layout, budget)
            inner.tags.setdefault(_ORIENTATION, pages[0].orientation)
            pages.append(_to_page(index, number, inner))
        yield pages
        offset = read_int(view, layout.offset, main.end) if main.end + 4 <= len(view) else 0


class _Directory(Struct):
    """The tags that are needed, those with several values, and the offset after all entries."""

    tags: dict[int, int]
    lists: dict[int, list[int]]
    photometric_offset: int
    end: int


def _to_page(directory: int, subdirectory: int, found: _Directory) -> TiffPage:
    tags = found.tags
    kind = tags.get(_NEW_SUBFILE_TYPE, 0)
    is_reduced = bool(kind & _REDUCED) or tags.get(_OLD_SUBFILE_TYPE, 0) == _OLD_REDUCED
    return TiffPage(
        directory,
        subdirectory,
        tags.get(_WIDTH, 0),
        tags.get(_HEIGHT, 0),
        tags.get(_ORIENTATION, 1),
        is_full=not is_reduced and not kind & _MASK,
        photometric=tags.get(_PHOTOMETRIC),
        photometric_offset=found.photometric_offset,
        bands=tags.get(_BANDS, 1),
        bits=next(iter(found.lists.get(_BITS, [])), 1),
        pixels_in_strip=_pixels_in_strip(tags),
    )


def _pixels_in_strip(tags: Mapping[int, int]) -> int:
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    tile_width = tags.get(_TILE_WIDTH, 0)
    if not tile_width:
        return width * min(height, tags.get(_ROWS_PER_STRIP, height))
    return -(-width // tile_width) * tile_width * tags.get(_TILE_HEIGHT, height)


def _read_directory(
    view: memoryview, offset: int, layout: _Layout, budget: ProbeBudget
) -> _Directory:
    count = read_int(view, layout.count, offset)
    entries = offset + layout.count_bytes
    end = entries + count * layout.entry_bytes
    if end > len(view):
        raise ValueError(f"a directory of {count} entries at {offset}")
    budget.count(count + 1)  # directories may overlap
    found = _Directory({}, {}, 0, end)
    for entry in range(entries, end, layout.entry_bytes):
        tag = read_int(view, layout.byte_order + "H", entry)
        if tag in _SIZE_TAGS:
            found.tags[tag] = _read_value(view, entry, layout)
        elif not _value_format(view, entry, layout):
            continue
        elif tag in _OPTIONAL_TAGS:
            found.tags[tag] = _read_value(view, entry, layout)
            if tag == _PHOTOMETRIC:
                found.photometric_offset = entry + layout.value_offset
        elif tag in _LIST_TAGS:
            found.lists[tag] = _read_list(view, entry, layout)
    return found


def _read_value(view: memoryview, entry: int, layout: _Layout) -> int:
    format = _value_format(view, entry, layout)
    if not format:
        raise ValueError("a size that is no whole number")
    return read_int(view, format, entry + layout.value_offset)


def _read_list(view: memoryview, entry: int, layout: _Layout) -> list[int]:
    """The values of an entry that may have several; they lie elsewhere if they do not fit in."""
    format = _value_format(view, entry, layout)
    size = struct.calcsize(format)
    count_format = layout.byte_order + ("Q" if layout.entry_bytes == 20 else "I")
    count = min(read_int(view, count_format, entry + 4), _MAX_VALUES)
    start = entry + layout.value_offset
    if count * size > layout.entry_bytes - layout.value_offset:
        start = read_int(view, layout.offset, start)
    return [read_int(view, format, start + size * index) for index in range(count)]


def _value_format(view: memoryview, entry: int, layout: _Layout) -> str:
    """The entry's type for `struct`; empty where it is no whole number."""
    format = _VALUE_FORMATS.get(read_int(view, layout.byte_order + "H", entry + 2))
    return layout.byte_order + format if format else ""
