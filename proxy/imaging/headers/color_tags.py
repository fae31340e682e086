"""Colors that a file describes by numbers and not by an ICC profile.

AVIF and HEIF have `nclx` (ISO/IEC 23008-12), PNG has `cICP`, or the older `gAMA` and `cHRM` (W3C
PNG, third edition). Primaries and transfer functions have the numbers of ITU-T H.273.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping

from msgspec import Struct

from proxy.buffers import Buffer
from proxy.formats import FormatName
from proxy.imaging.headers import isobmff
from proxy.imaging.headers.header import ProbeBudget, read_int

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of red, green, blue and white."""

_UNSPECIFIED = 2
_SRGB_PRIMARIES, _SRGB_TRANSFER = 1, 13
_PROFILES = frozenset((b"prof", b"rICC"))


class CodePoints(Struct, frozen=True):
    """Primaries and transfer function by H.273; ``max_nits`` is the brightest pixel, 0 unknown."""

    primaries: int = _SRGB_PRIMARIES
    transfer: int = _SRGB_TRANSFER
    max_nits: int = 0


class GammaTags(Struct, frozen=True):
    """A power function, ``gamma`` being its exponent for decoding, and primaries where given."""

    gamma: float | None
    chromaticities: Chromaticities | None


ColorTags = CodePoints | GammaTags


def read_color_tags(original: Buffer, format: FormatName) -> ColorTags | None:
    """What holds instead of a profile; None where a profile or nothing describes the colors.

    Raises ValueError or IndexError where the structure is damaged.
    """
    reader = _READERS.get(format)
    if reader is None:
        return None
    with memoryview(original) as view:
        return reader(view)


def _code_points(primaries: int, transfer: int, max_nits: int = 0) -> CodePoints:
    return CodePoints(
        _SRGB_PRIMARIES if primaries == _UNSPECIFIED else primaries,
        _SRGB_TRANSFER if transfer == _UNSPECIFIED else transfer,
        max_nits,
    )


def _read_png(view: memoryview) -> ColorTags | None:
    """By precedence: cICP, iCCP, sRGB, then gAMA and cHRM together."""
    chunks: dict[bytes, memoryview] = {}
    offset, budget = 33, ProbeBudget(len(view))
    while (name := bytes(view[offset + 4 : offset + 8])) not in (b"IDAT", b""):
        budget.count()
        length = read_int(view, ">I", offset)
        chunks.setdefault(name, view[offset + 8 : offset + 8 + length])
        offset += 12 + length
    if b"cICP" in chunks:
        primaries, transfer = chunks[b"cICP"][:2]
        light = chunks.get(b"cLLI")
        nits = 0 if light is None else round(read_int(light, ">I", 0) / 10_000)
        return _code_points(primaries, transfer, nits)
    if b"iCCP" in chunks or b"sRGB" in chunks or not chunks.keys() & {b"gAMA", b"cHRM"}:
        return None
    gamma = read_int(chunks[b"gAMA"], ">I", 0) if b"gAMA" in chunks else 0
    white_first = (
        [read_int(chunks[b"cHRM"], ">I", 4 * index) / 100_000 for index in range(8)]
        if b"cHRM" in chunks
        else None
    )
    return GammaTags(
        100_000 / gamma if gamma else None,
        None if white_first is None else (*white_first[2:], *white_first[:2]),  # type: ignore[arg-type]
    )


def _read_isobmff(view: memoryview) -> CodePoints | None:
    """The `nclx` of the primary item; of a sequence, or without associations, the first one."""
    budget = ProbeBudget(len(view))
    properties: list[tuple[bytes, int]] = []
    elsewhere: list[int] = []
    associations: Mapping[int, list[int]] = {}
    primary, container_end = 0, 0
    for name, start, end in isobmff.boxes(view, budget):
        if name == b"pitm":
            primary = read_int(view, ">H" if view[start] == 0 else ">I", start + 4)
        elif name == b"ipco":
            container_end = end
        elif name == b"ipma":
            associations = _read_associations(view, start, budget)
        elif start < container_end:
            properties.append((name, start))
        elif name == b"colr":
            elsewhere.append(start)
    indexes = associations.get(primary, [])
    mine = [properties[index - 1] for index in indexes if 0 < index <= len(properties)]
    for candidates in (mine, properties, [(b"colr", start) for start in elsewhere]):
        colors = {
            bytes(view[start : start + 4]): start for name, start in candidates if name == b"colr"
        }
        if colors.keys() & _PROFILES:
            return None  # a profile takes precedence
        if b"nclx" in colors:
            levels = (read_int(view, ">H", at) for name, at in candidates if name == b"clli")
            primaries, transfer = (read_int(view, ">H", colors[b"nclx"] + at) for at in (4, 6))
            return _code_points(primaries, transfer, next(levels, 0))
    return None


def _read_associations(
    view: memoryview, start: int, budget: ProbeBudget
) -> Mapping[int, list[int]]:
    """The properties of each item, counted from 1."""
    version, flags = view[start], view[start + 3]
    found: defaultdict[int, list[int]] = defaultdict(list)
    offset = start + 8
    for _ in range(read_int(view, ">I", start + 4)):
        item = read_int(view, ">I" if version else ">H", offset)
        offset += 4 if version else 2
        count, offset = view[offset], offset + 1
        budget.count(count + 1)
        for _ in range(count):
            wide = flags & 1
            found[item].append(
                read_int(view, ">H", offset) & 0x7FFF if wide else view[offset] & 0x7F
            )
            offset += 2 if wide else 1
    return found


_READERS: Mapping[FormatName, Callable[[memoryview], ColorTags | None]] = {
    "png": _read_png,
    "avif": _read_isobmff,
    "heif": _read_isobmff,
}
