"""SVG: width, height and viewBox of the outermost element."""

import re

from proxy.imaging.headers.header import ImageHeader, ProbeBudget

_OUTERMOST = re.compile(rb"<svg\b")
_ATTRIBUTE = re.compile(rb"(?<![\w:-])(width|height|viewBox)\s*=\s*[\"']([^\"']*)[\"']")
_LENGTH = re.compile(r"(\d{0,7}(?:\.\d{0,9})?)\s*(px|pt|pc|mm|cm|in|)")
_PIXELS = {
    "px": 1.0,
    "": 1.0,
    "pt": 4 / 3,
    "pc": 16.0,
    "mm": 96 / 25.4,
    "cm": 96 / 2.54,
    "in": 96.0,
}
_DEFAULT_SIDE = 100  # librsvg's, where nothing is declared

_MAX_LENGTH_CHARACTERS = 64  # more would make the regular expression slow

MAX_BYTES = 4 * 1024 * 1024
"""An SVG is text; rendering time grows with it."""


def read_header(view: memoryview, _budget: ProbeBudget) -> ImageHeader:
    if len(view) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    outermost = _OUTERMOST.search(view)
    if outermost is None:
        raise ValueError("no svg element")
    # Only the first start tag is tried: searching the end of each would take forever in a file that
    # consists of start tags.
    tag, end, _ = bytes(view[outermost.start() :]).partition(b">")
    if not end:
        raise ValueError("the svg element does not end")
    attributes = {
        name.decode(): value.decode("utf-8", "replace") for name, value in _ATTRIBUTE.findall(tag)
    }
    view_box = re.split(r"[\s,]+", attributes.get("viewBox", "").strip())[2:4]
    box = [_parse_length(length) for length in view_box]
    width = _parse_length(attributes.get("width", "")) or (box[0] if box else None)
    height = _parse_length(attributes.get("height", "")) or (box[1] if len(box) > 1 else None)
    # The size is checked again after opening, because librsvg may understand it in another way.
    return ImageHeader(
        "svg",
        round(width or _DEFAULT_SIDE) or 1,
        round(height or _DEFAULT_SIDE) or 1,
        needs_full_frame=True,
    )


def _parse_length(text: str) -> float | None:
    """A CSS length in pixels."""
    match = _LENGTH.fullmatch(text[:_MAX_LENGTH_CHARACTERS].strip())
    if match is None or match[1] in ("", "."):
        return None
    return float(match[1]) * _PIXELS[match[2]]
