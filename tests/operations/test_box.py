"""Sides in pixels, as shares of the picture's, and by an aspect ratio."""

import io
from fractions import Fraction
from math import floor

import pictures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from render_helper import REGISTRY, render_pixels, render_steps, step

from proxy.errors import ImageTooLarge, InvalidOperation, OperationNotApplicable
from proxy.geometry import Size
from proxy.imaging.picture import OutputOptions, Picture, blank_image
from proxy.limits import Limits
from proxy.operations.operation import format_operation
from proxy.smartcrop.detector import SubjectDetector

DETECTOR = SubjectDetector()
natural_sizes = st.builds(Size, st.integers(1, 3000), st.integers(1, 3000))
hundredths = st.integers(1, 99)
ratios = st.tuples(st.integers(1, 20), st.integers(1, 20))


def size_after(natural: Size, *steps: dict[str, object]) -> Size:
    """What the sizes are, of a picture without pixels."""
    picture = Picture(
        blank_image(natural), natural, OutputOptions("png"), DETECTOR, has_pixels=False
    )
    for operation in REGISTRY.plan(list(steps)):
        picture = operation.apply(picture)
    return picture.natural_size


def rounded(number: Fraction) -> int:
    """The nearest pixel, halves up, at least 1."""
    return max(1, floor(number + Fraction(1, 2)))


@given(natural_sizes, hundredths, hundredths)
def test_a_share_is_of_the_side_as_it_arrives(natural: Size, across: int, down: int) -> None:
    width, height = across / 100, down / 100
    expected = Size(
        rounded(Fraction(natural.width * across, 100)),
        rounded(Fraction(natural.height * down, 100)),
    )
    for one in (
        step("resize", width=width, height=height, fit="fill"),
        step("resize", width=width, height=height),
        step("crop", width=width, height=height),
        step("smart_crop", width=width, height=height, focus="center"),
    ):
        assert size_after(natural, one) == expected
        turned = Size(natural.height, natural.width)
        assert size_after(turned, step("rotate", angle=90), one) == expected


@given(natural_sizes, ratios)
def test_a_ratio_alone_is_the_largest_window_of_it(natural: Size, ratio: tuple[int, int]) -> None:
    text = f"{ratio[0]}x{ratio[1]}"
    size = size_after(natural, step("crop", ratio=text))
    assert size == size_after(natural, step("smart_crop", ratio=text, focus="center"))
    wider = natural.width * ratio[1] >= natural.height * ratio[0]
    if wider:
        expected = Size(rounded(Fraction(natural.height * ratio[0], ratio[1])), natural.height)
    else:
        expected = Size(natural.width, rounded(Fraction(natural.width * ratio[1], ratio[0])))
    assert size == expected


@given(natural_sizes, ratios, st.integers(1, 500))
def test_one_side_and_a_ratio_give_the_other_side(
    natural: Size, ratio: tuple[int, int], side: int
) -> None:
    text = f"{ratio[0]}x{ratio[1]}"
    expected = Size(side, rounded(Fraction(side * ratio[1], ratio[0])))
    assert size_after(natural, step("resize", width=side, ratio=text)) == expected
    assert (
        size_after(natural, step("smart_crop", width=side, ratio=text, focus="center")) == expected
    )
    contained = step("resize", width=side, ratio=text, fit="contain")
    assert size_after(natural, contained) == expected


@given(natural_sizes, hundredths, hundredths)
def test_shares_that_add_up_to_the_whole_reach_the_edge(
    natural: Size, left: int, width: int
) -> None:
    fields = {"left": left / 100, "width": width / 100}
    if left + width <= 100:
        assert size_after(natural, step("crop", **fields)).height == natural.height
    elif natural.width >= 100:
        with pytest.raises(OperationNotApplicable, match="not inside"):
            size_after(natural, step("crop", **fields))
    rest = size_after(natural, step("crop", left=left / 100, height=0.5))
    assert rest.width == max(1, natural.width - rounded_offset(natural.width, left))


def rounded_offset(side: int, hundredths: int) -> int:
    return min(side - 1, floor(Fraction(side * hundredths, 100) + Fraction(1, 2)))


def test_one_is_one_pixel_however_it_is_written() -> None:
    for link in ("1", "1.0"):
        assert (
            REGISTRY.from_args("resize", [(None, link)])
            == REGISTRY.plan([step("resize", width=1.0)]).operations[0]
        )
    assert size_after(Size(40, 30), step("crop", width=1, height=1.0)) == Size(1, 1)


def test_equal_boxes_are_equal_values() -> None:
    ratio = REGISTRY.from_args("crop", [("ratio", "32x18")])
    assert format_operation(ratio) == "crop:::::16x9"
    assert ratio == REGISTRY.plan([step("crop", ratio="16x9")]).operations[0]
    half = REGISTRY.from_args("resize", [("width", "0.50")])
    assert format_operation(half) == "resize:0.5"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (step("resize", width=1.5), "width_in_px: must be a whole number from 1 to 16384 or a sha"),
        (step("resize", width=0), "width_in_px: must be"),
        (step("resize", width=-0.5), "width_in_px: must be"),
        (step("crop", width=10, height=10, ratio="1x1"), "ratio: give only one side with it"),
        (step("crop", left=5), "width_in_px is missing: give width_in_px, height_in_px or a ratio"),
        (step("crop", ratio="16:9"), "ratio: must be two whole numbers from 1 to 99999, such as"),
        (step("crop", ratio="1x101"), "ratio: one side is at most 100 times the other"),
        (step("smart_crop", width=10), "height_in_px is missing"),
        (step("smart_crop", ratio="1x1", dpr=2), "dpr: multiplies a width or a height in pixels"),
        (step("resize", width=0.5, dpr=2), "dpr: multiplies a width or a height in pixels"),
    ],
)
def test_what_is_no_box_is_refused_with_the_reason(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidOperation, match=sentence):
        REGISTRY.plan([wrong])


def test_a_share_is_of_the_upright_picture() -> None:
    data = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    Image.fromarray(pictures.scene(300, 200)).save(data, "jpeg", exif=exif)
    assert render_steps(data.getvalue(), step("resize", width=0.5)).size == Size(100, 150)
    assert render_steps(data.getvalue(), step("crop", ratio="1x1")).size == Size(200, 200)


def test_a_share_is_of_the_original_and_not_of_what_was_shrunk_on_load() -> None:
    original = pictures.encode(pictures.scene(1600, 1200), "jpeg")
    assert render_steps(original, step("resize", width=0.1)).size == Size(160, 120)
    small = step("resize", width=0.1, height=0.1, fit="fill")
    assert render_steps(original, small, step("crop", width=0.5)).size == Size(80, 120)


def test_a_share_is_of_what_the_steps_before_left() -> None:
    original = pictures.encode(pictures.scene(400, 300))
    steps = (
        step("resize", width=200),
        step("extend", top=50, bottom=0, left=0, right=0, hex_color="#fff"),
        step("resize", height=0.5),
    )
    assert render_steps(original, *steps).size == Size(100, 100)


def test_every_frame_of_an_animation_is_cropped_to_the_ratio() -> None:
    moving = pictures.encode_animation(pictures.moving_scene(4, 120, 40))
    for one in (step("crop", ratio="1x1", position="east"), step("smart_crop", ratio="1x1")):
        rendition = render_steps(moving, one)
        assert rendition.size == Size(40, 40)
        assert pictures.frame_count(rendition.body) == 4


def test_the_position_places_what_no_edge_does() -> None:
    ramp = pictures.encode(pictures.gradient(256, 64))
    reds = {
        position: int(render_pixels(ramp, step("crop", ratio="1x1", position=position))[0, 0, 0])
        for position in ("west", "center", "east", "0.25,0")
    }
    assert reds["west"] == 0
    assert reds["0.25,0"] == pytest.approx(48, abs=1)
    assert reds["center"] == pytest.approx(96, abs=1)
    assert reds["east"] == pytest.approx(192, abs=1)
    edge = render_pixels(ramp, step("crop", left=0.5, ratio="1x1"))
    assert edge.shape[:2] == (64, 64)
    assert int(edge[0, 0, 0]) == pytest.approx(128, abs=1)


def test_a_box_by_ratio_keeps_to_the_limits_of_results() -> None:
    original = pictures.encode(pictures.plain(30, 20))
    with pytest.raises(ImageTooLarge, match="MAX_RESULT_DIMENSION"):
        render_steps(
            original,
            step("resize", width=100, ratio="1x100"),
            limits=Limits(max_result_dimension=5000),
        )
