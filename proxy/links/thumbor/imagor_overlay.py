"""Overlays of imagor: where they are placed, and sizes that follow from the picture below."""

import re
from typing import Any

from proxy.errors import InvalidLink
from proxy.links.numbers import parse_int
from proxy.links.percent_encoding import safe_excerpt
from proxy.links.thumbor.state import Step, ThumborState

_MAX_OFFSET = 16_384
_SIDES = {
    "left": "west",
    "l": "west",
    "right": "east",
    "r": "east",
    "top": "north",
    "t": "north",
    "bottom": "south",
    "b": "south",
}
_OUTWARDS = re.compile(r"([a-z]{1,6})-([0-9]{1,5})")
_INWARDS = re.compile(r"(-)?([0-9]{1,5}|0\.[0-9]{1,6})")
_PERCENT = re.compile(r"(-)?([0-9]{1,2})p")
_DIMENSION = r"(-?)((?:full|f)(?:-[0-9]{1,5})?|[0-9]*)"
_DIMENSIONS = re.compile(f"{_DIMENSION}x{_DIMENSION}")
_KEEP_SIZE = frozenset(
    (
        *("blur", "blur_detections", "contrast", "flip", "flop", "gamma", "grayscale"),
        *("invert_colors", "modulate", "pixelate", "remove_transparency", "round_corners"),
        *("sharpen", "shift_colors", "text", "watermark"),
    )
)


def place(name: str, x: str, y: str) -> dict[str, Any]:
    """The fields of `watermark` for places such as ``right-10``, ``-20``, ``10p``, ``repeat``."""
    column, x_offset = _parse_place(f"{name}: x", x, ("west", "east"))
    row, y_offset = _parse_place(f"{name}: y", y, ("north", "south"))
    repeats = column == "repeat", row == "repeat"
    column, row = column.replace("repeat", "west"), row.replace("repeat", "north")
    fields: dict[str, Any] = {
        "position": f"{row}{column}" or "center",
        "x_offset_in_px": x_offset,
        "y_offset_in_px": y_offset,
    }
    if any(repeats):
        direction = {(True, True): "both", (True, False): "horizontal"}.get(repeats, "vertical")
        fields |= {"tile": True, "tile_direction": direction}
    return fields


def _parse_place(name: str, text: str, sides: tuple[str, str]) -> tuple[str, float]:
    """The side that the offset starts from, empty at the center, and the offset from it inwards.

    Below 1 it is a fraction.
    """
    near, far = sides
    if text in ("center", "repeat"):
        return text.replace("center", ""), 0.0
    if _SIDES.get(text) in sides:
        return _SIDES[text], 0.0
    if (found := _OUTWARDS.fullmatch(text)) and _SIDES.get(found[1]) in sides:
        return _SIDES[found[1]], -float(found[2])
    if found := _PERCENT.fullmatch(text):
        return (far if found[1] else near), int(found[2]) / 100
    if (found := _INWARDS.fullmatch(text or "0")) and float(found[2]) <= _MAX_OFFSET:
        return (far if found[1] else near), float(found[2])
    words = "left, right" if near == "west" else "top, bottom"
    raise InvalidLink(
        f"{name}: must be pixels, a percentage up to 99 such as 10p, or a fraction such as 0.1, "
        f"each with - in front from the far edge, {words}, center or repeat, not "
        f"{safe_excerpt(text)}"
    )


def resolve_full_sides(name: str, path: str, state: ThumborState) -> str:
    """Write pixels for ``full`` and ``full-20`` in the size of an overlay's path."""
    segments = path.split("/")
    for index, segment in enumerate(segments):
        if segment.startswith("filters:"):
            break
        if found := _DIMENSIONS.fullmatch(segment):
            if "f" in segment:
                segments[index] = _full_sides(name, found, state)
            break
    return "/".join(segments)


def _full_sides(name: str, found: re.Match[str], state: ThumborState) -> str:
    size = _known_size(state)
    if size is None:
        raise InvalidLink(
            f"{name}: full is possible where the link gives the picture a width and a height that "
            "no filter in front changes, without fit-in or with fill; write pixels"
        )
    sides = []
    for sign, text, length in ((found[1], found[2], size[0]), (found[3], found[4], size[1])):
        if text.startswith("f"):
            inset = parse_int(f"{name}: full", text.partition("-")[2] or "0", 0, _MAX_OFFSET)
            if inset >= length:
                raise InvalidLink(f"{name}: {safe_excerpt(text)}: the picture has {length} pixels")
            text = str(length - inset)  # noqa: PLW2901 - one side as it is written
        sides.append(f"{sign}{text}")
    return "x".join(sides)


def _known_size(state: ThumborState) -> tuple[int, int] | None:
    """The size that the picture has after the filters so far, if the link alone decides it."""
    width, height = state.box
    is_exact = bool(width and height) and not state.no_upscale
    size = (width, height) if is_exact and not state.is_fit_in else None
    for step in state.steps:
        size = _size_after(step, size)
    return size


def _size_after(step: Step, size: tuple[int, int] | None) -> tuple[int, int] | None:
    match step["type"]:
        case "canvas" if step["width"] and step["height"] and not step.get("adaptive"):
            return step["width"], step["height"]
        case "extend" if size is not None:
            return (
                size[0] + step["left_in_px"] + step["right_in_px"],
                size[1] + step["top_in_px"] + step["bottom_in_px"],
            )
        case "rotate" if size is not None and step["angle_in_degrees"] % 90 == 0:
            return size if step["angle_in_degrees"] % 180 == 0 else (size[1], size[0])
        case kind if kind in _KEEP_SIZE:
            return size
    return None
