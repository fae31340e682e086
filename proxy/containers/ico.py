"""ICO: a directory of small pictures."""

from proxy.containers.header import Header, number

MOST_ENTRIES = 256


def read(view: memoryview) -> Header:
    count = number(view, "<H", 4)
    if not 1 <= count <= MOST_ENTRIES:
        raise ValueError(f"{count} entries")
    if 6 + 16 * count > len(view):
        raise ValueError("ends within the directory")
    # 0 stands for 256
    extents = [(view[at] or 256, view[at + 1] or 256) for at in range(6, 6 + 16 * count, 16)]
    width, height = max(extents, key=lambda extent: extent[0] * extent[1])
    return Header("ico", width, height, held=True)
