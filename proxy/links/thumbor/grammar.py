"""Split a link into its parts. Their order is fixed; the first that fits no part is the source."""

import re
from typing import Literal, NamedTuple

from msgspec import Struct

from proxy.errors import InvalidLink
from proxy.links.percent_encoding import percent_decode, safe_excerpt

ParsedSide = int | Literal["original"]
"""0 follows from the other side; ``original`` is that side of the source."""

_MAX_FILTERS = 30
_TRIM = re.compile(r"trim(?::(top-left|bottom-right))?(?::([0-9]{1,3}))?")
_NUMBER = r"[0-9]{1,6}"
_FRACTION = r"(?:[0-9]{1,6}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})"
_CROP = re.compile(rf"({_NUMBER})x({_NUMBER}):({_NUMBER})x({_NUMBER})")
_FRACTION_CROP = re.compile(rf"({_FRACTION})x({_FRACTION}):({_FRACTION})x({_FRACTION})")
_FIT_IN = re.compile(r"(adaptive-)?(full-)?fit-in")
_SIZE = re.compile(r"(-)?([0-9]{1,6}|orig)?x(-)?([0-9]{1,6}|orig)?")
_SIZE_WITHOUT_ORIG = re.compile(r"(-)?([0-9]{1,6})?x(-)?([0-9]{1,6})?")
_PADDING = re.compile(r"([0-9]{1,5})x([0-9]{1,5})(?::([0-9]{1,5})x([0-9]{1,5}))?")
_HALIGN = re.compile(r"left|center|right")
_VALIGN = re.compile(r"top|middle|bottom")
_SMART, _DEBUG, _META = re.compile("smart"), re.compile("debug"), re.compile("meta")
_PARAMS, _STRETCH = re.compile("params"), re.compile("stretch")
_FILTER = re.compile(r"([A-Za-z0-9_]{1,40})\((.*)", re.DOTALL)


class TrimPart(Struct, frozen=True):
    corner: str = "top-left"
    tolerance: int | None = None


class FilterCall(Struct, frozen=True):
    """A filter as it was written, percent-decoded."""

    name: str
    args: tuple[str, ...]
    text: str


class Padding(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int


class LinkParts(Struct, kw_only=True):
    """What the parts say. ``crop`` is left, top, right, bottom; ``image`` is still encoded."""

    is_meta: bool = False
    trim: TrimPart | None = None
    crop: tuple[float, float, float, float] | None = None
    fit: Literal["crop", "inside", "outside"] = "crop"
    is_adaptive: bool = False
    is_stretched: bool = False
    width: ParsedSide = 0
    height: ParsedSide = 0
    mirrors_horizontally: bool = False
    mirrors_vertically: bool = False
    padding: Padding | None = None
    halign: str = ""
    valign: str = ""
    is_smart: bool = False
    filters: tuple[FilterCall, ...] = ()
    image: str = ""


class _Reader:
    """What is left of a link."""

    def __init__(self, rest: str) -> None:
        self.rest = rest

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take the next segment if it matches and is not the last one."""
        head, _, rest = self.rest.partition("/")
        found = pattern.fullmatch(head) if rest else None
        if found is not None:
            self.rest = rest
        return found


def split_link(path: str, *, is_imagor: bool) -> LinkParts:
    """Split what follows the signature. Raises InvalidLink."""
    parts, reader = LinkParts(), _Reader(path)
    _read_head(parts, reader, is_imagor=is_imagor)
    _read_size(parts, reader, is_imagor=is_imagor)
    if found := reader.take(_HALIGN):
        parts.halign = found[0]
    if found := reader.take(_VALIGN):
        parts.valign = found[0]
    parts.is_smart = reader.take(_SMART) is not None
    parts.image = _read_filters(parts, reader.rest, is_imagor=is_imagor)
    if not parts.image:
        raise InvalidLink("source missing: a link ends with its source")
    return parts


def _read_head(parts: LinkParts, reader: _Reader, *, is_imagor: bool) -> None:
    if not is_imagor and reader.take(_DEBUG):
        raise InvalidLink("debug: focal regions are not drawn here")
    if is_imagor and reader.take(_PARAMS):
        raise InvalidLink("params: links are explained by framekeep explain")
    parts.is_meta = reader.take(_META) is not None
    if found := reader.take(_TRIM):
        parts.trim = TrimPart(found[1] or "top-left", int(found[2]) if found[2] else None)
    if found := reader.take(_FRACTION_CROP if is_imagor else _CROP):
        left, top, right, bottom = map(float, found.groups())
        if any((left, top, right, bottom)):
            parts.crop = (left, top, right, bottom)


def _read_size(parts: LinkParts, reader: _Reader, *, is_imagor: bool) -> None:
    if found := reader.take(_FIT_IN):
        parts.is_adaptive = found[1] is not None
        parts.fit = "outside" if found[2] else "inside"
    if is_imagor and reader.take(_STRETCH):
        parts.is_stretched = True
    if found := reader.take(_SIZE_WITHOUT_ORIG if is_imagor else _SIZE):
        parts.mirrors_horizontally, parts.mirrors_vertically = found[1] == "-", found[3] == "-"
        parts.width, parts.height = _parse_side(found[2]), _parse_side(found[4])
        padding = reader.take(_PADDING) if is_imagor else None
        if padding is not None:
            left, top, right, bottom = padding.groups()
            parts.padding = Padding(int(left), int(top), int(right or left), int(bottom or top))


def _parse_side(text: str | None) -> ParsedSide:
    if text == "orig":
        return "original"
    return int(text or 0)


def _read_filters(parts: LinkParts, rest: str, *, is_imagor: bool) -> str:
    """Read the filters; return the source."""
    if not rest.startswith("filters:"):
        return rest
    text = rest.removeprefix("filters:")
    end = _end_of_balanced(text) if is_imagor else text.find(")/")
    if end < 0:
        raise InvalidLink("filters: they end with )/ in front of the source")
    names = _split_balanced(text[: end + 1]) if is_imagor else text[:end].split("):")
    if len(names) > _MAX_FILTERS:
        raise InvalidLink(f"filters: a link has at most {_MAX_FILTERS}, not {len(names)}")
    parts.filters = tuple(_parse_filter(name) for name in names)
    return text[end + 2 :]


def _end_of_balanced(text: str) -> int:
    """The position of the last parenthesis: the first one that closes all and precedes a slash."""
    depth = 0
    for position, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth <= 0 and text[position + 1 : position + 2] == "/":
                return position
    return -1


def _split_balanced(text: str) -> list[str]:
    """Split at the colons outside of parentheses; each part loses its last parenthesis."""
    depth, start, found = 0, 0, []
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == ":" and depth <= 0:
            found.append(text[start:position])
            start = position + 1
    found.append(text[start:])
    return [part.removesuffix(")") for part in found]


def _parse_filter(text: str) -> FilterCall:
    found = _FILTER.fullmatch(percent_decode(text))
    if found is None:
        raise InvalidLink(f"filters: {safe_excerpt(text)} is not NAME(VALUE,…)")
    args = _split_args(found[2], is_nested=found[1] == "image")
    return FilterCall(found[1], args, f"{found[1]}({found[2]})")


def _split_args(text: str, *, is_nested: bool) -> tuple[str, ...]:
    """Split at commas; a value in single quotes may have some.

    ``is_nested``: values may be links, whose own parentheses have commas and quotes.
    """
    if not text:
        return ()
    args, quoted, depth = [""], False, 0
    for character in text:
        if is_nested:
            depth += (character == "(") - (character == ")")
        if character == "'" and depth <= 0:
            quoted = not quoted
        elif character == "," and not quoted and depth <= 0:
            args.append("")
        else:
            args[-1] += character
    return tuple(arg.strip() for arg in args)
