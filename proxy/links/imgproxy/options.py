"""The processing options of imgproxy: their names, their values, and what they set."""

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from proxy.errors import InvalidLink
from proxy.links.imgproxy.state import (
    CropOption,
    Extension,
    GradientOption,
    ImgproxyState,
    ResizingType,
    TrimOption,
    WatermarkOption,
)
from proxy.links.imgproxy.values import (
    COMPASS,
    check_count,
    parse_base64,
    parse_bool,
    parse_gravity,
    parse_hex_color,
)
from proxy.links.numbers import parse_float, parse_int
from proxy.links.percent_encoding import safe_excerpt

Setter = Callable[[ImgproxyState, str, Sequence[str]], None]
"""Applies an option, by the name that the link gives it, with its values."""

_RESIZING_TYPES = get_args(ResizingType)
_DIRECTIONS = {"down": 0.0, "left": 90.0, "up": 180.0, "right": 270.0}
_FOCUS = {"face": "face", "person": "person", "animal": "animal", "object": "object", "all": "auto"}


def _integer(field: str, least: int = 0, most: int = 16_384) -> Setter:
    def apply(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
        check_count(option, args, 1)
        setattr(state.pipeline, field, parse_int(option, args[0], least, most))

    return apply


def _number(field: str, least: float, most: float) -> Setter:
    def apply(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
        check_count(option, args, 1)
        setattr(state.pipeline, field, parse_float(option, args[0], least, most))

    return apply


def _resize(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 8)
    if args[0]:
        _resizing_type(state, option, args[:1])
    if args[1:]:
        _size(state, option, args[1:])


def _size(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 7)
    pipeline = state.pipeline
    width, height, enlarge = (*args, "", "", "")[:3]
    if width:
        pipeline.width = parse_int(f"{option}: width", width)
    if height:
        pipeline.height = parse_int(f"{option}: height", height)
    if enlarge:
        pipeline.enlarge = parse_bool(f"{option}: enlarge", enlarge)
    if args[3:] and any(args[3:]):
        pipeline.extend = _extension(f"{option}: extend", args[3:], pipeline.extend)


def _resizing_type(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    found = next((kind for kind in _RESIZING_TYPES if kind == args[0]), None)
    if found is None:
        raise InvalidLink(
            f"{option}: must be one of {', '.join(_RESIZING_TYPES)}, not {safe_excerpt(args[0])}"
        )
    state.pipeline.resizing_type = found


def _extension(option: str, args: Sequence[str], before: Extension) -> Extension:
    check_count(option, args, 4)
    enabled = parse_bool(option, args[0]) if args[0] else before.enabled
    gravity = args[1:]
    if not any(gravity):
        return Extension(enabled, before.gravity)
    return Extension(enabled, parse_gravity(option, gravity, smart=False, before=before.gravity))


def _extend(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    state.pipeline.extend = _extension(option, args, state.pipeline.extend)


def _extend_aspect_ratio(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    state.pipeline.extend_ratio = _extension(option, args, state.pipeline.extend_ratio)


def _zoom(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 2)
    x_zoom, *rest = (parse_float(option, text, 0.01, 100) for text in args)
    state.pipeline.x_zoom = x_zoom
    state.pipeline.y_zoom = rest[0] if rest else x_zoom


def _enlarge(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.pipeline.enlarge = parse_bool(option, args[0])


def _gravity(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    state.pipeline.gravity = parse_gravity(option, args)


def _crop(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 32 if args[2:3] in (["obj"], ["objw"]) else 5)
    width, height = (
        parse_float(option, text, 0, 100_000) if text else 0.0 for text in (*args, "")[:2]
    )
    gravity = parse_gravity(option, args[2:]) if any(args[2:]) else None
    state.pipeline.crop = CropOption(width, height, gravity) if width or height else None


def _trim(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 4)
    before = state.pipeline.trim or TrimOption()
    threshold, color, horizontal, vertical = (*args, "", "", "")[:4]
    state.pipeline.trim = TrimOption(
        parse_float(option, threshold, 0, 255) if threshold else before.threshold,
        parse_hex_color(option, color) if color else before.color,
        parse_bool(option, horizontal) if horizontal else before.is_equal_horizontally,
        parse_bool(option, vertical) if vertical else before.is_equal_vertically,
    )


def _padding(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 4)
    before = state.pipeline.padding
    top, right, bottom, left = (
        parse_int(option, text) if text else None for text in (*args, "", "", "")[:4]
    )
    if top is not None:  # as in CSS
        before = (top, top, top, top)
    if right is not None:
        before = (before[0], right, before[2], right)
    if bottom is not None:
        before = (before[0], before[1], bottom, before[3])
    if left is not None:
        before = (before[0], before[1], before[2], left)
    state.pipeline.padding = before


def _rotate(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    degrees = parse_int(option, args[0], -36_000, 36_000)
    if degrees % 90:
        raise InvalidLink(f"{option}: must be a multiple of 90, not {degrees}")
    state.pipeline.rotate = degrees % 360


def _flip(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 2)
    horizontal, vertical = (*args, "")[:2]
    if horizontal:
        state.pipeline.flip_horizontally = parse_bool(option, horizontal)
    if vertical:
        state.pipeline.flip_vertically = parse_bool(option, vertical)


def _background(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    match args:
        case [""]:
            state.pipeline.background = None
        case [color]:
            state.pipeline.background = parse_hex_color(option, color)
        case [_, _, _]:
            red, green, blue = (parse_int(option, text, 0, 255) for text in args)
            state.pipeline.background = f"{red:02x}{green:02x}{blue:02x}"
        case _:
            raise InvalidLink(f"{option}: takes a color or red, green and blue")


def _monochrome(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 2)
    intensity = parse_float(option, args[0], 0, 1)
    color = parse_hex_color(option, args[1]) if args[1:] and args[1] else "b3b3b3"
    if intensity not in (0, 1):
        raise InvalidLink(f"{option}: only the intensities 0 and 1 are possible here")
    state.pipeline.monochrome = color if intensity else None


def _gradient(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 5)
    opacity, color, direction, start, stop = (*args, "", "", "", "")[:5]
    strength = parse_float(option, opacity, 0, 1)
    state.pipeline.gradient = (
        None
        if not strength
        else GradientOption(
            strength,
            parse_hex_color(option, color) if color else "000000",
            _parse_direction(option, direction) if direction else 0.0,
            parse_float(option, start, 0, 1) if start else 0.0,
            parse_float(option, stop, 0, 1) if stop else 1.0,
        )
    )


def _parse_direction(option: str, text: str) -> float:
    if text in _DIRECTIONS:
        return _DIRECTIONS[text]
    return parse_float(f"{option}: {', '.join(_DIRECTIONS)}, or an angle", text, -36_000, 36_000)


def _blur_detections(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    sigma = parse_float(option, args[0], 0, 100)
    kinds = {name: _FOCUS.get(name) for name in args[1:] if name} or {"face": "face"}
    if len(kinds) > 1 or None in kinds.values():
        raise InvalidLink(f"{option}: takes one of {', '.join(_FOCUS)}")
    kind = next(iter(kinds.values())) or "face"
    state.pipeline.blur_detections = (sigma, kind) if sigma else None


def _watermark(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 5)
    before = state.pipeline.watermark
    opacity, position, x_offset, y_offset, scale = (*args, "", "", "", "")[:5]
    positions = {**COMPASS, "re": "tile"}
    if position and position not in positions:
        raise InvalidLink(
            f"{option}: the position must be one of {', '.join(positions)}, not "
            f"{safe_excerpt(position)}"
        )
    state.pipeline.watermark = WatermarkOption(
        parse_float(option, opacity, 0, 1) if opacity else before.opacity,
        positions[position] if position else before.position,
        parse_float(option, x_offset, -16_384, 16_384) if x_offset else before.x_offset,
        parse_float(option, y_offset, -16_384, 16_384) if y_offset else before.y_offset,
        parse_float(option, scale, 0, 1) if scale else before.scale,
    )


def _watermark_url(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.pipeline.watermark_source = parse_base64(option, args[0]) if args[0] else ""


def _watermark_size(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 2)
    width, height = (parse_int(option, text or "0", 0, 16_384) for text in (*args, "")[:2])
    state.pipeline.watermark_size = width, height


def _watermark_rotate(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.pipeline.watermark_angle = parse_float(option, args[0] or "0", -360, 360)


PIPELINE_OPTIONS: Mapping[tuple[str, ...], Setter] = {
    ("resize", "rs"): _resize,
    ("size", "s"): _size,
    ("resizing_type", "rt"): _resizing_type,
    ("width", "w"): _integer("width"),
    ("height", "h"): _integer("height"),
    ("min-width", "mw"): _integer("min_width"),
    ("min-height", "mh"): _integer("min_height"),
    ("zoom", "z"): _zoom,
    ("dpr",): _number("dpr", 0.1, 5),
    ("enlarge", "el"): _enlarge,
    ("extend", "ex"): _extend,
    ("extend_aspect_ratio", "extend_ar", "exar"): _extend_aspect_ratio,
    ("gravity", "g"): _gravity,
    ("crop", "c"): _crop,
    ("trim", "t"): _trim,
    ("padding", "pd"): _padding,
    ("rotate", "rot"): _rotate,
    ("flip", "fl"): _flip,
    ("background", "bg"): _background,
    ("blur", "bl"): _number("blur", 0, 100),
    ("sharpen", "sh"): _number("sharpen", 0, 10),
    ("pixelate", "pix"): _integer("pixelate", 0, 512),
    ("contrast", "co"): _number("contrast", 0, 10),
    ("saturation", "sa"): _number("saturation", 0, 10),
    ("monochrome", "mc"): _monochrome,
    ("gradient", "gr"): _gradient,
    ("blur_detections", "bd"): _blur_detections,
    ("watermark", "wm"): _watermark,
    ("watermark_url", "wmu"): _watermark_url,
    ("watermark_size", "wms"): _watermark_size,
    ("watermark_rotate", "wm_rot", "wmr"): _watermark_rotate,
    ("max_result_dimension", "mrd"): _integer("max_result_dimension"),
}
"""The options of one pipeline, by their names."""
