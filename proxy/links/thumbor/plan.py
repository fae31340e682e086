"""Translate what a link says into the steps of a plan.

The order is that of thumbor: trim, crop, resize, mirror, then the filters as they are written.
"""

from collections.abc import Callable, Iterator
from typing import Any

from proxy.errors import InvalidLink
from proxy.links.thumbor.config import ImagorConfig, ThumborConfig
from proxy.links.thumbor.filters import trim_step
from proxy.links.thumbor.grammar import LinkParts
from proxy.links.thumbor.state import Step, ThumborState

_COLUMNS = {"left": "west", "right": "east"}
_ROWS = {"top": "north", "bottom": "south"}


def steps(
    parts: LinkParts,
    state: ThumborState,
    config: ThumborConfig | ImagorConfig,
    resolve: Callable[[str], str],
) -> list[Step]:
    """``resolve`` turns the source of a watermark into a source of ours."""
    limits = [{"type": "limit", "frames": state.max_frames}] if state.max_frames else []
    if state.raw:
        return [*limits, {"type": "pass_through"}]
    return [
        *limits,
        *([{"type": "page", "number": state.page}] if state.page else ()),
        *(
            _with_source(step, resolve)
            for step in pixel_steps(parts, state, is_imagor=isinstance(config, ImagorConfig))
        ),
        *_output(state, config),
    ]


def pixel_steps(parts: LinkParts, state: ThumborState, *, is_imagor: bool) -> list[Step]:
    """The steps that change pixels; sources of watermarks are still as in the link."""
    return [
        *_trim(parts, state, is_imagor=is_imagor),
        *_crop(parts, state),
        *_resize(parts, state),
        *([{"type": "flop"}] if parts.mirrors_horizontally else ()),
        *([{"type": "flip"}] if parts.mirrors_vertically else ()),
        *state.steps,
        *_padding(state),
    ]


def _trim(parts: LinkParts, state: ThumborState, *, is_imagor: bool) -> Iterator[Step]:
    if parts.trim is not None:
        tolerance, metric = (1.0, "channel") if is_imagor else (0.0, "euclidean")
        if parts.trim.tolerance is not None:
            tolerance = float(parts.trim.tolerance)
        yield trim_step(parts.trim.corner, tolerance, metric)
    elif state.trim is not None:
        yield state.trim


def _crop(parts: LinkParts, state: ThumborState) -> Iterator[Step]:
    if state.crop is not None:
        yield state.crop
    elif parts.crop is not None:
        left, top, right, bottom = parts.crop
        yield {
            "type": "crop_region",
            "left": left,
            "top": top,
            "right": right,
            "bottom": bottom,
            "is_fraction": max(left, top) < 1 and max(right, bottom) <= 1,
        }


def _resize(parts: LinkParts, state: ThumborState) -> Iterator[Step]:
    width, height = parts.width or None, parts.height or None
    if width is None and height is None:
        return
    is_plain = isinstance(width, int | None) and isinstance(height, int | None)
    is_stretched = parts.is_stretched or state.stretch
    box: dict[str, Any] = {"width_in_px": width, "height_in_px": height}
    if parts.fit != "crop" and not is_stretched:
        yield _fit_in(parts, state, box, is_plain=is_plain)
    elif is_plain and (width is None or height is None):
        yield {"type": "resize", **box, **({"fit": "inside"} if state.no_upscale else {})}
    elif is_stretched:
        if is_plain and not state.no_upscale:
            yield {"type": "resize", **box, "fit": "fill"}
        else:
            yield {"type": "fit_box", **box, "fit": "fill", "enlarge": not state.no_upscale}
    else:
        focal = _shift_focal(parts, state)
        position = "smart" if parts.is_smart and not focal else _position(parts)
        if is_plain and not focal and not state.no_upscale:
            yield {"type": "resize", **box, "position": position}
            return
        yield {
            "type": "fit_box",
            **box,
            "enlarge": not state.no_upscale,
            "position": position,
            "focal": focal,
        }


def _fit_in(parts: LinkParts, state: ThumborState, box: dict[str, Any], *, is_plain: bool) -> Step:
    is_inside = parts.fit == "inside"
    if is_inside and is_plain and not parts.is_adaptive and not state.upscale:
        return {"type": "resize", **box, "fit": "inside"}
    return {
        "type": "fit_box",
        **box,
        "fit": parts.fit,
        "adaptive": parts.is_adaptive,
        "enlarge": state.upscale if is_inside else not state.no_upscale,
    }


def _position(parts: LinkParts) -> str:
    return _ROWS.get(parts.valign, "") + _COLUMNS.get(parts.halign, "") or "center"


def _shift_focal(parts: LinkParts, state: ThumborState) -> list[str]:
    """Focal regions are in pixels of the original; those of a cropped one begin at its corner."""
    if parts.crop is None or not state.focal:
        return state.focal
    left, top = parts.crop[:2]
    shifted = []
    for text in state.focal:
        edges = [float(edge) for edge in text.split("x")]
        if max(edges) <= 1 or max(left, top) < 1:
            shifted.append(text)
            continue
        moved = [max(0.0, edge - (left, top)[index % 2]) for index, edge in enumerate(edges)]
        shifted.append("x".join(f"{edge:.6f}".rstrip("0").rstrip(".") for edge in moved))
    return shifted


def _with_source(step: Step, resolve: Callable[[str], str]) -> Step:
    return {**step, "source": resolve(step["source"])} if step["type"] == "watermark" else step


def _padding(state: ThumborState) -> Iterator[Step]:
    """The padding part of a link that no ``fill`` has added."""
    if state.padding is not None and any(state.padding):
        left, top, right, bottom = state.padding
        yield {
            "type": "extend",
            "top_in_px": top,
            "bottom_in_px": bottom,
            "left_in_px": left,
            "right_in_px": right,
            "hex_color": "transparent",
        }


def _output(state: ThumborState, config: ThumborConfig | ImagorConfig) -> Iterator[Step]:
    quality = state.quality or config.quality
    format = state.format or ("auto" if config.auto_format else "")
    encoders = _encoders(state)
    if format == "heif" and state.lossless:
        raise InvalidLink("lossless: heif is always lossy here; write format(webp)")
    if format and format != "auto":
        options = encoders.get(format, {})
        quality = None if options.get("lossless") else quality
        yield {"type": "convert", "format": format, "quality": quality, **options}
    else:
        if format:
            yield {"type": "convert", "format": format}
        if quality:
            yield {"type": "quality", "quality": quality}
        for encoder, options in encoders.items():
            yield {"type": "encode", "encoder": encoder, **options}
    if state.max_bytes:
        yield {"type": "compress_to_size", "max_file_size_in_bytes": state.max_bytes}


def _encoders(state: ThumborState) -> dict[str, Step]:
    """Options by format; a format that is always lossless, or always lossy, has none for that."""
    lossless = ("avif", "jxl", "webp") if state.lossless else ()
    options: dict[str, Step] = {format: {"lossless": True} for format in lossless}
    if state.png_effort is not None:
        options["png"] = {"effort": state.png_effort}
    return options
