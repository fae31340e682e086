"""The tasks that HTTP workers send to render processes, with their arguments and results.

Their handlers are in `proxy.render.handlers`, which only render processes import: numpy, Pillow and
the detectors would double the start time and the memory of an HTTP worker.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import import_module
from operator import attrgetter
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from proxy.buffers import SharedBuffer
from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.headers import ImageHeader
from proxy.imaging.results import Detection, ImageInfo, RenderResult
from proxy.imaging.shrink_on_load import DecodedInfo
from proxy.limits import Limits
from proxy.operations.operation import Operation, operation_name
from proxy.operations.overlay_steps import overlay_steps_fields
from proxy.operations.plan import Plan
from proxy.originals import SourceRef
from proxy.render.ipc import TaskType
from proxy.render.reply_checks import (
    check_decoded,
    check_detection,
    check_header,
    check_image_info,
    check_render_result,
    check_subject,
)
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.registry import DETECTORS, DetectorSpec
from proxy.smartcrop.subject import Subject


class RenderContext(Struct, frozen=True):
    """What all tasks of one server have in common."""

    limits: Limits
    models: ModelsConfig = ModelsConfig()
    detector_version: str = ""
    detectors: tuple[DetectorSpec, ...] = DETECTORS


class WireOperation(Struct, frozen=True):
    """An operation on the wire: the module and name of its class, and its parameters.

    ``steps`` are the parameters that are operations themselves.
    """

    module: str
    name: str
    params: dict[str, Any]
    steps: dict[str, tuple["WireOperation", ...]] = field(default_factory=dict)


class RenderRequest(Struct, frozen=True):
    """Render the first buffer by a plan; ``extra_images`` name the other buffers, in order.

    With ``decoded`` the first buffer holds pixels that are decoded already. Without ``subject`` it
    is detected if the plan needs it. ``optimize_from`` is that of `proxy.operations.pipeline`.
    """

    context: RenderContext
    operations: tuple[WireOperation, ...]
    accepted_formats: tuple[FormatName, ...]
    subject: Subject | None
    extra_images: tuple[SourceRef, ...] = ()
    decoded: DecodedInfo | None = None
    optimize_from: tuple[FormatName, ...] | None = None


class WirePlan(Struct, frozen=True):
    """A plan on the wire."""

    operations: tuple[WireOperation, ...]
    accepted_formats: tuple[FormatName, ...]


class BatchRequest(Struct, frozen=True):
    """Render the buffer by each of the plans; ``subject`` is that of `RenderRequest`."""

    context: RenderContext
    plans: tuple[WirePlan, ...]
    subject: Subject | None


class BatchResult(Struct, frozen=True):
    """One for each plan, in their order."""

    results: tuple[RenderResult, ...]


class DetectRequest(Struct, frozen=True):
    """Detect the subject, or use ``subject`` where it is known already.

    A crop is placed for each of the ``aspect_ratios``: that takes milliseconds, too long for the
    event loop of a worker.
    """

    context: RenderContext
    subject: Subject | None
    aspect_ratios: tuple[Size, ...] = ()


class SubjectRequest(Struct, frozen=True):
    """Detect the subject in pixels that are decoded already, and nothing more."""

    context: RenderContext
    decoded: DecodedInfo


class DecodeRequest(Struct, frozen=True):
    """Decode the first buffer, ``shrink`` times smaller, into the second."""

    context: RenderContext
    shrink: int


def build_render_request(
    context: RenderContext,
    plan: Plan,
    subject: Subject | None,
    extra_images: Mapping[SourceRef, SharedBuffer],
    decoded: DecodedInfo | None = None,
    *,
    optimize_from: tuple[FormatName, ...] | None = None,
) -> RenderRequest:
    return RenderRequest(
        context,
        tuple(map(_encode_operation, plan)),
        plan.accepted_formats,
        subject,
        tuple(extra_images),
        decoded,
        optimize_from,
    )


def build_batch_request(
    context: RenderContext, plans: Iterable[Plan], subject: Subject | None
) -> BatchRequest:
    wire = (WirePlan(tuple(map(_encode_operation, plan)), plan.accepted_formats) for plan in plans)
    return BatchRequest(context, tuple(wire), subject)


def _encode_operation(operation: Operation) -> WireOperation:
    kind = type(operation)
    params = msgspec.structs.asdict(operation)
    steps = {name: params.pop(name) for name in overlay_steps_fields(kind)}
    return WireOperation(
        kind.__module__,
        kind.__qualname__,
        params,
        {name: tuple(map(_encode_operation, value)) for name, value in steps.items()},
    )


def decode_plan(request: RenderRequest | WirePlan) -> Plan:
    return Plan(tuple(map(_decode_operation, request.operations)), request.accepted_formats)


def _decode_operation(wire: WireOperation) -> Operation:
    kind = _import_operation(wire.module, wire.name)
    operation = msgspec.convert({"type": operation_name(kind), **wire.params}, kind)
    if not wire.steps:
        return operation
    steps = {name: tuple(map(_decode_operation, value)) for name, value in wire.steps.items()}
    return msgspec.structs.replace(operation, **steps)


@lru_cache(maxsize=256)
def _import_operation(module: str, name: str) -> type[Operation]:
    kind: type[Operation] = attrgetter(name)(import_module(module))
    return kind


def _requested_format(request: RenderRequest | WirePlan) -> FormatName | Literal["auto"] | None:
    """The output format of the plan, as `Plan.format` has it."""
    formats = (operation.params.get("format") for operation in reversed(request.operations))
    return next((format for format in formats if format is not None), None)


def _check_render(request: RenderRequest, result: RenderResult) -> None:
    limits, accepted = request.context.limits, request.accepted_formats
    check_render_result(result, limits, _requested_format(request), accepted)


def _check_batch(request: BatchRequest, result: BatchResult) -> None:
    for plan, one in zip(request.plans, result.results, strict=True):
        limits, accepted = request.context.limits, plan.accepted_formats
        check_render_result(one, limits, _requested_format(plan), accepted)


def _check_detection(request: DetectRequest, result: Detection) -> None:
    check_detection(result, request.context.limits, len(request.aspect_ratios))


def _check_subject(_: SubjectRequest, result: Subject) -> None:
    check_subject(result)


def _check_info(request: DetectRequest, result: ImageInfo) -> None:
    check_image_info(result, request.context.limits, len(request.aspect_ratios))


def _check_header(_: None, result: ImageHeader) -> None:
    check_header(result)


def _check_decoded(request: DecodeRequest, result: DecodedInfo) -> None:
    check_decoded(result, request.context.limits)


RENDER = TaskType("render", RenderRequest, RenderResult, check=_check_render)
RENDER_ALL = TaskType("render_all", BatchRequest, BatchResult, check=_check_batch)
DETECT = TaskType("detect", DetectRequest, Detection, check=_check_detection)
SUBJECT = TaskType("subject", SubjectRequest, Subject, check=_check_subject)
INFO = TaskType("info", DetectRequest, ImageInfo, check=_check_info)
DECODE = TaskType("decode", DecodeRequest, DecodedInfo, check=_check_decoded)
PROBE = TaskType("probe", type(None), ImageHeader, check=_check_header)
