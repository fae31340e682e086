"""ICO: a directory of small pictures, each a PNG or a bitmap that says its size once more."""

from proxy.imaging.headers.header import Header, number

MOST_ENTRIES = 256
_PNG = b"\x89PNG\r\n\x1a\n"


def read(view: memoryview) -> Header:
    count = number(view, "<H", 4)
    if not 1 <= count <= MOST_ENTRIES:
        raise ValueError(f"{count} entries")
    # What the directory says of a size is not what is decoded, so the pictures are asked.
    extents = [_extent(view, number(view, "<I", 6 + 16 * at + 12)) for at in range(count)]
    width, height = max(extents, key=lambda extent: extent[0] * extent[1])
    return Header("ico", width, height, held=True)


def _extent(view: memoryview, at: int) -> tuple[int, int]:
    if bytes(view[at : at + 8]) == _PNG:
        return number(view, ">I", at + 16), number(view, ">I", at + 20)
    # its height counts the mask below it as well
    return abs(number(view, "<i", at + 4)), abs(number(view, "<i", at + 8)) // 2
