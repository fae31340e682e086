"""Several plans of one original, rendered together, look as each of them alone."""

from collections.abc import Sequence

import numpy as np
import pytest
import pyvips
from pictures import decode, encode, encode_animation, moving_square, scene
from render_helper import DETECTOR, REGISTRY, step

from proxy.errors import ImageTooLarge, OperationNotApplicable
from proxy.formats import FormatName
from proxy.imaging.results import RenderResult
from proxy.limits import Limits
from proxy.operations.batch import render_all
from proxy.operations.pipeline import render
from proxy.operations.plan import Plan
from proxy.smartcrop.subject import RegionKind, Subject

PHOTO = encode(scene(1600, 1200), "jpeg", quality=92)
CLASSES: Sequence[tuple[FormatName, ...]] = (("avif", "webp"), ("webp",), ())
CARD = (step("resize", width=200, height=150), step("convert", format="auto"))
HERO = (step("smart_crop", width=600, height=300), step("convert", format="auto"))


class CountingDetector:
    """Counts how often it is asked for the subject."""

    def __init__(self) -> None:
        self.count = 0

    def detect(self, *frames: pyvips.Image) -> Subject:
        self.count += 1
        return DETECTOR.detect(*frames)

    def can_find(self, kind: RegionKind) -> bool:
        return DETECTOR.can_find(kind)


def for_each_class(*steps: dict[str, object]) -> list[Plan]:
    plan = REGISTRY.plan(list(steps))
    return [plan.with_accepted_formats(formats) for formats in CLASSES]


def together(original: bytes, plans: Sequence[Plan]) -> list[RenderResult]:
    return render_all(original, plans, Limits(), detector=DETECTOR)


def alone(original: bytes, plans: Sequence[Plan]) -> list[RenderResult]:
    return [render(original, plan, Limits(), detector=DETECTOR) for plan in plans]


@pytest.mark.parametrize(
    "original",
    [
        PHOTO,
        encode(scene(300, 200), "png"),
        encode(scene(300, 200), "webp", lossless=True),
        encode_animation(moving_square(), "gif"),
    ],
    ids=["photo", "png", "webp", "gif"],
)
def test_plans_that_differ_in_what_the_client_accepts_have_the_bytes_of_each_alone(
    original: bytes,
) -> None:
    plans = for_each_class(*CARD)
    assert [one.rendition for one in together(original, plans)] == [
        one.rendition for one in alone(original, plans)
    ]


def test_an_original_that_is_not_changed_is_sent_where_that_takes_fewer_bytes() -> None:
    original = encode(scene(60, 40), "jpeg", quality=40)
    plans = for_each_class(step("convert", format="auto"))
    assert [one.rendition for one in together(original, plans)] == [
        one.rendition for one in alone(original, plans)
    ]


def test_several_sizes_share_one_decode_and_one_detection_and_look_as_each_alone() -> None:
    square = step("smart_crop", width=300, height=300)
    png = step("convert", format="png")
    plans = [REGISTRY.plan([*steps, png]) for steps in (CARD[:1], HERO[:1], (square,))]
    counting = CountingDetector()
    found = render_all(PHOTO, plans, Limits(), detector=counting)
    assert counting.count == 1
    for one, other in zip(found, alone(PHOTO, plans), strict=True):
        assert one.rendition.size == other.rendition.size
        first, second = (decode(each.rendition.body).astype(float) for each in (one, other))
        assert np.abs(first - second).mean() < 1.5


def test_results_come_in_the_order_of_the_plans() -> None:
    card, hero = for_each_class(*CARD), for_each_class(*HERO)
    plans = [plan for pair in zip(card, hero, strict=True) for plan in pair]
    widths = [one.rendition.size.width for one in together(PHOTO, plans)]
    assert widths == [200, 600] * 3


def test_the_first_plan_that_fails_fails_all() -> None:
    crop = step("crop", left=0, top=0, width=9000, height=9000)
    with pytest.raises(OperationNotApplicable):
        together(PHOTO, [*for_each_class(*CARD), REGISTRY.plan([crop])])
    with pytest.raises(ImageTooLarge):
        render_all(PHOTO, for_each_class(*CARD), Limits(max_source_pixels=1000), detector=DETECTOR)


def test_the_cost_of_each_operation_list_is_reported_before_anything_is_decoded() -> None:
    costs: list[float] = []
    broken = PHOTO[:20_000]

    def refuse(seconds: float) -> None:
        costs.append(seconds)
        if len(costs) == 2:
            raise ImageTooLarge("enough")

    plans = [*for_each_class(*CARD), *for_each_class(*HERO)]
    with pytest.raises(ImageTooLarge, match="enough"):
        render_all(broken, plans, Limits(), detector=DETECTOR, on_cost=refuse)
    assert min(costs) > 0


@pytest.mark.parametrize(
    "fields",
    [
        step("resize", width=20),
        step("smart_crop", width=20, height=20),
    ],
)
def test_plans_that_only_read_pixels_can_be_rendered_together(fields: dict[str, object]) -> None:
    assert REGISTRY.plan([fields]).needs_pixels_only


@pytest.mark.parametrize(
    "fields",
    [
        step("keep", metadata="hdr"),
        step("page", number=2),
        step("watermark", source="https://a.example/b.png"),
    ],
)
def test_plans_that_read_more_than_pixels_are_rendered_alone(fields: dict[str, object]) -> None:
    assert not REGISTRY.plan([fields]).needs_pixels_only
