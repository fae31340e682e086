"""AVIF and HEIF (ISO/IEC 23008-12): check that a file holds its coded image and nothing else.

Items are described in one box and stored in another, so boxes cannot just be left out to strip a
file. But a file without metadata items, profiles and unused bytes may be sent as it is.
"""

from collections.abc import Iterator

from proxy.imaging.headers.header import ProbeBudget, read_int

_TOP_LEVEL = (b"ftyp", b"meta", b"mdat")
_REQUIRED = {b"iloc", b"iinf", b"iprp"}
_ALLOWED = {b"hdlr", b"pitm", b"iref", *_REQUIRED}
_PROPERTIES = (b"ispe", b"pixi", b"av1C", b"hvcC", b"colr", b"auxC", b"irot", b"imir", b"pasp")
_IMAGE_ITEMS = (b"av01", b"hvc1", b"grid")


def is_picture_only(view: memoryview, budget: ProbeBudget) -> bool:
    """Whether all bytes belong to the image. Raises ValueError where the structure is unusual."""
    top_level = list(_boxes(view, 0, len(view), budget))
    if [name for name, _, _ in top_level] != list(_TOP_LEVEL):
        return False
    _, (_, meta_start, meta_end), (_, media_start, media_end) = top_level
    meta = _boxes(view, meta_start + 4, meta_end, budget)
    boxes = {name: (start, end) for name, start, end in meta}
    return (
        _REQUIRED <= boxes.keys() <= _ALLOWED
        and all(kind in _IMAGE_ITEMS for kind in _item_types(view, *boxes[b"iinf"], budget))
        and _has_only_known_properties(view, *boxes[b"iprp"], budget)
        and _fill_exactly(_extents(view, boxes[b"iloc"][0], budget), media_start, media_end)
    )


def _boxes(
    view: memoryview, offset: int, end: int, budget: ProbeBudget
) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of boxes that fill the space exactly."""
    while offset < end:
        budget.count()
        length, name = read_int(view, ">I", offset), bytes(view[offset + 4 : offset + 8])
        if length < 8 or offset + length > end:
            raise ValueError(f"a box of length {length} at {offset}")
        yield name, offset + 8, offset + length
        offset += length


def _item_types(view: memoryview, start: int, end: int, budget: ProbeBudget) -> Iterator[bytes]:
    first = start + (6 if view[start] == 0 else 8)
    for _, entry, _ in _boxes(view, first, end, budget):
        type_offset = entry + (8 if view[entry] == 2 else 10)
        yield bytes(view[type_offset : type_offset + 4])


def _has_only_known_properties(view: memoryview, start: int, end: int, budget: ProbeBudget) -> bool:
    """Whether properties describe nothing but the image's form, and its colors without profile."""
    return all(
        kind in _PROPERTIES and (kind != b"colr" or bytes(view[content : content + 4]) == b"nclx")
        for name, properties, properties_end in _boxes(view, start, end, budget)
        if name == b"ipco"
        for kind, content, _ in _boxes(view, properties, properties_end, budget)
    )


def _fill_exactly(extents: Iterator[tuple[int, int]], start: int, end: int) -> bool:
    """Whether the extents follow each other from start to end, with nothing between or behind."""
    offset = start
    for extent, length in sorted(extents):
        if extent != offset:
            return False
        offset += length
    return offset == end


_OFFSET_FORMATS = {4: ">I", 8: ">Q"}


def _extents(view: memoryview, start: int, budget: ProbeBudget) -> Iterator[tuple[int, int]]:
    """Offset and length of every coded part, from the item locations."""
    version, sizes = view[start], read_int(view, ">H", start + 4)
    offset_size, length_size, base_size, index_size = (
        sizes >> shift & 15 for shift in (12, 8, 4, 0)
    )
    if (
        version > 1
        or offset_size not in _OFFSET_FORMATS
        or length_size not in _OFFSET_FORMATS
        or base_size not in (0, 4, 8)
    ):
        raise ValueError("an unusual form of item locations")
    items, at = read_int(view, ">H", start + 6), start + 8
    for _ in range(items):
        if version == 1 and read_int(view, ">H", at + 2) & 15:
            raise ValueError("an item that is stored elsewhere")
        at += 6 if version == 1 else 4
        base = read_int(view, _OFFSET_FORMATS[base_size], at) if base_size else 0
        at += base_size
        extents, at = read_int(view, ">H", at), at + 2
        budget.count(extents + 1)
        for _ in range(extents):
            at += index_size if version == 1 else 0
            yield (
                base + read_int(view, _OFFSET_FORMATS[offset_size], at),
                read_int(view, _OFFSET_FORMATS[length_size], at + offset_size),
            )
            at += offset_size + length_size
