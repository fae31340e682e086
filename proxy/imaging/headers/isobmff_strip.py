"""AVIF and HEIF (ISO/IEC 23008-12): whether a file holds its coded picture and nothing else.

Items are described in one box and lie somewhere in another, so a file cannot be stripped by leaving
boxes out. But one without metadata items, profiles and unused bytes may be sent as it is.
"""

from collections.abc import Iterator

from proxy.imaging.headers.header import Walk, number

_OUTER = (b"ftyp", b"meta", b"mdat")
_NEEDED = {b"iloc", b"iinf", b"iprp"}
_INNER = {b"hdlr", b"pitm", b"iref", *_NEEDED}
_PROPERTIES = (b"ispe", b"pixi", b"av1C", b"hvcC", b"colr", b"auxC", b"irot", b"imir", b"pasp")
_PICTURES = (b"av01", b"hvc1", b"grid")


def only_picture(view: memoryview) -> bytes | None:
    """The file as it is if it holds nothing but its picture, else None."""
    outer = list(_boxes(view, 0, len(view)))
    if [name for name, _, _ in outer] != list(_OUTER):
        return None
    _, meta, media = outer
    inner = {name: (at, end) for name, at, end in _boxes(view, meta[1] + 4, meta[2])}
    if not _NEEDED <= inner.keys() <= _INNER:
        return None
    if not all(kind in _PICTURES for kind in _kinds(view, *inner[b"iinf"])):
        return None
    if not _plain_properties(view, *inner[b"iprp"]):
        return None
    # What is coded must fill the media box: nothing lies between or behind.
    at = media[1]
    for begin, length in sorted(_places(view, inner[b"iloc"][0])):
        if begin != at:
            return None
        at += length
    return bytes(view) if at == media[2] else None


def _boxes(view: memoryview, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of the content of boxes that fill the space exactly."""
    walk = Walk()
    while at < end:
        walk.step()
        length, name = number(view, ">I", at), bytes(view[at + 4 : at + 8])
        if length < 8 or at + length > end:
            raise ValueError(f"a box of length {length} at {at}")
        yield name, at + 8, at + length
        at += length


def _kinds(view: memoryview, at: int, end: int) -> Iterator[bytes]:
    """The type of every item."""
    begin = at + (6 if view[at] == 0 else 8)
    for _, entry, _ in _boxes(view, begin, end):
        yield bytes(
            view[entry + 8 : entry + 12] if view[entry] == 2 else view[entry + 10 : entry + 14]
        )


def _plain_properties(view: memoryview, at: int, end: int) -> bool:
    """Whether nothing but the picture's form is described, and its colours by numbers alone."""
    return all(
        kind in _PROPERTIES and (kind != b"colr" or bytes(view[begin : begin + 4]) == b"nclx")
        for name, properties, properties_end in _boxes(view, at, end)
        if name == b"ipco"
        for kind, begin, _ in _boxes(view, properties, properties_end)
    )


_SIZES = {4: ">I", 8: ">Q"}


def _places(view: memoryview, at: int) -> Iterator[tuple[int, int]]:
    """Begin and length of every coded part, where they are said plainly."""
    version, sizes = view[at], number(view, ">H", at + 4)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    if version > 1 or offset not in _SIZES or length not in _SIZES or base not in (0, 4, 8):
        raise ValueError("places are said in another way")
    items, at = number(view, ">H", at + 6), at + 8
    for _ in range(items):
        if version == 1 and number(view, ">H", at + 2) & 15:
            raise ValueError("an item that lies elsewhere")
        at += 6 if version == 1 else 4
        begin = number(view, _SIZES[base], at) if base else 0
        at += base
        extents, at = number(view, ">H", at), at + 2
        for _ in range(extents):
            at += index if version == 1 else 0
            yield (
                begin + number(view, _SIZES[offset], at),
                number(view, _SIZES[length], at + offset),
            )
            at += offset + length
