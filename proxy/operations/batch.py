"""Render several plans of one original: what they have in common is done once.

    card for AVIF ─┐
    card for WebP ─┼─ one resize, three encoders ─┐
    card for JPEG ─┘                              ├─ one decode, one detection
    hero for AVIF ─── another resize ─────────────┘

Plans that differ only in what the client accepts share every pixel. Plans with other operations
share the decode, at the largest size that one of them needs; as with shared decodes, a size may
differ a little from the one that is rendered alone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from msgspec import structs

from proxy.buffers import Buffer
from proxy.geometry import Size
from proxy.imaging.decode import decode
from proxy.imaging.headers import ImageHeader, probe
from proxy.imaging.picture import Detector, Picture
from proxy.imaging.results import RenderResult
from proxy.imaging.shrink_on_load import MAX_SHARED_PIXELS, shrink_factor
from proxy.imaging.vips_errors import translate_vips_errors
from proxy.limits import Limits
from proxy.operations.estimate import PlanEstimate
from proxy.operations.extra_images import ExtraImages
from proxy.operations.pipeline import (
    apply_operations,
    check_plan,
    encode_result,
    frame_count,
    render,
)
from proxy.operations.plan import Plan
from proxy.smartcrop.subject import Subject


def render_all(
    original: Buffer,
    plans: Sequence[Plan],
    limits: Limits,
    *,
    detector: Detector,
    subject: Subject | None = None,
    on_cost: Callable[[float], None] = lambda _: None,
) -> list[RenderResult]:
    """Render plans of which each `needs_pixels_only`; the arguments are those of `render`.

    ``on_cost`` is called for each plan. Raises the ImageError of the first plan that fails.
    """
    with translate_vips_errors():
        header = probe(original)
        groups = _group(plans)
        estimates = []
        for plan, *_ in groups:
            estimates.append(check_plan(plan, original, header, limits))
            on_cost(estimates[-1].seconds_from_original(header, frame_count(plan, header)))
        batch = _Batch(original, header, limits, detector, subject)
        starts = [_Start(group[0], one) for group, one in zip(groups, estimates, strict=True)]
        shared = batch.decode_shared(starts)
        rendered = [
            (plan, result)
            for group, start in zip(groups, starts, strict=True)
            for plan, result in zip(group, batch.render_group(group, start, shared), strict=True)
        ]
        known = {id(plan): result for plan, result in rendered}
        return [known[id(plan)] for plan in plans]


def _group(plans: Sequence[Plan]) -> list[list[Plan]]:
    """Plans with the same operations together."""
    groups: list[list[Plan]] = []
    for plan in plans:
        same = (group for group in groups if group[0].operations == plan.operations)
        if (group := next(same, None)) is None:
            groups.append([plan])
        else:
            group.append(plan)
    return groups


class _Start(NamedTuple):
    """Where plans with the same operations start: one of them, and its estimate."""

    plan: Plan
    estimate: PlanEstimate


class _Batch:
    def __init__(
        self,
        original: Buffer,
        header: ImageHeader,
        limits: Limits,
        detector: Detector,
        subject: Subject | None,
    ) -> None:
        self._original = original
        self._header = header
        self._limits = limits
        self._detector = detector
        self._subject = subject

    def decode_shared(self, starts: Sequence[_Start]) -> Picture | None:
        """The decoded original from which plans with different operations start.

        None where each decodes for itself: for one of them, for several frames, for a drawing, and
        where too many pixels would be held.
        """
        header = self._header
        if len(starts) < 2 or header.frames > 1 or header.format == "svg":
            return None
        natural = Size(header.width, header.height)
        factor = shrink_factor(natural, self._required_size(starts, natural))
        if natural.pixels > MAX_SHARED_PIXELS * factor**2:
            return None
        return self._decode(starts).materialize()

    def render_group(
        self, plans: Sequence[Plan], start: _Start, shared: Picture | None
    ) -> list[RenderResult]:
        """The renditions of plans with the same operations."""
        picture = shared or self._decode([start])
        picture = structs.replace(picture, subject=self._subject)
        extra = ExtraImages({}, self._limits, self._detector)
        picture = apply_operations(picture, start.plan, self._limits, extra)
        if len(plans) > 1:
            if picture.frame_size.pixels * picture.frame_count > MAX_SHARED_PIXELS:
                return [self._render_alone(plan) for plan in plans]
            picture = picture.materialize()
        self._subject = self._subject or picture.detected_subject
        return [
            RenderResult(
                encode_result(
                    picture.with_output(accepted_formats=plan.accepted_formats),
                    self._original,
                    self._limits,
                ),
                picture.detected_subject,
                self._header,
            )
            for plan in plans
        ]

    def _decode(self, starts: Sequence[_Start]) -> Picture:
        plan = starts[0].plan
        return decode(
            self._original,
            self._limits,
            detector=self._detector,
            required_size=partial(self._required_size, starts),
            output_format=plan.format,
            page_range=plan.frame_range(self._header),
        )

    def _required_size(self, starts: Sequence[_Start], natural: Size) -> Size | None:
        """What one of them requires that allows to shrink the original least. Raises ImageError."""
        sizes = []
        for plan, estimate in starts:
            estimate.check_sizes(natural, frame_count(plan, self._header), self._limits)
            sizes.append(plan.required_size(natural))
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes):
            return None
        return min(known, key=partial(shrink_factor, natural))

    def _render_alone(self, plan: Plan) -> RenderResult:
        return render(
            self._original, plan, self._limits, detector=self._detector, subject=self._subject
        )
