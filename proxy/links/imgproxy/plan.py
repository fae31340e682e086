"""Translate imgproxy's fixed order of work into the steps of a plan.

Whatever the order of the options, imgproxy trims, turns, crops, scales and crops to the result,
then filters, extends the canvas, flattens it, and lays the watermark over it. Where the operation
`resize` gives the very same result it is used, so that equal native links share the result.
"""

from collections.abc import Iterator
from typing import Any

from proxy.errors import InvalidLink
from proxy.links.imgproxy.config import ImgproxyConfig
from proxy.links.imgproxy.state import ImgproxyState, Pipeline
from proxy.links.source_rules import SourceRules

Step = dict[str, Any]
"""An operation as in JSON."""

_CORNERS = ("northwest", "northeast", "southwest", "southeast")


class PlanTranslator:
    def __init__(self, config: ImgproxyConfig, sources: SourceRules) -> None:
        """``sources`` resolve the source of a watermark."""
        self._config = config
        self._sources = sources

    def steps(self, state: ImgproxyState) -> list[Step]:
        """The steps of a plan. Raises InvalidLink for a watermark that is not set up."""
        limits = _limit(state, self._config.max_animation_frames)
        if state.raw:
            return [*limits, {"type": "pass_through"}]
        skip_formats = state.skip_formats or self._config.skip_formats
        return [
            *limits,
            *([{"type": "page", "number": state.page}] if state.page else ()),
            *(step for pipeline in state.pipelines for step in self._pipeline(pipeline)),
            *self._output(state),
            *([{"type": "pass_through", "formats": list(skip_formats)}] if skip_formats else ()),
        ]

    def _pipeline(self, pipeline: Pipeline) -> Iterator[Step]:
        yield from _trim(pipeline)
        if pipeline.rotate:
            yield {"type": "rotate", "angle_in_degrees": pipeline.rotate}
        if pipeline.flip_horizontally:
            yield {"type": "flop"}
        if pipeline.flip_vertically:
            yield {"type": "flip"}
        if pipeline.crop is not None:
            gravity = pipeline.crop.gravity or pipeline.gravity
            yield {
                "type": "crop_to",
                "width": pipeline.crop.width,
                "height": pipeline.crop.height,
                **gravity.crop_steps(),
            }
        yield from _resize(pipeline)
        yield from _filters(pipeline)
        yield from _extend(pipeline)
        if pipeline.max_result_dimension:
            side = pipeline.max_result_dimension
            yield {"type": "resize", "width_in_px": side, "height_in_px": side, "fit": "inside"}
        if pipeline.background:
            yield {"type": "remove_transparency", "hex_color": pipeline.background}
        yield from _gradient(pipeline)
        yield from self._watermark(pipeline)

    def _watermark(self, pipeline: Pipeline) -> Iterator[Step]:
        watermark = pipeline.watermark
        if not watermark.opacity:
            return
        if pipeline.watermark_source:
            source = self._sources.resolve(pipeline.watermark_source)
        elif self._config.watermark:
            source = self._config.watermark
        else:
            raise InvalidLink(
                "watermark: there is no watermark on this server (FRAMEKEEP_IMGPROXY_WATERMARK)"
            )
        is_tiled = watermark.position == "tile"
        percent = watermark.opacity * self._config.watermark_opacity * 100
        steps = tuple(_watermark_steps(pipeline))
        has_scale = watermark.scale and not any(pipeline.watermark_size)
        yield {
            "type": "watermark",
            "source": source,
            "position": "northwest" if is_tiled else watermark.position,
            "x_offset_in_px": watermark.x_offset,
            "y_offset_in_px": watermark.y_offset,
            "opacity_in_percent": round(percent, 3),
            "scale": watermark.scale if has_scale else None,
            "height_scale": watermark.scale if has_scale else None,
            "tile": is_tiled,
            **({"steps": steps} if steps else {}),
        }

    def _output(self, state: ImgproxyState) -> Iterator[Step]:
        config = self._config
        qualities: dict[str, int] = {}
        if not state.quality:
            for known in (config.format_quality, state.format_quality):
                qualities.update((str(format), quality) for format, quality in known.items())
            qualities = {format: quality for format, quality in qualities.items() if quality}
        general = state.quality or config.quality
        format = state.format or ("auto" if config.auto_format else "")
        encoders = _encoders(state)
        if format and format != "auto":
            options = encoders.get(format, {})
            quality = None if options.get("lossless") else qualities.get(format) or general
            yield {"type": "convert", "format": format, "quality": quality, **options}
        else:
            if format:
                yield {"type": "convert", "format": format}
            lossy = {
                name: number
                for name, number in qualities.items()
                if name in ("jpeg", "webp", "avif", "heif", "jxl")
            }
            if general or lossy:
                yield {"type": "quality", "quality": general, **lossy}
            for encoder, options in encoders.items():
                yield {"type": "encode", "encoder": encoder, **options}
        if state.keep_copyright:
            yield {"type": "keep"}
        if state.max_bytes:
            yield {"type": "compress_to_size", "max_file_size_in_bytes": state.max_bytes}


def _encoders(state: ImgproxyState) -> dict[str, Step]:
    """The options that are set, by format in the order of names: that of the link says nothing."""
    options = {
        format: {name: value for name, value in values.items() if value not in (None, False)}
        for format, values in sorted(state.encoders.items())
    }
    # The optimizer would make a jpeg progressive otherwise.
    if state.encoders.get("jpeg", {}).get("progressive") is False:
        options["jpeg"]["progressive"] = False
    return {format: values for format, values in options.items() if values}


def _limit(state: ImgproxyState, max_frames: int) -> list[Step]:
    frames = 1 if state.disable_animation else state.max_frames or max_frames
    bounds: Step = {
        "megapixels": state.max_megapixels or None,
        "size_in_bytes": state.max_source_bytes or None,
        "frames": frames or None,
        "frame_megapixels": state.max_frame_megapixels or None,
    }
    return [{"type": "limit", **bounds}] if any(bounds.values()) else []


def _trim(pipeline: Pipeline) -> Iterator[Step]:
    if pipeline.trim is not None:
        yield {
            "type": "trim",
            "threshold": pipeline.trim.threshold,
            "hex_color": pipeline.trim.color,
            "is_equal_horizontally": pipeline.trim.is_equal_horizontally,
            "is_equal_vertically": pipeline.trim.is_equal_vertically,
        }


def _resize(pipeline: Pipeline) -> Iterator[Step]:
    width, height = pipeline.width or None, pipeline.height or None
    is_simple = (
        pipeline.dpr == pipeline.x_zoom == pipeline.y_zoom == 1
        and not pipeline.min_width
        and not pipeline.min_height
    )
    if is_simple and not width and not height:
        return
    simple = _simple_resize(pipeline) if is_simple else None
    if simple is not None:
        yield {"type": "resize", "width_in_px": width, "height_in_px": height, **simple}
        return
    yield {
        "type": "thumbnail",
        "width_in_px": width,
        "height_in_px": height,
        "fit": pipeline.resizing_type,
        **pipeline.gravity.crop_steps(),
        "enlarge": pipeline.enlarge,
        "dpr": pipeline.dpr,
        "x_zoom": pipeline.x_zoom,
        "y_zoom": pipeline.y_zoom,
        "min_width_in_px": pipeline.min_width or None,
        "min_height_in_px": pipeline.min_height or None,
    }


def _simple_resize(pipeline: Pipeline) -> Step | None:
    """The fit and position of a `resize` with the same result, where there is one."""
    kind, gravity = pipeline.resizing_type, pipeline.gravity
    if not pipeline.width or not pipeline.height:
        if kind == "force":
            return None
        return {} if pipeline.enlarge else {"fit": "inside"}
    if not pipeline.enlarge:
        return {"fit": "inside"} if kind == "fit" else None
    if kind == "force":
        return {"fit": "fill"}
    is_plain = not gravity.x_offset and not gravity.y_offset and gravity.focus == "auto"
    if kind in ("fill", "fill-down") and is_plain and gravity.position in (*_CORNERS, "smart"):
        return {"fit": "cover", "position": gravity.position}
    return None


def _filters(pipeline: Pipeline) -> Iterator[Step]:
    if pipeline.blur_detections is not None:
        sigma, kind = pipeline.blur_detections
        yield {"type": "blur_detections", "sigma": sigma, "kind": kind}
    if pipeline.blur:
        yield {"type": "blur", "sigma": pipeline.blur}
    if pipeline.sharpen:
        yield {"type": "sharpen", "sigma": pipeline.sharpen}
    if pipeline.pixelate > 1:
        yield {"type": "pixelate", "size": pipeline.pixelate}
    if pipeline.contrast != 1:
        yield {"type": "contrast", "factor": pipeline.contrast}
    if pipeline.saturation != 1:
        yield {"type": "modulate", "saturation": pipeline.saturation}
    if pipeline.monochrome:
        yield {"type": "tint", "hex_color": pipeline.monochrome}


def _extend(pipeline: Pipeline) -> Iterator[Step]:
    width = pipeline.width * pipeline.x_zoom
    height = pipeline.height * pipeline.y_zoom
    if pipeline.extend.enabled and (width or height):
        gravity = pipeline.extend.gravity.steps()
        yield {"type": "canvas", "width": width, "height": height, **gravity}
    if pipeline.extend_ratio.enabled and width and height:
        gravity = pipeline.extend_ratio.gravity.steps()
        yield {"type": "canvas", "width": width, "height": height, "is_ratio": True, **gravity}
    if any(pipeline.padding):
        top, right, bottom, left = pipeline.padding
        yield {
            "type": "extend",
            "top_in_px": top,
            "bottom_in_px": bottom,
            "left_in_px": left,
            "right_in_px": right,
            "hex_color": "transparent",
        }


def _gradient(pipeline: Pipeline) -> Iterator[Step]:
    if pipeline.gradient is not None:
        yield {
            "type": "gradient",
            "opacity": pipeline.gradient.opacity,
            # Written like the default where it is black, so that equal requests are equal.
            "hex_color": pipeline.gradient.color.replace("000000", "#000000"),
            "angle_in_degrees": pipeline.gradient.angle,
            "start": pipeline.gradient.start,
            "stop": pipeline.gradient.stop,
        }


def _watermark_steps(pipeline: Pipeline) -> Iterator[Step]:
    width, height = pipeline.watermark_size
    if width or height:
        yield {
            "type": "resize",
            "width_in_px": width or None,
            "height_in_px": height or None,
            "fit": "inside",
        }
    if pipeline.watermark_angle:
        yield {
            "type": "rotate",
            "angle_in_degrees": pipeline.watermark_angle,
            "hex_color": "transparent",
        }
