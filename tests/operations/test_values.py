"""Exact results of operations, number by number."""

from typing import Any

import numpy as np
import pictures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from render_helper import REGISTRY, render_pixels, render_steps, step

from proxy.errors import ImageTooLarge, InvalidOperation, OperationNotApplicable
from proxy.geometry import Size

GRAYS = np.dstack([np.tile(np.arange(256, dtype=np.uint8), (4, 1))] * 3)
RAMP = pictures.encode(GRAYS)


def levels(*steps: dict[str, Any]) -> list[int]:
    """The results for the grays from 0 to 255."""
    return [int(level) for level in render_pixels(RAMP, *steps)[0, :, 0]]


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.2])
def test_gamma_is_the_inverse_power(gamma: float) -> None:
    expected = [255 * (level / 255) ** (1 / gamma) for level in range(256)]
    assert (
        max(abs(a - b) for a, b in zip(levels(step("gamma", gamma=gamma)), expected, strict=True))
        <= 1
    )


def test_a_value_equal_to_the_threshold_becomes_white() -> None:
    assert levels(step("threshold", value=128)) == [0] * 128 + [255] * 128
    assert levels(step("threshold", value=0)) == [255] * 256


def test_inversion_and_contrast() -> None:
    assert levels(step("invert_colors")) == list(range(255, -1, -1))
    assert set(levels(step("contrast", factor=0))) <= {127, 128}
    assert levels(step("contrast", factor=1)) == list(range(256))


def test_opacity_multiplies_alpha() -> None:
    half = pictures.encode(pictures.plain(8, 8, (10, 20, 30, 100)))
    assert render_pixels(half, step("opacity", opacity=50))[0, 0].tolist() == [10, 20, 30, 50]
    assert render_pixels(half, step("opacity", opacity=100))[0, 0].tolist() == [10, 20, 30, 100]


def test_auto_contrast_reaches_black_and_white() -> None:
    flat = pictures.encode((GRAYS // 4 + 90).astype(np.uint8))
    stretched = render_pixels(flat, step("auto_contrast"))
    assert stretched.min() < 5
    assert stretched.max() > 250
    uniform = pictures.encode(pictures.plain(20, 20))
    assert (render_pixels(uniform, step("auto_contrast"))[0, 0, :3] == 120).all()


def test_extend_adds_each_border_on_its_side() -> None:
    red = pictures.encode(pictures.plain(4, 3, (255, 0, 0)))
    result = render_pixels(red, step("extend", top=1, bottom=2, left=3, right=4, hex_color="#0f0"))
    assert result.shape[:2] == (6, 11)
    assert (result[1:4, 3:7, :3] == (255, 0, 0)).all()
    assert (result[:, :, 1] == 255).sum() == 66 - 12


def test_trim_finds_the_content_and_keeps_uniform_pictures() -> None:
    framed = pictures.red_square(90, 70, 20, 10, 30)
    assert render_steps(pictures.encode(framed), step("trim")).size == Size(30, 30)
    assert render_steps(pictures.encode(pictures.plain(40, 30)), step("trim")).size == Size(40, 30)
    column = pictures.plain(40, 30)
    column[:, 7] = 0
    assert render_steps(pictures.encode(column), step("trim")).size == Size(1, 30)


def test_a_crop_outside_the_picture_is_an_error() -> None:
    for box in ((0, 0, 257, 1), (250, 0, 7, 1), (0, 4, 1, 1)):
        names = ("left_in_px", "top_in_px", "width_in_px", "height_in_px")
        with pytest.raises(OperationNotApplicable, match="256x4"):
            render_steps(RAMP, step("crop", **dict(zip(names, box, strict=True))))


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (step("resize"), "width_in_px or height_in_px"),
        (step("modulate"), "brightness, saturation or hue"),
        (step("frames", first=3, last=2), "last must not be less"),
        (step("convert", format="webp", quality=0), "quality"),
        (step("rotate", angle=90, hex_color="reddish"), "hex_color"),
    ],
)
def test_invalid_fields_are_rejected_with_an_explanation(steps: Any, sentence: str) -> None:
    with pytest.raises(InvalidOperation, match=sentence):
        REGISTRY.plan([steps])


def test_text_and_watermark_need_something_to_draw() -> None:
    with pytest.raises(OperationNotApplicable, match="text"):
        render_steps(RAMP, step("text", text=" \u200b "))
    with pytest.raises(OperationNotApplicable, match="watermark"):
        render_steps(RAMP, step("watermark", source="logos:absent.png"))


SCENES = {size: pictures.encode(pictures.scene(*size)) for size in ((40, 30), (30, 40), (60, 7))}
sides = st.integers(1, 90)


@settings(max_examples=60)
@given(size=st.sampled_from(list(SCENES)), width=sides, height=sides)
def test_the_five_fits(size: tuple[int, int], width: int, height: int) -> None:
    original, (w, h) = SCENES[size], size

    def fitted(fit: str) -> Size:
        return render_steps(original, step("resize", width=width, height=height, fit=fit)).size

    for exact in ("cover", "contain", "fill"):
        assert fitted(exact) == Size(width, height)
    inside, outside = fitted("inside"), fitted("outside")
    factor = min(1, width / w, height / h)
    assert inside.width <= max(1, width)
    assert inside.height <= max(1, height)
    assert abs(inside.width - max(1, w * factor)) <= 1
    assert abs(inside.height - max(1, h * factor)) <= 1
    factor = max(1, width / w, height / h)
    assert outside.width >= width
    assert outside.height >= height
    assert abs(outside.width - w * factor) <= 1
    assert abs(outside.height - h * factor) <= 1


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (1, 1), (2, 60_000)])
def test_extreme_aspect_ratios_fill_any_box(size: tuple[int, int]) -> None:
    original = pictures.encode(pictures.plain(*size))
    for name in ("resize", "smart_crop"):
        assert render_steps(original, step(name, width=600, height=400)).size == Size(600, 400)
    with pytest.raises(ImageTooLarge):
        render_steps(original, step("resize", width=9000, height=9000))


def test_rotating_by_quarters_moves_pixels_exactly() -> None:
    corners = pictures.gradient(30, 20)
    original = pictures.encode(corners)
    assert (
        render_pixels(original, step("rotate", angle=90))[:, :, :3] == np.rot90(corners, -1)
    ).all()
    assert (render_pixels(original, step("rotate", angle=-90))[:, :, :3] == np.rot90(corners)).all()
    assert (render_pixels(original, step("rotate", angle=720))[:, :, :3] == corners).all()


def test_corners_of_a_rotated_picture_can_be_transparent() -> None:
    opaque = pictures.encode(pictures.plain(60, 40, pictures.RED), "jpeg", quality=95)
    clear = pictures.encode(pictures.plain(60, 40, (*pictures.RED, 128)))
    for original, alpha in ((opaque, 255), (clear, 128)):
        result = render_pixels(original, step("rotate", angle=30, hex_color="transparent"))
        assert result[0, 0, 3] == 0
        middle = result[result.shape[0] // 2, result.shape[1] // 2].astype(int)
        assert abs(middle - (*pictures.RED, alpha)).max() < 5
        edge = result[(result[:, :, 3] > 0) & (result[:, :, 3] < alpha)].astype(int)
        assert abs(edge[edge[:, 3] > 60, :3] - pictures.RED).max() < 8  # no dark fringe
    flat = render_steps(
        opaque,
        step("rotate", angle=30, hex_color="transparent"),
        step("convert", format="jpeg"),
    )
    assert (pictures.decode(flat.body)[0, 0] > 250).all()
