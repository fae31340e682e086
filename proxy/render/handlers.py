"""The functions that run tasks inside a render process."""

from collections.abc import Sequence
from functools import lru_cache

import pyvips

from proxy import operations  # noqa: F401 - imported before the fork, once for all processes
from proxy.buffers import Buffer, OutputWriter, SharedBuffer
from proxy.errors import ImageTooLarge
from proxy.imaging import background_removal  # noqa: F401 - likewise
from proxy.imaging.cost_model import EXPENSIVE_SECONDS, decode_cost
from proxy.imaging.headers import ImageHeader, probe
from proxy.imaging.info import read_image_info
from proxy.imaging.picture import Detector
from proxy.imaging.results import Detection, ImageInfo, RenderResult
from proxy.imaging.shrink_on_load import DecodedInfo
from proxy.limits import Limits
from proxy.operations.batch import render_all
from proxy.operations.pipeline import decode_shared, detect, find_subject, render
from proxy.render.ipc import TaskHandler, TooExpensive
from proxy.render.scheduling import Priority
from proxy.render.tasks import (
    DECODE,
    DETECT,
    INFO,
    PROBE,
    RENDER,
    RENDER_ALL,
    SUBJECT,
    BatchRequest,
    BatchResult,
    DecodeRequest,
    DetectRequest,
    RenderRequest,
    SubjectRequest,
    decode_plan,
)
from proxy.smartcrop.detector import SubjectDetector
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.registry import DETECTORS, DetectorSpec
from proxy.smartcrop.subject import Subject

# The operation cache of libvips helps only who repeats an operation, and holds up to 100 MB.
pyvips.cache_set_max(0)

_MAX_ESTIMATE_ERROR = 3
"""The factor by which an estimate may be too high."""


@lru_cache(maxsize=4)
def get_detector(models: ModelsConfig, detectors: tuple[DetectorSpec, ...] = DETECTORS) -> Detector:
    """The detector of this process; its models are loaded at the first detection."""
    return SubjectDetector(models, detectors)


def _render(
    buffers: Sequence[SharedBuffer], request: RenderRequest, priority: Priority
) -> RenderResult:
    original, *extra_images = (buffer.view() for buffer in buffers)
    limits = request.context.limits

    def check_cost(seconds: float) -> None:
        _check_feasible(seconds, limits)
        _check_cost(seconds, priority)

    return render(
        original,
        decode_plan(request),
        limits,
        detector=get_detector(request.context.models, request.context.detectors),
        subject=request.subject,
        extra_images=dict(zip(request.extra_images, extra_images, strict=True)),
        on_cost=check_cost,
        decoded=request.decoded,
        optimize_from=request.optimize_from,
    )


def _render_all(
    buffers: Sequence[SharedBuffer], request: BatchRequest, priority: Priority
) -> BatchResult:
    (original,) = (buffer.view() for buffer in buffers)
    limits = request.context.limits

    def check_cost(seconds: float) -> None:
        _check_feasible(seconds, limits)
        _check_cost(seconds, priority)

    results = render_all(
        original,
        list(map(decode_plan, request.plans)),
        limits,
        detector=get_detector(request.context.models, request.context.detectors),
        subject=request.subject,
        on_cost=check_cost,
    )
    return BatchResult(tuple(results))


def _detect(
    buffers: Sequence[SharedBuffer], request: DetectRequest, priority: Priority
) -> Detection:
    (original,) = (buffer.view() for buffer in buffers)
    _check_decode_cost(original, priority)
    return detect(
        original,
        request.context.limits,
        detector=get_detector(request.context.models, request.context.detectors),
        subject=request.subject,
        aspect_ratios=request.aspect_ratios,
        page_range=(1, 1),
    )


def _find_subject(
    buffers: Sequence[SharedBuffer], request: SubjectRequest, _priority: Priority
) -> Subject:
    (pixels,) = (buffer.view() for buffer in buffers)
    detector = get_detector(request.context.models, request.context.detectors)
    return find_subject(pixels, request.decoded, detector)


def _info(buffers: Sequence[SharedBuffer], request: DetectRequest, priority: Priority) -> ImageInfo:
    (original,) = (buffer.view() for buffer in buffers)
    _check_decode_cost(original, priority)
    return read_image_info(
        original,
        request.context.limits,
        detector=get_detector(request.context.models, request.context.detectors),
        subject=request.subject,
        aspect_ratios=request.aspect_ratios,
    )


def _decode(
    buffers: Sequence[SharedBuffer], request: DecodeRequest, priority: Priority
) -> DecodedInfo:
    source, output = buffers
    original = source.view()
    _check_decode_cost(original, priority)
    return decode_shared(
        original,
        request.shrink,
        request.context.limits,
        detector=get_detector(request.context.models, request.context.detectors),
        write=OutputWriter(output).write,
    )


def _probe(buffers: Sequence[SharedBuffer], _request: None, _priority: Priority) -> ImageHeader:
    (original,) = (buffer.view() for buffer in buffers)
    return probe(original)


def _check_decode_cost(original: Buffer, priority: Priority) -> None:
    _check_cost(decode_cost(probe(original)), priority)


def _check_cost(seconds: float, priority: Priority) -> None:
    """Raise TooExpensive where cheap tasks would have to wait for one that takes so long."""
    if priority == "interactive" and seconds > EXPENSIVE_SECONDS:
        raise TooExpensive


def _check_feasible(seconds: float, limits: Limits) -> None:
    """Raise ImageTooLarge for work that the deadline would end, before any of it is done."""
    if seconds > _MAX_ESTIMATE_ERROR * limits.render_timeout_seconds:
        raise ImageTooLarge(
            f"these operations take about {seconds:.0f} s of CPU time for this original, far more "
            f"than {limits.render_timeout_seconds:g} s (FRAMEKEEP_LIMITS_RENDER_TIMEOUT_SECONDS)"
        )


HANDLERS = (
    TaskHandler.for_task(RENDER, _render),
    TaskHandler.for_task(RENDER_ALL, _render_all),
    TaskHandler.for_task(DETECT, _detect),
    TaskHandler.for_task(SUBJECT, _find_subject),
    TaskHandler.for_task(INFO, _info),
    TaskHandler.for_task(DECODE, _decode),
    TaskHandler.for_task(PROBE, _probe),
)
