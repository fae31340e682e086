"""Client hints: what browsers say about the screen and the image on it (RFC 8942).

A hint that is malformed or out of bounds counts as missing: a strange browser gets the picture that
browsers without hints get.
"""

import re
from collections.abc import Mapping
from enum import Enum
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType

_MAX_BYTES = 64
_PIXELS = re.compile(rb"[1-9][0-9]{0,5}")
_RATIO = re.compile(rb"[0-9]{1,2}(?:\.[0-9]{1,20})?")
_RATIO_DIGITS = 3  # browsers send 1.100000023841858 for 1.1


class Hint(Enum):
    """What chooses the value of an open field."""

    WIDTH = "width"
    DPR = "dpr"
    SAVE_DATA = "save_data"


WIDTH, VIEWPORT, DPR = "Sec-CH-Width", "Sec-CH-Viewport-Width", "Sec-CH-DPR"

HINT_HEADERS: Mapping[Hint, tuple[str, ...]] = {
    Hint.WIDTH: (WIDTH, "Width", VIEWPORT, "Viewport-Width", DPR, "DPR"),
    Hint.DPR: (DPR, "DPR"),
    Hint.SAVE_DATA: ("Save-Data",),
}
"""The request headers that are looked at, old names after new ones."""

REQUESTED_HEADERS = (WIDTH, VIEWPORT, DPR)
"""Those that browsers send only where ``Accept-CH`` asks for them."""


class ClientHints:
    """The hints in the headers of a request; each is read when it is needed."""

    def __init__(self, headers: Mapping[bytes, bytes]) -> None:
        """``headers`` by their names in lower case."""
        self._headers = headers

    @cached_property
    def width(self) -> int | None:
        """The width of the image on the page, in physical pixels, rounded up."""
        return self._pixels(b"sec-ch-width", b"width")

    @cached_property
    def viewport_width(self) -> int | None:
        """The width of the window, in CSS pixels."""
        return self._pixels(b"sec-ch-viewport-width", b"viewport-width")

    @cached_property
    def dpr(self) -> Fraction | None:
        """The device pixel ratio: physical pixels for each CSS pixel."""
        for name in (b"sec-ch-dpr", b"dpr"):
            value = self._headers.get(name, b"")
            if len(value) <= _MAX_BYTES and _RATIO.fullmatch(value):
                ratio = round(Fraction(value.decode()), _RATIO_DIGITS)
                if ratio > 0:
                    return ratio
        return None

    @cached_property
    def saves_data(self) -> bool:
        """Whether the user asked for fewer bytes."""
        value = self._headers.get(b"save-data", b"")
        return len(value) <= _MAX_BYTES and value.partition(b";")[0].strip().lower() == b"on"

    def _pixels(self, *names: bytes) -> int | None:
        for name in names:
            value = self._headers.get(name, b"")
            if len(value) <= _MAX_BYTES and _PIXELS.fullmatch(value):
                return int(value)
        return None


NO_HEADERS: Mapping[bytes, bytes] = MappingProxyType({})
"""The headers of a request without hints."""
