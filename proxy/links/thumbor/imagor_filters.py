"""The filters of imagor: those that it shares with thumbor, its own, and its other values."""

import re
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from typing import get_args

from proxy.errors import InvalidLink
from proxy.imaging.alpha import BlendMode
from proxy.links.numbers import parse_float, parse_int
from proxy.links.option_values import MAX_EXPIRES, MAX_FILENAME_LENGTH
from proxy.links.percent_encoding import safe_excerpt
from proxy.links.thumbor.colors import parse_color
from proxy.links.thumbor.filters import (
    FORMATS,
    SHARED_FILTERS,
    Filter,
    add_focal,
    add_round_corners,
    fill,
    flag,
    format_filter,
    nothing,
    step,
    trim_step,
    unsupported,
    watermark_filter,
    whole_number,
    without_values,
)
from proxy.links.thumbor.grammar import split_link
from proxy.links.thumbor.imagor_overlay import place, resolve_full_sides
from proxy.links.thumbor.plan import pixel_steps
from proxy.links.thumbor.state import SIZE_FLAGS, ThumborState, open_state
from proxy.links.thumbor.values import check_count, parse_bool

_FOCAL = re.compile(
    r"([0-9]{0,6}\.?[0-9]{1,6})x([0-9]{0,6}\.?[0-9]{1,6})"
    r":([0-9]{0,6}\.?[0-9]{1,6})x([0-9]{0,6}\.?[0-9]{1,6})"
)
_MAX_TEXT = 500
_MAX_EDGE = 1_000_000
_QUARTERS = (0, 90, 180, 270)
_TRIM_TOLERANCE = 1.0
_DEFAULT_TEXT_SIZE = 20


def _fill(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    color = "transparent" if args[0] in ("none", "transparent") else args[0]
    known = ("auto", "blur", "transparent")
    fill(state, color if color in known else parse_color(name, color))


def _focal(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 2)
    if len(args) == 2:
        x, y = (parse_float(name, text, 0, _MAX_EDGE) for text in args)
        add_focal(state, name, [x, y, x, y])
        return
    found = _FOCAL.fullmatch(args[0])
    if found is None:
        raise InvalidLink(f"{name}: must be LEFTxTOP:RIGHTxBOTTOM, not {safe_excerpt(args[0])}")
    add_focal(state, name, [float(number) for number in found.groups()])


def _blur(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 2)
    if sigma := parse_float(f"{name}: sigma", args[-1] or args[0], 0, 100):
        step(state, "blur", sigma=sigma)


def _sharpen(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 3)
    if sigma := parse_float(f"{name}: sigma", args[0], 0, 10):
        step(state, "sharpen", sigma=sigma)


def _rotate(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    degrees = parse_int(name, args[0], 0, 270)
    if degrees not in _QUARTERS:
        raise InvalidLink(f"{name}: must be 0, 90, 180 or 270, not {degrees}")
    if degrees:
        step(state, "rotate", angle_in_degrees=degrees)


def _round_corner(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 3)
    x, y, color = (*args, "", "")[:3]
    add_round_corners(state, name, x, y, parse_color(name, color) if color else None)


def _hue(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    if degrees := parse_float(name, args[0], -36_000, 36_000):
        step(state, "modulate", hue=degrees)


def _saturation(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    step(state, "modulate", saturation=1 + parse_float(name, args[0], -100, 100) / 100)


def _pixelate(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 0, 1)
    step(state, "pixelate", size=parse_int(name, args[0] if args else "10", 2, 512))


def _trim(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 0, 2)
    tolerance, corner = (*args, "", "")[:2]
    state.trim = trim_step(
        corner, parse_float(name, tolerance, 0, 442) if tolerance else _TRIM_TOLERANCE, "channel"
    )


def _crop(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 4, 4)
    left, top, width, height = (parse_float(name, text, 0, _MAX_EDGE) for text in args)
    is_fraction = max(left, top) < 1 and max(width, height) <= 1
    state.crop = {
        "type": "crop_region",
        "left": left,
        "top": top,
        "right": round(left + width, 6),
        "bottom": round(top + height, 6),
        "is_fraction": is_fraction,
    }


def _orient(_state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1, 1)
    degrees = parse_int(name, args[0], 0, 270)
    if degrees:
        raise InvalidLink(f"{name}: originals are upright by their EXIF data; see rotate")


def _label(state: ThumborState, name: str, args: Sequence[str]) -> None:
    """Text, x, y, size, color, transparency, font."""
    check_count(name, args, 1, 7)
    text, x, y, size, color, transparency, font = (*args, *("",) * 6)[:7]
    if font:
        raise InvalidLink(f"{name}: the font cannot be chosen; it is DejaVu Sans")
    columns = {"left": "west", "center": "", "right": "east", "": "west", "0": "west"}
    rows = {"top": "north", "center": "", "bottom": "south", "": "north", "0": "north"}
    if x not in columns or y not in rows:
        raise InvalidLink(
            f"{name}: the place must be left, center or right, and top, center or bottom, not "
            f"{safe_excerpt(x)}, {safe_excerpt(y)}"
        )
    step(
        state,
        "text",
        text=_parse_text(name, text),
        size_in_px=parse_int(f"{name}: size", size, 4, 1000) if size else _DEFAULT_TEXT_SIZE,
        hex_color=parse_color(name, color) if color else "000000",
        position=f"{rows[y]}{columns[x]}" or "center",
        margin_in_px=0,
        opacity_in_percent=100 - parse_int(f"{name}: alpha", transparency or "0", 0, 100),
    )


def _parse_text(name: str, text: str) -> str:
    if text.startswith("b64:"):
        encoded = text.removeprefix("b64:").rstrip("=")
        try:
            text = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        except (Base64Error, UnicodeDecodeError, ValueError):
            raise InvalidLink(f"{name}: b64: must be UTF-8 text in base64url") from None
    if not 1 <= len(text) <= _MAX_TEXT:
        raise InvalidLink(f"{name}: the text must have 1 to {_MAX_TEXT} characters")
    return text


def _redact(state: ThumborState, name: str, args: Sequence[str]) -> None:
    """Cover the faces that are found; the mode, and the least strength."""
    check_count(name, args, 0, 2)
    mode, strength = (*args, "", "")[:2]
    match mode:
        case "" | "blur":
            least = parse_float(f"{name}: strength", strength, 0.1, 100) if strength else 15.0
            step(state, "blur_detections", sigma=least)
        case "pixelate":
            side = parse_int(f"{name}: strength", strength, 2, 512) if strength else None
            step(state, "pixelate_detections", size=side)
        case _:
            raise InvalidLink(
                f"{name}: only blur and pixelate are possible, not {safe_excerpt(mode)}"
            )


def _attachment(state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 0, 1)
    filename = args[0] if args else ""
    if any(character in filename for character in '/\\":') or not filename.isprintable():
        raise InvalidLink(f"{name}: no slashes, colons, quotes or unprintable characters")
    if len(filename) > MAX_FILENAME_LENGTH:
        raise InvalidLink(f"{name}: must have at most {MAX_FILENAME_LENGTH} characters")
    state.attachment, state.filename = True, filename


def _expire(state: ThumborState, name: str, args: Sequence[str]) -> None:
    """In milliseconds; it ends with the second that it lies in."""
    check_count(name, args, 1, 1)
    state.expires = -(-parse_int(name, args[0], 1, MAX_EXPIRES * 1000) // 1000)


def _to_colorspace(_state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 0, 1)
    if args and args[0] not in ("", "srgb"):
        raise InvalidLink(f"{name}: results are in srgb, not in {safe_excerpt(args[0])}")


def _strip_metadata(_state: ThumborState, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 0, 1)
    if args and args[0] and not parse_bool(name, args[0]):
        raise InvalidLink(f"{name}: metadata is always removed here")


def _image(state: ThumborState, name: str, args: Sequence[str]) -> None:
    """A link without signature that makes the overlay, x, y, transparency, blend mode."""
    check_count(name, args, 1, 5)
    path, x, y, transparency, blend_mode = (*args, *("",) * 4)[:5]
    parts = split_link(resolve_full_sides(name, path.removeprefix("/"), state), is_imagor=True)
    if parts.is_meta:
        raise InvalidLink(f"{name}: meta: an overlay is an image")
    overlay = open_state(parts)
    for call in sorted(parts.filters, key=lambda call: call.name not in SIZE_FLAGS):
        if call.name not in _OVERLAY_FILTERS:
            raise InvalidLink(
                f"{name}: {safe_excerpt(call.name)} is no filter of an overlay; filters: "
                f"{', '.join(_OVERLAY_FILTERS)}"
            )
        IMAGOR_FILTERS[call.name](overlay, f"{name}: {call.name}", call.args)
    step(
        state,
        "watermark",
        source=parts.image,
        **place(name, x, y),
        opacity_in_percent=100 - parse_float(f"{name}: alpha", transparency or "0", 0, 100),
        blend_mode=_parse_blend_mode(name, blend_mode.lower() or "normal"),
        steps=pixel_steps(parts, overlay, is_imagor=True),
    )


def _parse_blend_mode(name: str, mode: str) -> str:
    if mode not in get_args(BlendMode):
        raise InvalidLink(
            f"{name}: the blend mode must be one of {', '.join(get_args(BlendMode))}, not "
            f"{safe_excerpt(mode)}"
        )
    return mode


_META_ONLY = "is part of the description of every original: write meta/ in front"
_ENCODER = "encoders are not set by links"

IMAGOR_FILTERS: Mapping[str, Filter] = {
    **SHARED_FILTERS,
    "attachment": _attachment,
    "blur": _blur,
    "crop": _crop,
    "expire": _expire,
    "fill": _fill,
    "focal": _focal,
    "format": format_filter({**FORMATS, "jxl": "jxl"}),
    "hue": _hue,
    "image": _image,
    "invert": without_values("invert_colors"),
    "compression": whole_number("png_effort", 0, 9),
    "label": _label,
    "lossless": flag("lossless"),
    "max_frames": whole_number("max_frames", 1, 10_000),
    "orient": _orient,
    "page": whole_number("page", 1, 10_000),
    "pixelate": _pixelate,
    "preview": nothing,
    "raw": flag("raw"),
    "redact": _redact,
    "redact_oval": _redact,
    "rotate": _rotate,
    "round_corner": _round_corner,
    "saturation": _saturation,
    "sharpen": _sharpen,
    "strip_metadata": _strip_metadata,
    "text": _label,
    "to_colorspace": _to_colorspace,
    "trim": _trim,
    "watermark": watermark_filter(place),
    "avgcolor": unsupported(_META_ONLY),
    "blurhash": unsupported(_META_ONLY),
    "thumbhash": unsupported(_META_ONLY),
    "bitdepth": unsupported(_ENCODER),
    "palette": unsupported(_ENCODER),
    "dpi": unsupported("documents are drawn at one resolution"),
    "draw_detections": unsupported("detections are not drawn"),
}

_OVERLAY_FILTERS = (
    *("background_color", "blur", "brightness", "contrast", "crop", "fill", "focal", "grayscale"),
    *("hue", "invert", "label", "no_upscale", "pixelate", "proportion", "redact", "rgb"),
    *("redact_oval", "rotate"),
    *("round_corner", "saturation", "sharpen", "strip_exif", "strip_icc", "strip_metadata"),
    *("stretch", "text", "to_colorspace", "trim", "upscale"),
)
"""Those that change its pixels, or nothing. An overlay has no format, and no overlay of its own."""
