"""BMP: OS/2 and Windows info headers."""

from proxy.imaging.headers.header import Header, number


def read(view: memoryview) -> Header:
    if number(view, "<I", 14) == 12:
        return Header("bmp", number(view, "<H", 18), number(view, "<H", 20), held=True)
    height = number(view, "<i", 22)  # negative where the rows run from top to bottom
    return Header("bmp", number(view, "<i", 18), abs(height), held=True)
