"""Translate modifiers into the steps of a plan.

Whatever the order of the modifiers, IPX sorts them by name, and sharp, which it calls, has one
order of work. It turns the picture before it scales it where ``rotate`` is sorted first, which is
with ``s``, ``w``, ``width`` and ``trim``, and otherwise afterwards. Where the operation `resize`
gives the same result it is used, so that equal native links share the result.
"""

from collections.abc import Iterator
from typing import Any

from proxy.errors import InvalidLink
from proxy.links.ipx.state import LinkModifiers

Step = dict[str, Any]
"""An operation as in JSON."""

_BLACK = "000000"


def plan_steps(modifiers: LinkModifiers) -> list[Step]:
    """The steps of a plan. Raises InvalidLink for sizes that contradict each other."""
    _check(modifiers)
    return [
        *_limit(modifiers),
        *_gamma_in(modifiers),
        *_geometry(modifiers),
        *_filters(modifiers),
        *_tones(modifiers),
        *_output(modifiers),
    ]


def _check(modifiers: LinkModifiers) -> None:
    if modifiers.box and (modifiers.width or modifiers.height):
        raise InvalidLink("s: with w or h it says two sizes; write one of them")
    if modifiers.box and modifiers.is_box_first and modifiers.rotate % 360:
        raise InvalidLink("resize: with rotate, write s in its place")


def _limit(modifiers: LinkModifiers) -> Iterator[Step]:
    if modifiers.format in ("webp", "avif", "auto") and not modifiers.animated:
        yield {"type": "limit", "frames": 1}


def _geometry(modifiers: LinkModifiers) -> Iterator[Step]:
    turn = _turn(modifiers)
    mirror: list[Step] = [
        *([{"type": "flip"}] if modifiers.flip else ()),
        *([{"type": "flop"}] if modifiers.flop else ()),
    ]
    cut = [*_trim(modifiers), *_extract(modifiers)]
    is_turned_first = bool(modifiers.width or modifiers.box or modifiers.trim is not None)
    if is_turned_first and turn:
        yield from (*mirror, *turn, *cut, *_resize(modifiers))
    else:
        yield from (*cut, *mirror, *_resize(modifiers), *turn)
        if modifiers.height and modifiers.rotate % 180 == 90:
            # sharp crops to the height that it has scaled to before.
            yield {"type": "crop_to", "width": 0, "height": modifiers.height}
    if any(modifiers.extend):
        top, right, bottom, left = modifiers.extend
        yield {
            "type": "extend",
            "top_in_px": top,
            "bottom_in_px": bottom,
            "left_in_px": left,
            "right_in_px": right,
            **_color("hex_color", modifiers.background),
        }
    if modifiers.flatten:
        color = modifiers.background.replace("transparent", "") or _BLACK
        yield {"type": "remove_transparency", **_color("hex_color", color, default="ffffff")}


def _turn(modifiers: LinkModifiers) -> list[Step]:
    angle = modifiers.rotate % 360
    if not angle:
        return []
    fill = _color("hex_color", modifiers.background) if angle % 90 else {}
    return [{"type": "rotate", "angle_in_degrees": angle, **fill}]


def _trim(modifiers: LinkModifiers) -> Iterator[Step]:
    if modifiers.trim is not None:
        yield {"type": "trim", "threshold": modifiers.trim}


def _extract(modifiers: LinkModifiers) -> Iterator[Step]:
    if modifiers.extract is not None:
        left, top, width, height = modifiers.extract
        yield {
            "type": "crop",
            "left_in_px": left,
            "top_in_px": top,
            "width_in_px": width,
            "height_in_px": height,
        }


def _resize(modifiers: LinkModifiers) -> Iterator[Step]:
    if modifiers.box is None:
        # IPX applies the width last, and so it alone counts.
        sides = (
            {"width_in_px": modifiers.width}
            if modifiers.width
            else {"height_in_px": modifiers.height}
        )
        if any(sides.values()):
            yield {"type": "resize", **sides, **({} if modifiers.enlarge else {"fit": "inside"})}
        return
    width, height = modifiers.box
    fit, position = modifiers.fit, modifiers.position
    step: Step = {"width_in_px": width, "height_in_px": height, "fit": fit}
    if fit == "contain":
        step |= _color("background", modifiers.background)
    if fit == "cover" or (fit == "contain" and position not in ("center", "smart")):
        step["position"] = position
    is_simple = fit in ("cover", "fill") or (fit == "contain" and "position" not in step)
    if modifiers.enlarge and is_simple:
        yield {"type": "resize", **step}
    else:
        yield {"type": "scale_to_box", **step, "enlarge": modifiers.enlarge}


def _gamma_in(modifiers: LinkModifiers) -> Iterator[Step]:
    if modifiers.gamma is not None and modifiers.gamma[0] != 1:
        yield {"type": "gamma", "gamma": round(1 / modifiers.gamma[0], 6)}


def _filters(modifiers: LinkModifiers) -> Iterator[Step]:
    if modifiers.grayscale:
        yield {"type": "grayscale"}
    if modifiers.median:
        yield {"type": "denoise", "size": modifiers.median}
    if modifiers.threshold:
        yield {"type": "threshold", "value": modifiers.threshold}
    if modifiers.blur:
        yield {"type": "blur", "sigma": modifiers.blur}
    yield from _modulate(modifiers)
    if modifiers.sharpen:
        yield {"type": "sharpen", "sigma": modifiers.sharpen}
    if modifiers.opacity != 1:
        if modifiers.background:
            raise InvalidLink("opacity: with background is not possible here; leave one of them")
        yield {"type": "opacity", "opacity_in_percent": round(modifiers.opacity * 100)}


def _tones(modifiers: LinkModifiers) -> Iterator[Step]:
    if modifiers.gamma is not None and modifiers.gamma[1] != 1:
        yield {"type": "gamma", "gamma": modifiers.gamma[1]}
    if modifiers.normalize:
        yield {"type": "auto_contrast"}
    if modifiers.tint:
        yield {"type": "tint", "hex_color": modifiers.tint}
    if modifiers.negate:
        yield {"type": "invert_colors"}


def _modulate(modifiers: LinkModifiers) -> Iterator[Step]:
    values: Step = {
        "brightness": modifiers.brightness if modifiers.brightness != 1 else None,
        "saturation": modifiers.saturation if modifiers.saturation != 1 else None,
        "hue": modifiers.hue or None,
    }
    if any(value is not None for value in values.values()):
        yield {"type": "modulate", **values}


def _output(modifiers: LinkModifiers) -> Iterator[Step]:
    format, quality = modifiers.format, modifiers.quality or None
    if format and format != "auto":
        yield {"type": "convert", "format": format, "quality": quality}
        return
    if format:
        yield {"type": "convert", "format": format}
    if quality:
        yield {"type": "quality", "quality": quality}


def _color(field: str, color: str, *, default: str = _BLACK) -> Step:
    """The field of an operation; none where the operation has that color by default."""
    return {} if color in ("", default) else {field: color}
