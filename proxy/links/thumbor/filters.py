"""The filters that thumbor and imagor share, and those of thumbor alone."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from proxy.errors import InvalidLink
from proxy.links.numbers import parse_float, parse_int
from proxy.links.percent_encoding import safe_excerpt
from proxy.links.thumbor.colors import parse_color
from proxy.links.thumbor.state import ThumborState
from proxy.links.thumbor.values import check_count, parse_bool

Filter = Callable[[ThumborState, str, Sequence[str]], None]
"""Applies a filter, by its name, with its values. Raises InvalidLink."""

FORMATS: Mapping[str, str] = {
    "jpeg": "jpeg",
    "jpg": "jpeg",
    "png": "png",
    "webp": "webp",
    "avif": "avif",
    "gif": "gif",
    "heic": "heif",
    "heif": "heif",
}
_MAX_BYTES = 1_073_741_824
_MAX_AGE = 31_536_000
_FOCAL = re.compile(r"([0-9]{1,6})x([0-9]{1,6}):([0-9]{1,6})x([0-9]{1,6})")
_WATERMARK_PLACE = re.compile(r"(-)?([0-9]{1,5})(p)?")


def step(state: ThumborState, kind: str, /, **fields: Any) -> None:
    state.steps.append({"type": kind, **fields})


def without_values(kind: str, **fields: Any) -> Filter:
    """A filter without values that is one step."""

    def apply(state: ThumborState, name: str, args: Sequence[str]) -> None:
        check_count(name, [arg for arg in args if arg], 0, 0)
        step(state, kind, **fields)

    return apply


def flag(field: str) -> Filter:
    """A filter without values that sets a field."""

    def apply(state: ThumborState, name: str, args: Sequence[str]) -> None:
        check_count(name, [arg for arg in args if arg], 0, 0)
        setattr(state, field, True)

    return apply


def nothing(state: ThumborState, name: str, args: Sequence[str]) -> None:
    """For what is always so here."""
    del state
    check_count(name, [arg for arg in args if arg], 0, 0)


def whole_number(field: str, least: int, most: int) -> Filter:
    def apply(state: ThumborState, name: str, args: Sequence[str]) -> None:
        check_count(name, args, 1, 1)
        setattr(state, field, parse_int(name, args[0], least, most))

    return apply


def unsupported(reason: str) -> Filter:
    def apply(_state: ThumborState, name: str, _args: Sequence[str]) -> None:
        raise InvalidLink(f"{name}: {reason}")

    return apply


def format_filter(formats: Mapping[str, str]) -> Filter:
    def apply(state: ThumborState, name: str, args: Sequence[str]) -> None:
        check_count(name, args, 1, 1)
        if args[0].lower() not in formats:
            raise InvalidLink(
                f"{name}: must be one of {', '.join(formats)}, not {safe_excerpt(args[0])}"
            )
        state.format = formats[args[0].lower()]

    return apply


def _quality(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    state.quality = max(1, parse_int(name, args[0], 0, 100))


def _background_color(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    if args[0] == "auto":
        raise InvalidLink(f"{name}: auto is possible with fill only")
    step(state, "remove_transparency", hex_color=parse_color(name, args[0]))


def _brightness(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    if percent := parse_float(name, args[0], -100, 100):
        step(
            state,
            "shift_colors",
            red_in_percent=percent,
            green_in_percent=percent,
            blue_in_percent=percent,
        )


def _contrast(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    percent = parse_float(name, args[0], -100, 100)
    if percent:
        step(state, "contrast", factor=round(((100 + percent) / 100) ** 2, 4))


def _rgb(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 3, 3)
    red, green, blue = (parse_float(name, text, -100, 100) for text in args)
    step(state, "shift_colors", red_in_percent=red, green_in_percent=green, blue_in_percent=blue)


def _saturation(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    step(state, "modulate", saturation=parse_float(name, args[0], 0, 10))


def _proportion(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    share = parse_float(name, args[0], 0.0001, 1)
    if share < 1:
        step(state, "fit_box", scale=share)


def fill(state: ThumborState, color: str, *, flatten: str = "") -> None:
    """Pad to the requested size, and by the padding part of the link."""
    if state.padding is not None and color in ("auto", "blur"):
        raise InvalidLink(f"fill: {color} is not possible with padding; give a color")
    if flatten:
        step(state, "remove_transparency", hex_color=flatten)
    width, height = state.box
    if width or height:
        swap = {"adaptive": True} if state.is_adaptive else {}
        step(state, "canvas", width=width, height=height, background=color, **swap)
    if state.padding is not None:
        left, top, right, bottom = state.padding
        state.padding = None
        step(
            state,
            "extend",
            top_in_px=top,
            bottom_in_px=bottom,
            left_in_px=left,
            right_in_px=right,
            hex_color=color,
        )


def _fill(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 2)
    fills_transparent = bool(args[1:]) and parse_bool(name, args[1])
    if args[0] in ("auto", "blur", "transparent"):
        if fills_transparent:
            raise InvalidLink(f"{name}: transparent parts can be filled with a color only")
        fill(state, args[0])
        return
    color = parse_color(name, args[0])
    fill(state, color, flatten=color if fills_transparent else "")


def _focal(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    found = _FOCAL.fullmatch(args[0])
    if found is None:
        raise InvalidLink(
            f"{name}: must be LEFTxTOP:RIGHTxBOTTOM in pixels, not {safe_excerpt(args[0])}"
        )
    add_focal(state, name, [float(number) for number in found.groups()])


def add_focal(state: ThumborState, name: str, edges: Sequence[float]) -> None:
    left, top, right, bottom = edges
    if left > right or top > bottom:
        raise InvalidLink(f"{name}: right and bottom must not be less than left and top")
    state.focal.append("x".join(f"{edge:.6f}".rstrip("0").rstrip(".") for edge in edges))


def _blur(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 2)
    radius = parse_int(f"{name}: radius", args[0], 0, 150)
    sigma = parse_float(f"{name}: sigma", args[1], 0, 150) if args[1:] and args[1] else 0.0
    if radius:
        step(state, "blur", sigma=_truncated_sigma(radius, sigma or radius))


def _truncated_sigma(radius: int, sigma: float) -> float:
    """The standard deviation of a Gauss curve that is cut off at the radius."""
    weights = [math.exp(-((at / sigma) ** 2) / 2) for at in range(-radius, radius + 1)]
    squares = zip(weights, range(-radius, radius + 1), strict=True)
    variance = sum(weight * at**2 for weight, at in squares) / sum(weights)
    return max(0.1, round(math.sqrt(variance), 2))


def _sharpen(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 3, 3)
    amount = parse_float(f"{name}: amount", args[0], 0, 10)
    radius = parse_float(f"{name}: radius", args[1], 0, 2)
    parse_bool(f"{name}: luminance_only", args[2])  # hue and saturation never change here
    if amount and radius:
        step(state, "sharpen", sigma=max(0.1, radius), strength=amount)


def _cover(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, [arg for arg in args if arg], 0, 0)
    state.max_frames = 1


def _rotate(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    degrees = parse_int(name, args[0], -36_000, 36_000)
    if degrees % 90:
        raise InvalidLink(f"{name}: must be a multiple of 90, not {degrees}")
    if degrees % 360:  # counter-clockwise
        step(state, "rotate", angle_in_degrees=-degrees % 360)


def _round_corner(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 5)
    x_radius, _, y_radius = args[0].partition("|")
    color = args[1:4]
    if color and len(color) < 3:
        raise InvalidLink(f"{name}: takes red, green and blue")
    red, green, blue = (parse_int(name, text, 0, 255) for text in color or ("255",) * 3)
    is_transparent = len(args) > 4 and parse_bool(f"{name}: transparent", args[4])
    add_round_corners(
        state,
        name,
        x_radius,
        y_radius,
        None if is_transparent else f"{red:02x}{green:02x}{blue:02x}",
    )


def add_round_corners(
    state: ThumborState, name: str, x_radius: str, y_radius: str, color: str | None
) -> None:
    x = parse_int(f"{name}: radius", x_radius, 0, 8192)
    y = parse_int(f"{name}: vertical radius", y_radius, 0, 8192) if y_radius else x
    if x and y:
        vertical = {} if x == y else {"vertical_radius_in_px": y}
        step(state, "round_corners", radius_in_px=x, hex_color=color, **vertical)


def watermark_filter(place: Callable[[str, str, str], dict[str, Any]]) -> Filter:
    """The filter, where ``place`` makes fields of the operation of its name, x and y."""

    def apply(state: ThumborState, name: str, args: Sequence[str]) -> None:
        """Source, x, y, transparency in percent, the most of width and height in percent."""
        check_count(name, args, 1, 6)
        source, x, y, transparency, *sizes = (*args, *("0", "0", "0", "", "")[len(args) - 1 :])
        if not source:
            raise InvalidLink(f"{name}: needs the source of the watermark")
        step(
            state,
            "watermark",
            source=source,
            **place(name, x, y),
            opacity_in_percent=100 - parse_float(f"{name}: alpha", transparency or "0", 0, 100),
            scale=_parse_ratio(f"{name}: width", sizes[0]),
            height_scale=_parse_ratio(f"{name}: height", sizes[1]),
        )

    return apply


def _place(name: str, x: str, y: str) -> dict[str, Any]:
    column, x_offset = _parse_place(f"{name}: x", x, ("west", "east"))
    row, y_offset = _parse_place(f"{name}: y", y, ("north", "south"))
    if column == "repeat":
        direction = "both" if row == "repeat" else "horizontal"
    else:
        direction = "vertical" if row == "repeat" else ""
    if direction:
        column = "west" if column == "repeat" else column
        row = "north" if row == "repeat" else row
    position = "".join(part for part in (row, column) if part) or "center"
    return {
        "position": position,
        "x_offset_in_px": x_offset,
        "y_offset_in_px": y_offset,
        **({"tile": True, "tile_direction": direction} if direction else {}),
    }


def _parse_place(name: str, text: str, sides: tuple[str, str]) -> tuple[str, float]:
    """The side that the offset starts from, and the offset; below 1 it is a fraction."""
    if text in ("center", "repeat"):
        return ("" if text == "center" else text), 0.0
    names = {"left": sides[0], "top": sides[0], "right": sides[1], "bottom": sides[1]}
    if text in names:
        return names[text], 0.0
    found = _WATERMARK_PLACE.fullmatch(text or "0")
    number = int(found[2]) if found else 0
    if found is None or (found[3] and number > 99):
        raise InvalidLink(
            f"{name}: must be pixels, a percentage up to 99 such as 10p, either with - in front "
            f"from the far edge, center or repeat, not {safe_excerpt(text)}"
        )
    return sides[1] if found[1] else sides[0], number / 100 if found[3] else float(number)


def _parse_ratio(name: str, text: str) -> float | None:
    if text in ("", "none", "0"):
        return None
    return parse_float(name, text, 0.01, 100) / 100


def trim_step(corner: str, tolerance: float, metric: str) -> dict[str, Any]:
    return {
        "type": "trim",
        "threshold": tolerance,
        "corner": "southeast" if corner == "bottom-right" else "northwest",
        "metric": metric,
    }


SHARED_FILTERS: Mapping[str, Filter] = {
    "background_color": _background_color,
    "brightness": _brightness,
    "contrast": _contrast,
    "format": format_filter(FORMATS),
    "grayscale": without_values("grayscale"),
    "max_bytes": whole_number("max_bytes", 1, _MAX_BYTES),
    "no_upscale": flag("no_upscale"),
    "proportion": _proportion,
    "quality": _quality,
    "rgb": _rgb,
    "saturation": _saturation,
    "stretch": flag("stretch"),
    "strip_exif": nothing,
    "strip_icc": nothing,
    "upscale": flag("upscale"),
}

THUMBOR_FILTERS: Mapping[str, Filter] = {
    **SHARED_FILTERS,
    "blur": _blur,
    "cover": _cover,
    "fill": _fill,
    "focal": _focal,
    "max_age": whole_number("max_age", 0, _MAX_AGE),
    "rotate": _rotate,
    "round_corner": _round_corner,
    "sharpen": _sharpen,
    "watermark": watermark_filter(_place),
    "autojpg": unsupported("formats are not guessed; write format(jpeg)"),
    "colorize": unsupported("no operation blends a color into the channels"),
    "convolution": unsupported("kernels are not possible; see blur and sharpen"),
    "curve": unsupported("tone curves are not possible; see brightness and contrast"),
    "equalize": unsupported("histograms are not equalized; see contrast"),
    "extract_focal": unsupported("sources are not read as links; write focal(…)"),
    "frame": unsupported("nine-patch frames are not possible; see watermark"),
    "gifv": unsupported("videos are not written; write format(webp)"),
    "noise": unsupported("noise is not possible"),
    "red_eye": unsupported("red eyes are not corrected"),
}
