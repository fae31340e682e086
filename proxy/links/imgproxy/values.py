"""Parse the values of imgproxy options. Every error names the option and what it takes."""

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence

from msgspec import Struct

from proxy.errors import InvalidLink
from proxy.links.numbers import parse_float
from proxy.links.percent_encoding import safe_excerpt
from proxy.smartcrop.coco import COCO_CLASSES
from proxy.smartcrop.focus import MAX_NAMES, MAX_WEIGHT, class_of, write_focus
from proxy.text_values import did_you_mean

_HEX_COLOR = re.compile(r"[0-9a-fA-F]{3}|[0-9a-fA-F]{6}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9_-]*=*", re.ASCII)
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))

COMPASS = {
    "ce": "center",
    "no": "north",
    "so": "south",
    "ea": "east",
    "we": "west",
    "noea": "northeast",
    "nowe": "northwest",
    "soea": "southeast",
    "sowe": "southwest",
}
_KINDS = ("face", "person", "animal", "object")
"""What detectors find; imgproxy has the first two, and classes."""


class Gravity(Struct, frozen=True):
    """Where the window is: ``position`` as the operations name it, with offsets from there."""

    position: str = "center"
    x_offset: float = 0.0
    y_offset: float = 0.0
    focus: str = "auto"

    def steps(self) -> dict[str, object]:
        """The fields of an operation."""
        return {
            "gravity": self.position,
            "x_offset": self.x_offset,
            "y_offset": self.y_offset,
        }

    def crop_steps(self) -> dict[str, object]:
        return {**self.steps(), "focus": self.focus}


def check_count(option: str, args: Sequence[str], most: int, least: int = 1) -> None:
    if not least <= len(args) <= most:
        wanted = str(most) if least == most else f"{least} to {most}"
        raise InvalidLink(f"{option}: takes {wanted} values, not {len(args)}")


def parse_bool(option: str, text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise InvalidLink(f"{option}: must be 1, t, true, 0, f or false, not {safe_excerpt(text)}")


def parse_hex_color(option: str, text: str) -> str:
    """Return six digits, as a native link has them."""
    if not _HEX_COLOR.fullmatch(text):
        raise InvalidLink(
            f"{option}: must be a color of 3 or 6 hexadecimal digits, not {safe_excerpt(text)}"
        )
    digits = text.lower()
    return digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)


def decode_base64(text: str) -> bytes | None:
    """Decode base64url, with or without padding; None for what is neither."""
    digits = text.rstrip("=")
    if not _BASE64.fullmatch(text) or len(digits) % 4 == 1:
        return None
    return urlsafe_b64decode(digits + "=" * (-len(digits) % 4))


def parse_base64(option: str, text: str) -> str:
    """Decode base64url to text without control characters."""
    data = decode_base64(text)
    decoded = data.decode(errors="replace") if data is not None else "\ufffd"
    if "\ufffd" in decoded or not decoded.isprintable():
        raise InvalidLink(f"{option}: must be UTF-8 text in base64url")
    return decoded


def parse_gravity(
    option: str, args: Sequence[str], *, smart: bool = True, before: Gravity | None = None
) -> Gravity:
    """Parse a gravity: its type, and offsets or a point.

    ``smart``: whether it may follow the subject. Empty offsets keep those of ``before``.
    """
    kind, *rest = args
    match kind:
        case "fp":
            check_count(f"{option}:fp", rest, 2, 2)
            x, y = (parse_float(f"{option}:fp", text, 0, 1) for text in rest)
            return Gravity(f"{_format_fraction(x)},{_format_fraction(y)}")
        case "sm" | "obj" if smart:
            return _parse_smart(option, kind, rest)
        case "objw" if smart:
            return _parse_weighted(option, rest)
    if kind not in COMPASS:
        kinds = ", ".join((*COMPASS, "fp", *(("sm", "obj", "objw") if smart else ())))
        raise InvalidLink(f"{option}: must be one of {kinds}, not {safe_excerpt(kind)}")
    check_count(f"{option}:{kind}", rest, 2, 0)
    known = (before.x_offset, before.y_offset) if before else (0.0, 0.0)
    x_offset, y_offset = (
        parse_float(option, text, -16_384, 16_384) if text else default
        for text, default in zip((*rest, "", "")[:2], known, strict=True)
    )
    return Gravity(COMPASS[kind], x_offset, y_offset)


def _format_fraction(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _parse_smart(option: str, kind: str, names: Sequence[str]) -> Gravity:
    if kind == "sm" and names:
        raise InvalidLink(f"{option}: sm: takes no offsets")
    known = [_parse_class(option, name) for name in names if name]
    if not known or "all" in known:
        return Gravity("smart")
    return _keep(option, dict.fromkeys(known, 1.0))


def _parse_weighted(option: str, args: Sequence[str]) -> Gravity:
    """Classes, each with its weight."""
    if not args or len(args) % 2:
        raise InvalidLink(f"{option}: objw: takes pairs of a class and its weight")
    weights = {
        _parse_class(option, name): parse_float(f"{option}: objw: {name}", weight, 0.01, MAX_WEIGHT)
        for name, weight in zip(args[::2], args[1::2], strict=True)
    }
    if weights.keys() == {"all"}:
        return Gravity("smart")
    everything = weights.pop("all", None)
    general = {} if everything is None else dict.fromkeys(_KINDS, everything)
    return _keep(option, general | weights)


def _keep(option: str, weights: Mapping[str, float]) -> Gravity:
    if len(weights) > MAX_NAMES:
        raise InvalidLink(f"{option}: at most {MAX_NAMES} classes, not {len(weights)}")
    if max(weights.values()) > MAX_WEIGHT * min(weights.values()):
        raise InvalidLink(f"{option}: weights differ by a factor of {MAX_WEIGHT} at most")
    return Gravity("smart", focus=write_focus(weights))


def _parse_class(option: str, name: str) -> str:
    """A class of COCO, a kind of subject, or ``all``."""
    found = name if name in (*_KINDS, "all") else class_of(name)
    if found is None:
        known = (*_KINDS, "all", *COCO_CLASSES)
        raise InvalidLink(
            f"{option}: there is no class {safe_excerpt(name)}{did_you_mean(name, known)}; "
            "classes are face and those of COCO"
        )
    return found
