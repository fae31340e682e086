"""The pipeline: decode an original, apply each operation of the plan, encode the rendition.

Pure functions of bytes, plan and limits. Errors of libvips are translated here.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pyvips
from msgspec import structs

from proxy.buffers import Buffer
from proxy.errors import ImageTooLarge
from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.decode import check_limits, decode, picture_from_pixels
from proxy.imaging.decoders import decodes_at_once
from proxy.imaging.encode import encode
from proxy.imaging.headers import ImageHeader, probe
from proxy.imaging.headers.strip import strip_metadata
from proxy.imaging.optimize import encode_optimized
from proxy.imaging.picture import Detector, Picture, detection_size
from proxy.imaging.results import Detection, RenderResult, Rendition
from proxy.imaging.shrink_on_load import DecodedInfo, size_for_shrink
from proxy.imaging.vips_errors import translate_vips_errors
from proxy.limits import Limits
from proxy.operations.estimate import PlanEstimate, check_result_size
from proxy.operations.extra_images import ExtraImages
from proxy.operations.gain_map import apply_with_gain_map, check_gain_map_is_kept
from proxy.operations.plan import Plan
from proxy.originals import SourceRef
from proxy.smartcrop.placement import area_of_interest, best_crop, place_crops
from proxy.smartcrop.subject import Subject

_ROWS_AT_A_TIME = 32  # few enough to stay in the CPU cache between computing and copying


def render(
    original: Buffer,
    plan: Plan,
    limits: Limits,
    *,
    detector: Detector,
    subject: Subject | None = None,
    extra_images: Mapping[SourceRef, Buffer] | None = None,
    on_cost: Callable[[float], None] = lambda _: None,
    decoded: DecodedInfo | None = None,
    optimize_from: Sequence[FormatName] | None = None,
) -> RenderResult:
    """Render a plan.

    ``subject`` is what was detected in the same original before. ``extra_images`` are the further
    images that the plan's operations need. ``on_cost`` is called before anything is decoded, with
    the estimated seconds of all work, and may raise to stop. With ``decoded``, ``original`` is the
    pixels that `decode_shared` wrote. With ``optimize_from`` the result is smaller than the first
    rendition, for clients that accept these formats, was, or that once more.

    Raises:
        ImageError: the original is not an image, is damaged or too large, or the plan cannot be
            applied to it.
    """
    with translate_vips_errors():
        check_gain_map_is_kept(plan)
        extra = ExtraImages(extra_images or {}, limits, detector)
        extra_cost = extra.check(plan)
        header = None
        if decoded is not None:
            estimate = PlanEstimate(plan)
            estimate.check_sizes(decoded.natural_size, 1, limits)
            on_cost(extra_cost + estimate.seconds_from_pixels(decoded))
            picture = picture_from_pixels(original, decoded, detector=detector, subject=subject)
        else:
            header = probe(original)
            estimate = check_plan(plan, original, header, limits)
            if plan.sends_original(header):
                return _send_original(original, header, limits, detector)
            frames = frame_count(plan, header)
            on_cost(extra_cost + estimate.seconds_from_original(header, frames))

            def check_sizes(natural: Size) -> Size | None:
                estimate.check_sizes(natural, frames, limits)
                return plan.required_size(natural)

            picture = decode(
                original,
                limits,
                detector=detector,
                header=header,
                subject=subject,
                required_size=check_sizes,
                output_format=plan.format,
                page_range=plan.page_range or plan.frame_range(header),
                keeps_hdr=plan.keeps_hdr,
            )
        picture = apply_operations(picture, plan, limits, extra)
        rendition = encode_result(picture, original, limits, optimize_from=optimize_from)
        return RenderResult(rendition, picture.detected_subject, header)


def check_plan(plan: Plan, original: Buffer, header: ImageHeader, limits: Limits) -> PlanEstimate:
    """Check the plan by the header of the original; return the estimate of its work.

    Raises an ImageError.
    """
    estimate = PlanEstimate(plan)
    for operation in plan:
        if operation.reads_original:
            operation.check_original(header, len(original))
    frames = frame_count(plan, header)
    check_limits(header, len(original), limits, frames=frames)
    if not plan.sends_original(header):
        if decodes_at_once(header):
            estimate.check_header(header, frames, limits)
        estimate.check_effort(header, frames, limits)
    return estimate


def frame_count(plan: Plan, header: ImageHeader) -> int:
    """How many frames of the original the plan reads."""
    return min(plan.shown_frames(header).count, header.frames)


def apply_operations(picture: Picture, plan: Plan, limits: Limits, extra: ExtraImages) -> Picture:
    """The picture after all operations of the plan; its size is within the limits."""
    picture = picture.with_output(
        accepted_formats=plan.accepted_formats, negotiates=plan.negotiates_format
    )
    for operation in plan:
        picture = structs.replace(picture, extra_images=extra.load(operation))
        picture = apply_with_gain_map(operation, picture, limits)
    check_result_size(picture.frame_size, picture.frame_count, limits)
    return picture


def encode_result(
    picture: Picture,
    original: Buffer,
    limits: Limits,
    *,
    optimize_from: Sequence[FormatName] | None = None,
) -> Rendition:
    """Encode the picture, or send the original where that is the same and takes fewer bytes."""
    if optimize_from is None:
        rendition = encode(picture, limits)
    else:
        rendition = encode_optimized(picture, optimize_from, limits)
    return _prefer_original(rendition, picture, original)


def detect(
    original: Buffer,
    limits: Limits,
    *,
    detector: Detector,
    subject: Subject | None = None,
    aspect_ratios: Sequence[Size] = (),
    page_range: tuple[int, int] | None = None,
) -> Detection:
    """Detect the subject of an original, and place the crops of these aspect ratios.

    ``page_range`` is the first and last frame that is looked at, counted from 1, None for all. The
    other arguments are those of `render`.

    Raises:
        ImageError: the original is not an image, or is damaged or too large.
    """
    with translate_vips_errors():
        picture = decode(
            original,
            limits,
            detector=detector,
            subject=subject,
            required_size=detection_size,
            output_format="auto",
            page_range=page_range,
        )
        picture, detected = picture.detect_subject()
        size = picture.natural_size
        return Detection(
            size=size,
            frame_count=picture.frame_count,
            subject=detected,
            area_of_interest=area_of_interest(detected, size),
            best_crop=best_crop(detected, size),
            crops=place_crops(detected, size, aspect_ratios),
        )


def find_subject(pixels: Buffer, decoded: DecodedInfo, detector: Detector) -> Subject:
    """Detect the subject in the pixels that `decode_shared` wrote."""
    with translate_vips_errors():
        return picture_from_pixels(pixels, decoded, detector=detector).detect_subject()[1]


def decode_shared(
    original: Buffer,
    factor: int,
    limits: Limits,
    *,
    detector: Detector,
    write: Callable[[Buffer], None],
) -> DecodedInfo:
    """Decode a still original once for several plans, shrunk by an integer factor.

    Its pixels are passed to ``write`` from top to bottom.

    Raises:
        ImageError: the original is not an image, or is damaged or too large.
    """
    with translate_vips_errors():
        picture = decode(
            original, limits, detector=detector, required_size=partial(size_for_shrink, factor)
        )
        size = picture.frame_size
        region = pyvips.Region.new(picture.image)
        for top in range(0, size.height, _ROWS_AT_A_TIME):
            rows = min(_ROWS_AT_A_TIME, size.height - top)
            write(region.fetch(0, top, size.width, rows))
        return DecodedInfo(
            size=size,
            load_scale=picture.load_scale,
            bands=picture.image.bands,
            natural_size=picture.natural_size,
            format=picture.output.format,
            copyright=picture.copyright,
            source=picture.source,
        )


def _send_original(
    original: Buffer, header: ImageHeader, limits: Limits, detector: Detector
) -> RenderResult:
    """The original itself, within the limits for originals and for results, and not truncated."""
    frames = header.frames if header.animated else 1
    size = Size(header.width, header.height)
    check_result_size(size, frames, limits)
    if len(original) > limits.max_result_bytes:
        raise ImageTooLarge(
            f"the original has {len(original)} bytes, more than {limits.max_result_bytes} "
            "(FRAMEKEEP_LIMITS_MAX_RESULT_BYTES)"
        )
    decode(original, limits, detector=detector).image.avg()  # checks limits, reads every pixel
    return RenderResult(Rendition(bytes(original), header.format, size))


def _prefer_original(rendition: Rendition, picture: Picture, original: Buffer) -> Rendition:
    """Send the original's coded pixels where nothing was changed and encoding made them larger."""
    format = picture.unmodified_format
    if format is None or not _may_send(format, rendition, picture):
        return rendition
    stripped = strip_metadata(original, format)
    if stripped is None or len(stripped) >= len(rendition.body):
        return rendition
    return structs.replace(rendition, body=stripped, format=format)


def _may_send(format: FormatName, rendition: Rendition, picture: Picture) -> bool:
    """Whether the original without metadata is another form of this rendition."""
    keeps_more = picture.gain_map is not None or "copyright" in picture.output.keep_metadata
    if keeps_more or picture.output.encoder(rendition.format).fixes_coding:
        return False
    if picture.output.format != "auto":
        return format == rendition.format
    is_accepted = format in ("jpeg", "png", "gif", *picture.output.accepted_formats)
    # Stripping keeps the frames of these two formats only.
    return is_accepted and (picture.animation is None or format in ("gif", "webp"))
