"""JPEG XL (ISO/IEC 18181): the size at the beginning of the codestream, bare or in boxes."""

from proxy.imaging.headers.header import Header, Walk, number

_BARE = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_WIDTHS = (9, 13, 18, 30)


class _Bits:
    """Bits from the lowest of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self._rest, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("ends within the size")
        value = self._rest & ((1 << count) - 1)
        self._rest, self._left = self._rest >> count, self._left - count
        return value


def read(view: memoryview) -> Header:
    at = 0 if bytes(view[:2]) == _BARE else _codestream(view)
    if bytes(view[at : at + 2]) != _BARE:
        raise ValueError("no codestream")
    bits = _Bits(bytes(view[at + 2 : at + 16]))
    small = bits.take(1) == 1
    height = _side(bits, small)
    ratio = bits.take(3)
    if ratio == 0:
        width = _side(bits, small)
    else:
        across, down = _RATIOS[ratio - 1]
        width = height * across // down
    return Header("jxl", width, height, held=True)


def _side(bits: _Bits, small: bool) -> int:
    if small:
        return (bits.take(5) + 1) * 8
    return bits.take(_WIDTHS[bits.take(2)]) + 1


def _codestream(view: memoryview) -> int:
    """Where it begins: in a box of its own, or in the first of several parts."""
    at, end, walk = 0, len(view), Walk()
    while at + 8 <= end:
        walk.step()
        length, name, start = number(view, ">I", at), bytes(view[at + 4 : at + 8]), at + 8
        if length == 1:
            length, start = number(view, ">Q", at + 8), at + 16
        if name in (b"jxlc", b"jxlp"):
            return start + (4 if name == b"jxlp" else 0)
        if length < 8:
            break
        at += length
    raise ValueError("no codestream")
