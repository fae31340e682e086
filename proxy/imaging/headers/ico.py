"""ICO: a directory of small images, each a PNG, or a bitmap with a size of its own."""

from proxy.imaging.headers.header import ImageHeader, ProbeBudget, read_int

MAX_ENTRIES = 256
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_header(view: memoryview, _budget: ProbeBudget) -> ImageHeader:
    count = read_int(view, "<H", 4)
    if not 1 <= count <= MAX_ENTRIES:
        raise ValueError(f"{count} entries")
    # Decoders use the sizes in the images, not those in the directory.
    sizes = [_read_size(view, read_int(view, "<I", 6 + 16 * index + 12)) for index in range(count)]
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return ImageHeader("ico", width, height, needs_full_frame=True)


def _read_size(view: memoryview, offset: int) -> tuple[int, int]:
    if bytes(view[offset : offset + 8]) == _PNG_SIGNATURE:
        return read_int(view, ">I", offset + 16), read_int(view, ">I", offset + 20)
    # The height of a bitmap includes the mask below it.
    return abs(read_int(view, "<i", offset + 4)), abs(read_int(view, "<i", offset + 8)) // 2
