"""JPEG XL (ISO/IEC 18181): the size at the start of the codestream, bare or in boxes."""

from proxy.imaging.headers.header import ImageHeader, ProbeBudget, read_int

_CODESTREAM = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIDE_BITS = (9, 13, 18, 30)


class _BitReader:
    """Reads bits from the lowest of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self._rest, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def read(self, count: int) -> int:
        if count > self._left:
            raise ValueError("ends within the size")
        value = self._rest & ((1 << count) - 1)
        self._rest, self._left = self._rest >> count, self._left - count
        return value


def read_header(view: memoryview, budget: ProbeBudget) -> ImageHeader:
    offset = 0 if bytes(view[:2]) == _CODESTREAM else _find_codestream(view, budget)
    if bytes(view[offset : offset + 2]) != _CODESTREAM:
        raise ValueError("no codestream")
    bits = _BitReader(bytes(view[offset + 2 : offset + 16]))
    small = bits.read(1) == 1
    height = _read_side(bits, small)
    ratio = bits.read(3)
    if ratio == 0:
        width = _read_side(bits, small)
    else:
        numerator, denominator = _RATIOS[ratio - 1]
        width = height * numerator // denominator
    return ImageHeader("jxl", width, height, needs_full_frame=True)


def _read_side(bits: _BitReader, small: bool) -> int:
    if small:
        return (bits.read(5) + 1) * 8
    return bits.read(_SIDE_BITS[bits.read(2)]) + 1


def _find_codestream(view: memoryview, budget: ProbeBudget) -> int:
    """The offset of the codestream: in a box of its own, or in the first of several parts."""
    offset, end = 0, len(view)
    while offset + 8 <= end:
        budget.count()
        length = read_int(view, ">I", offset)
        name, start = bytes(view[offset + 4 : offset + 8]), offset + 8
        if length == 1:
            length, start = read_int(view, ">Q", offset + 8), offset + 16
        if name in (b"jxlc", b"jxlp"):
            return start + (4 if name == b"jxlp" else 0)
        if length < 8:
            break
        offset += length
    raise ValueError("no codestream")
