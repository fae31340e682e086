"""TIFF 6.0 and BigTIFF: the chain of directories, each a page."""

from msgspec import Struct

from proxy.imaging.headers.header import Header, Walk, number

MOST_PAGES_COUNTED = 10_000
_WIDTH, _HEIGHT = 256, 257


class _Layout(Struct, frozen=True):
    """Where numbers stand in a directory: ``struct`` notations and extents in bytes."""

    order: str
    count: str
    count_bytes: int
    offset: str
    entry_bytes: int
    value_at: int


def read(view: memoryview) -> Header:
    order = "<" if bytes(view[:2]) == b"II" else ">"
    big = number(view, order + "H", 2) == 43
    layout = (
        _Layout(order, order + "Q", 8, order + "Q", 20, 12)
        if big
        else _Layout(order, order + "H", 2, order + "I", 12, 8)
    )
    width = height = pages = 0
    seen: set[int] = set()
    walk = Walk()  # directories may lie over each other
    at = number(view, layout.offset, 8 if big else 4)
    while at and at not in seen and pages < MOST_PAGES_COUNTED:
        seen.add(at)
        count = number(view, layout.count, at)
        entries = at + layout.count_bytes
        next_at = entries + count * layout.entry_bytes
        if next_at > len(view):
            raise ValueError(f"a directory of {count} entries at {at}")
        walk.step(count + 1)
        page = {
            tag: _value(view, entry, layout)
            for entry in range(entries, next_at, layout.entry_bytes)
            if (tag := number(view, order + "H", entry)) in (_WIDTH, _HEIGHT)
        }
        if page.get(_WIDTH, 0) * page.get(_HEIGHT, 0) > width * height:
            width, height = page[_WIDTH], page[_HEIGHT]
        pages += 1
        at = number(view, layout.offset, next_at) if next_at + 4 <= len(view) else 0
    return Header("tiff", width, height, frames=pages)


def _value(view: memoryview, entry: int, layout: _Layout) -> int:
    kind = number(view, layout.order + "H", entry + 2)
    form = {3: "H", 4: "I", 16: "Q"}.get(kind)
    if form is None:
        raise ValueError(f"an extent of type {kind}")
    return number(view, layout.order + form, entry + layout.value_at)
