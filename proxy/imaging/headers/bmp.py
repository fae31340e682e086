"""BMP: OS/2 and Windows info headers."""

from proxy.imaging.headers.header import ImageHeader, ProbeBudget, read_int


def read_header(view: memoryview, _budget: ProbeBudget) -> ImageHeader:
    if read_int(view, "<I", 14) == 12:
        width, height = read_int(view, "<H", 18), read_int(view, "<H", 20)
        return ImageHeader("bmp", width, height, needs_full_frame=True)
    height = read_int(view, "<i", 22)  # negative where rows run from top to bottom
    return ImageHeader("bmp", read_int(view, "<i", 18), abs(height), needs_full_frame=True)
