"""Steps and blend modes of a watermark."""

from collections.abc import Callable

import malformed_images as malformed
import numpy as np
import pictures
import pytest
import pyvips
from hypothesis import example, given, settings
from hypothesis import strategies as st
from render_helper import DETECTOR, REGISTRY, step

from proxy.errors import ImageTooLarge, InvalidLink, InvalidOperation, ProxyError
from proxy.image_request import ImageRequest
from proxy.imaging.alpha import BlendMode, composite
from proxy.limits import Limits
from proxy.links.parsed_link import ParsedLink
from proxy.links.parser import StepParser
from proxy.operations.operation import format_operation
from proxy.operations.pipeline import render
from proxy.operations.plan import Plan
from proxy.originals import SourceRef
from proxy.render.tasks import RenderContext, build_render_request, decode_plan
from proxy.smartcrop.subject import Subject

MARK = SourceRef("logos:mark.png")
PRESETS = {"stamp": "resize:20/grayscale/tag:stamps", "page": "resize:20/debug", "small": "page:1"}
STEPS = StepParser(REGISTRY, PRESETS)


def parse(steps: str) -> ParsedLink:
    return STEPS.parse([f"watermark:logos%3Amark.png:steps={steps}"])


def marked(base: pictures.Pixels, mark: bytes, **fields: object) -> pictures.Pixels:
    plan = REGISTRY.plan(
        [step("watermark", source=MARK.text, **fields), step("convert", format="png")]
    )
    body = pictures.encode(base)
    images = {MARK: mark}
    result = render(body, plan, Limits(), detector=DETECTOR, extra_images=images).rendition
    return pictures.decode(result.body)


def test_a_link_and_json_name_the_same_steps_and_have_the_same_cache_key() -> None:
    link = parse("resize%3A200%2Frotate%3A15").plan
    steps = [step("resize", width=200), step("rotate", angle=15)]
    json = REGISTRY.plan([step("watermark", source=MARK.text, steps=steps)])
    assert link == json
    assert (
        ImageRequest(SourceRef("a:b"), link).key
        != ImageRequest(SourceRef("a:b"), parse("resize%3A201%2Frotate%3A15").plan).key
    )


def test_a_value_within_steps_may_have_any_character() -> None:
    (operation,) = parse("text%3A50%2525%2520of%252Fit").plan
    assert operation.extra_steps()[0] == REGISTRY.from_args("text", [(None, "50% of/it")])
    assert StepParser(REGISTRY, {}).parse([format_operation(operation)]).operations == [operation]


def test_a_preset_is_spelled_out_in_the_key_stays_in_the_link_and_can_be_purged() -> None:
    link = parse("preset%3Astamp%2Fflip")
    assert link.plan == parse("resize%3A20%2Fgrayscale%2Fflip").plan
    assert link.tags == ["preset:stamp", "tag:stamps"]
    written = "watermark:logos%3Amark.png:steps=preset%3Astamp%2Fflip"
    assert STEPS.canonical([written]) == [written]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ("convert%3Awebp", "watermark: steps: convert is no step of an overlay"),
        ("watermark%3Aa%253Ab", "watermark: steps: watermark is no step of an overlay"),
        ("resize%3Ax", "watermark: steps: resize: width_in_px: must be a whole number"),
        ("flop%2F%2Fflip", "watermark: steps: there is no operation ''"),
        ("debug", "watermark: steps: there is no operation 'debug'"),
        ("%2F".join(["flip"] * 9), "watermark: steps: at most 8 operations, not 9"),
        ("preset%3Anone", "preset: unknown name 'none'"),
        ("preset%3Apage", "preset page: has link options"),
        ("preset%3Asmall", "watermark: steps: page is no step of an overlay"),
    ],
)
def test_steps_that_are_not_possible_are_refused_with_a_sentence(steps: str, reason: str) -> None:
    with pytest.raises((InvalidLink, InvalidOperation)) as raised:
        parse(steps)
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ("flip", "watermark: steps: must be a list of at most 8 operations"),
        ([1], "watermark: steps[0] must be an object"),
        ([{}], "watermark: steps[0].type must name an operation"),
        ([step("flip"), step("page", number=1)], "watermark: steps[1] page is no step"),
        ([step("resize", width=0)], "watermark: steps[0] resize: width_in_px: must be"),
        ([step("watermark", source="a:b", steps=[])], "watermark: steps[0] watermark is no step"),
        ([step("flip")] * 9, "watermark: steps: at most 8 operations, not 9"),
    ],
)
def test_steps_in_json_are_refused_by_their_place(steps: object, reason: str) -> None:
    with pytest.raises(InvalidOperation) as raised:
        REGISTRY.plan([step("watermark", source="a:b", steps=steps)])
    assert f"operations[0] {reason}" in str(raised.value)
    assert raised.value.field == "steps"


def test_a_render_process_gets_the_same_steps() -> None:
    plan = parse("preset%3Astamp%2Fround_corners%3Acircle%2Fsmart_crop%3A9%3A9").plan
    request = build_render_request(RenderContext(Limits()), plan, Subject(), {})
    assert decode_plan(request) == plan


def test_the_steps_are_carried_out_before_the_watermark_is_placed() -> None:
    mark = pictures.red_square(40, 40, 0, 0, 20)
    base = pictures.plain(60, 60, (0, 0, 0))
    cropped = marked(
        base,
        pictures.encode(mark),
        position="northwest",
        steps=[step("crop", left=0, top=0, width=20, height=20), step("resize", width=10)],
    )
    red = cropped[:, :, 0] > 128
    assert red[:10, :10].all()
    assert red.sum() == 100


def test_a_watermark_beyond_the_limits_is_refused_before_it_is_decoded() -> None:
    headless = malformed.png(head=malformed.ihdr(3000, 3000))
    base = pictures.plain(60, 60)
    with pytest.raises(ImageTooLarge, match="FRAMEKEEP_LIMITS_MAX_RESULT_PIXELS"):
        marked(base, headless, steps=[step("resize", width=16384), step("resize", width=9)])


def test_the_cost_of_the_steps_counts_before_anything_is_decoded() -> None:
    headless = malformed.png(head=malformed.ihdr(3000, 3000))
    costs: list[float] = []

    def stop(seconds: float) -> None:
        costs.append(seconds)
        raise InvalidLink("enough")

    for steps in ([], [step("denoise", size=5)], [step("smart_crop", width=9, height=9)]):
        plan = REGISTRY.plan([step("watermark", source=MARK.text, steps=steps)])
        with pytest.raises(InvalidLink):
            render(
                pictures.encode(pictures.plain(9, 9)),
                plan,
                Limits(),
                detector=DETECTOR,
                extra_images={MARK: headless},
                on_cost=stop,
            )
    plain, denoised, cropped = costs
    assert denoised > plain + 0.1
    assert cropped > plain + 0.1


def _burn(below: float, above: float) -> float:
    return 1.0 if below == 1 else 0.0 if above == 0 else 1 - min(1, (1 - below) / above)


def _dodge(below: float, above: float) -> float:
    return 0.0 if below == 0 else 1.0 if above == 1 else min(1, below / (1 - above))


def _hard_light(below: float, above: float) -> float:
    return 2 * below * above if above <= 0.5 else 1 - 2 * (1 - below) * (1 - above)


def _soft_light(below: float, above: float) -> float:
    if above <= 0.5:
        return below - (1 - 2 * above) * below * (1 - below)
    light = ((16 * below - 12) * below + 4) * below if below <= 0.25 else below**0.5
    return below + (2 * above - 1) * (light - below)


LEVELS = st.integers(0, 255)

# The formulas of W3C Compositing and Blending Level 1, of colors from 0 to 1.
BLEND: dict[BlendMode, Callable[[float, float], float]] = {
    "normal": lambda _, above: above,
    "multiply": lambda below, above: below * above,
    "screen": lambda below, above: below + above - below * above,
    "overlay": lambda below, above: _hard_light(above, below),
    "darken": min,
    "lighten": max,
    "color-dodge": _dodge,
    "color-burn": _burn,
    "hard-light": _hard_light,
    "soft-light": _soft_light,
    "difference": lambda below, above: abs(below - above),
    "exclusion": lambda below, above: below + above - 2 * below * above,
}


@pytest.mark.parametrize("mode", BLEND)
@settings(max_examples=20)
@example((0, 255), (128, 128))
@example((255, 0), (255, 40))
@given(colors=st.tuples(LEVELS, LEVELS), alphas=st.tuples(st.sampled_from((40, 128, 255)), LEVELS))
def test_a_blend_mode_mixes_as_w3c_says(
    mode: BlendMode, colors: tuple[int, int], alphas: tuple[int, int]
) -> None:
    (below, above), (base_alpha, mark_alpha) = (
        tuple(level / 255 for level in levels) for levels in (colors, alphas)
    )
    base, mark = (
        np.full((1, 1, 4), (*(color,) * 3, alpha), np.uint8)
        for color, alpha in zip(colors, alphas, strict=True)
    )
    image = pyvips.Image.new_from_array(base, interpretation="srgb")
    overlay = pyvips.Image.new_from_array(mark, interpretation="srgb")
    result = composite(image, overlay, 0, 0, blend_mode=mode).numpy()[0, 0]

    mixed = (1 - base_alpha) * above + base_alpha * BLEND[mode](below, above)
    visible = mark_alpha + base_alpha * (1 - mark_alpha)
    color = (mark_alpha * mixed + (1 - mark_alpha) * base_alpha * below) / visible
    assert abs(int(result[0]) - 255 * color) <= 1
    assert abs(int(result[3]) - 255 * visible) <= 1


def test_an_unknown_blend_mode_is_refused_by_name() -> None:
    with pytest.raises(ProxyError, match=r"blend_mode: must be one of .*'multiplied'"):
        REGISTRY.plan([step("watermark", source="a:b", blend_mode="multiplied")])


def test_a_plan_without_steps_has_none() -> None:
    plan = Plan((REGISTRY.from_args("watermark", [(None, "a:b"), ("steps", "")]),))
    assert [operation.extra_steps() for operation in plan] == [()]
