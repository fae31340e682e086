"""What sizes and costs rule out is refused before anything is decoded.

Most originals here have a whole header and no pixels: whoever decodes them finds them truncated.
"""

import malformed_images as malformed
import pictures
import pytest
from msgspec import structs
from operations.examples import CASES, DISC, EXAMPLES, MARK, DiscDetector
from photos import PORTRAIT
from render_helper import DETECTOR, REGISTRY, step

from proxy.buffers import SharedBuffer
from proxy.errors import BrokenImage, ImageTooLarge, OperationNotApplicable
from proxy.formats import FormatName
from proxy.imaging.cost_model import EXPENSIVE_SECONDS
from proxy.imaging.headers import ImageHeader
from proxy.imaging.results import RenderResult
from proxy.limits import Limits
from proxy.operations import OPERATIONS
from proxy.operations.estimate import PlanEstimate
from proxy.operations.operation import operation_name
from proxy.operations.pipeline import render
from proxy.originals import SourceRef
from proxy.render.handlers import HANDLERS
from proxy.render.ipc import TooExpensive, handlers_by_name
from proxy.render.scheduling import Priority
from proxy.render.tasks import RENDER, RenderContext, build_render_request

KINDS = {operation_name(kind): kind for kind in OPERATIONS}
SCENE = pictures.encode(pictures.scene(160, 120))


def without_pixels(width: int, height: int, format: str = "png") -> bytes:
    """An original with this size and no more than the first pixels."""
    if format == "png":
        return malformed.png(head=malformed.ihdr(width, height))
    whole = pictures.encode(pictures.plain(width, height), format)
    return whole[: len(whole) // 2]


def run(original: bytes, *steps: dict[str, object], limits: Limits | None = None) -> RenderResult:
    return render(
        original,
        REGISTRY.plan(list(steps)),
        limits or Limits(),
        detector=DiscDetector(),
        subject=DISC,
        extra_images={SourceRef("logos:mark.png"): MARK},
    )


def run_task(original: bytes, steps: list[dict[str, object]], priority: Priority) -> RenderResult:
    request = build_render_request(RenderContext(Limits()), REGISTRY.plan(steps), DISC, {})
    handler = handlers_by_name(HANDLERS)[RENDER.name]
    result: RenderResult = handler.function([SharedBuffer.from_bytes(original)], request, priority)
    return result


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "bmp", "avif"])
def test_a_chain_whose_last_step_is_too_large_is_refused_first(format: str) -> None:
    sharpen = [step("sharpen", sigma=2)] * 10
    too_large = step("rotate", angle_in_degrees=30), step("upscale", factor=4)
    original = without_pixels(1800, 1600, format)
    with pytest.raises(ImageTooLarge, match="MAX_RESULT_PIXELS"):
        run(original, *sharpen, *too_large, step("flip"), step("convert", format="png"))


def test_a_crop_outside_of_the_picture_is_refused_first() -> None:
    crop = step("crop", left_in_px=0, top_in_px=0, width_in_px=91, height_in_px=10)
    with pytest.raises(OperationNotApplicable, match="not inside the picture of 90x100"):
        run(
            without_pixels(100, 90),
            step("rotate", angle_in_degrees=90),
            step("blur", sigma=5),
            crop,
        )


def test_what_pixels_decide_is_not_guessed() -> None:
    """The border is known only once it was looked at; what is left is small enough."""
    framed = pictures.red_square(900, 600, 400, 300, 40)
    limits = Limits(max_result_dimension=1000)
    result = run(pictures.encode(framed), step("trim"), step("upscale", factor=4), limits=limits)
    assert result.rendition.size.width < 1000


@pytest.mark.parametrize(("name", "case"), CASES)
def test_sizes_are_known_exactly(name: str, case: str) -> None:
    """One pixel less is too little, in the very size that the operation has in the end."""
    if KINDS[name].changes_pixels and KINDS[name].changes_size is None:
        pytest.skip("pixels decide its size")
    if name in ("compress_to_size", "pass_through"):
        pytest.skip("the encoder decides the size")
    alone = step(name, **EXAMPLES[name][case])
    size = run(SCENE, alone, step("convert", format="png")).rendition.size
    side = max(size.width, size.height)
    original = without_pixels(160, 120)
    with pytest.raises(ImageTooLarge):
        run(original, alone, limits=Limits(max_result_dimension=side - 1))
    with pytest.raises(BrokenImage):
        run(original, alone, limits=Limits(max_result_dimension=max(side, 160)))


def test_a_long_chain_is_expensive_before_it_begins() -> None:
    original, chain = without_pixels(4000, 3000), [step("sharpen")] * 10
    with pytest.raises(TooExpensive):
        run_task(original, chain, "interactive")
    with pytest.raises(BrokenImage):
        run_task(original, chain, "expensive")
    with pytest.raises(BrokenImage):
        run_task(original, [step("resize", width_in_px=400), *chain], "interactive")


def test_a_chain_beyond_the_deadline_is_refused_instead_of_begun() -> None:
    chain = [step("denoise", size=3)] * 30
    with pytest.raises(ImageTooLarge, match=r"CPU time.*RENDER_TIMEOUT_SECONDS"):
        run_task(without_pixels(6000, 4000), chain, "expensive")


@pytest.mark.parametrize(
    ("header", "steps"),
    [
        (ImageHeader("jxl", 5000, 4000), []),
        (ImageHeader("jpeg", 3000, 2000), [step("convert", format="jxl")]),
        (ImageHeader("jpeg", 3000, 2000), [step("upscale", factor=3)]),
        (ImageHeader("gif", 500, 400, frames=50, animated=True), [step("sharpen")]),
        (
            ImageHeader("jpeg", 1600, 1200),
            [step("convert", format="webp"), step("compress_to_size", max_file_size_in_bytes=9000)],
        ),
    ],
)
def test_every_part_of_the_work_counts(header: ImageHeader, steps: list[dict[str, object]]) -> None:
    estimate = PlanEstimate(REGISTRY.plan(steps))
    assert estimate.seconds_from_original(header, header.frames) > EXPENSIVE_SECONDS


@pytest.mark.parametrize("format", ["avif", "heif", "jxl"])
def test_a_result_that_its_encoder_cannot_hold_is_refused_first(format: str) -> None:
    convert = step("convert", format=format)
    with pytest.raises(ImageTooLarge, match="MAX_RESULT_PIXELS_UNSTREAMED"):
        run(without_pixels(6000, 5000), step("auto_contrast"), convert)
    with pytest.raises(BrokenImage):
        run(without_pixels(6000, 4000), convert)


@pytest.mark.parametrize("format", ["avif", "heif", "jxl"])
def test_a_size_that_pixels_decide_is_checked_before_the_encoder_begins(format: str) -> None:
    convert = step("convert", format=format)
    limits = Limits(max_result_pixels_unstreamed=160 * 120 - 1)
    with pytest.raises(ImageTooLarge, match="MAX_RESULT_PIXELS_UNSTREAMED"):
        run(SCENE, step("trim"), step("upscale", factor=2), convert, limits=limits)


def test_auto_takes_a_format_whose_encoder_can_hold_the_result() -> None:
    # A photograph that is changed: nothing else is as small.
    steps = [step("resize", width=160, height=120), step("convert", format="auto")]
    plan = REGISTRY.plan(steps).with_accepted_formats(["avif", "webp"])
    limits = Limits(max_result_pixels_unstreamed=160 * 120 - 1)
    assert render(PORTRAIT, plan, Limits(), detector=DETECTOR).rendition.format == "avif"
    assert render(PORTRAIT, plan, limits, detector=DETECTOR).rendition.format == "webp"


def test_an_ordinary_thumbnail_is_cheap() -> None:
    plan = REGISTRY.plan([step("smart_crop", width_in_px=800, height_in_px=600), step("sharpen")])
    header = ImageHeader("jpeg", 6000, 4000)
    assert PlanEstimate(plan).seconds_from_original(header, 1) < EXPENSIVE_SECONDS


def test_an_original_that_is_sent_as_it_is_must_be_whole() -> None:
    whole = pictures.encode(pictures.scene(160, 120))
    assert run(whole, step("pass_through")).rendition.body == whole
    with pytest.raises(BrokenImage):
        run(whole[: len(whole) // 2], step("pass_through"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_source_dimension", 159),
        ("max_source_pixels", 160 * 120 - 1),
        ("max_result_dimension", 159),
        ("max_result_pixels", 160 * 120 - 1),
        ("max_result_bytes", 100),
    ],
)
def test_an_original_that_is_sent_as_it_is_obeys_the_limits(name: str, value: int) -> None:
    original = pictures.encode(pictures.scene(160, 120))
    with pytest.raises(ImageTooLarge, match=f"FRAMEKEEP_LIMITS_{name.upper()}\\b"):
        run(original, step("pass_through"), limits=structs.replace(Limits(), **{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_frames", 2),
        ("max_source_pixels_all_frames", 3 * 80 * 60 - 1),
        ("max_result_pixels", 3 * 80 * 60 - 1),
    ],
)
@pytest.mark.parametrize("format", ["gif", "webp"])
def test_all_frames_of_an_original_that_is_sent_as_it_is_count(
    format: FormatName, name: str, value: int
) -> None:
    """Also where another operation would show the first one only."""
    original = pictures.encode_animation(pictures.moving_scene(3, 80, 60), format)
    steps = (step("frames", first=1, last=1), step("pass_through"))
    assert run(original, *steps).rendition.body == original
    with pytest.raises(ImageTooLarge, match=f"FRAMEKEEP_LIMITS_{name.upper()}\\b"):
        run(original, *steps, limits=structs.replace(Limits(), **{name: value}))


@pytest.mark.parametrize("format", ["gif", "webp"])
def test_an_animation_that_is_sent_as_it_is_must_be_whole(format: FormatName) -> None:
    original = pictures.encode_animation(pictures.moving_scene(3, 80, 60), format)
    assert run(original, step("pass_through")).rendition.body == original
    with pytest.raises(BrokenImage):
        run(original[: len(original) * 5 // 6], step("pass_through"))
