"""TIFF 6.0 and BigTIFF: the chain of directories, one for each page."""

from msgspec import Struct

from proxy.imaging.headers.header import ImageHeader, ProbeBudget, read_int

MAX_PAGES_COUNTED = 10_000
_WIDTH, _HEIGHT = 256, 257
_VALUE_FORMATS = {3: "H", 4: "I", 16: "Q"}


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
    layout = _layout(view)
    width = height = pages = 0
    seen: set[int] = set()
    offset = read_int(view, layout.offset, layout.first_directory)
    while offset and offset not in seen and pages < MAX_PAGES_COUNTED:
        seen.add(offset)
        count = read_int(view, layout.count, offset)
        entries = offset + layout.count_bytes
        end = entries + count * layout.entry_bytes
        if end > len(view):
            raise ValueError(f"a directory of {count} entries at {offset}")
        budget.count(count + 1)  # directories may overlap
        page = {
            tag: _read_value(view, entry, layout)
            for entry in range(entries, end, layout.entry_bytes)
            if (tag := read_int(view, layout.byte_order + "H", entry)) in (_WIDTH, _HEIGHT)
        }
        if page.get(_WIDTH, 0) * page.get(_HEIGHT, 0) > width * height:
            width, height = page[_WIDTH], page[_HEIGHT]
        pages += 1
        offset = read_int(view, layout.offset, end) if end + 4 <= len(view) else 0
    return ImageHeader("tiff", width, height, frames=pages)


def _read_value(view: memoryview, entry: int, layout: _Layout) -> int:
    kind = read_int(view, layout.byte_order + "H", entry + 2)
    format = _VALUE_FORMATS.get(kind)
    if format is None:
        raise ValueError(f"a size of type {kind}")
    return read_int(view, layout.byte_order + format, entry + layout.value_offset)
