"""SVG: width, height and viewBox of the outermost element."""

import re

from proxy.imaging.headers.header import Header

_OUTERMOST = re.compile(rb"<svg\b")
_ATTRIBUTE = re.compile(rb"\b(width|height|viewBox)\s*=\s*[\"']([^\"']*)[\"']")
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

_LONGEST = 64  # characters of a length; looking at more again and again takes for ever

MOST_BYTES = 4 * 1024 * 1024
"""A drawing is text; the work it makes grows with it."""


def read(view: memoryview) -> Header:
    if len(view) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes")
    outermost = _OUTERMOST.search(view)
    if outermost is None:
        raise ValueError("no svg element")
    # One start is tried and no other: each tried to its end, a file of starts would take for ever.
    words, ended, _ = bytes(view[outermost.start() :]).partition(b">")
    if not ended:
        raise ValueError("the svg element does not end")
    found = {
        name.decode(): value.decode("utf-8", "replace") for name, value in _ATTRIBUTE.findall(words)
    }
    box = [_pixels(word) for word in re.split(r"[\s,]+", found.get("viewBox", "").strip())[2:4]]
    width, height = _pixels(found.get("width", "")), _pixels(found.get("height", ""))
    width = width or (box[0] if box else None)
    height = height or (box[1] if len(box) > 1 else None)
    # rsvg's own answer where nothing is said; what it really makes is checked once more when opened
    return Header("svg", round(width or 100) or 1, round(height or 100) or 1, held=True)


def _pixels(word: str) -> float | None:
    match = _LENGTH.fullmatch(word[:_LONGEST].strip())
    if match is None or match[1] in ("", "."):
        return None
    return float(match[1]) * _PIXELS[match[2]]
