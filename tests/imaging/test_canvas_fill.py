"""The rest of a canvas filled from the picture: with its average or dominant color, or blurred."""

import numpy as np
import pictures
import pytest
from render_helper import render_pixels, step

ONE_THIRD_RED = pictures.red_square(90, 60, 0, 0, 42)  # red on a background of another color


def _canvases(background: str) -> list[list[dict[str, object]]]:
    """Each operation that puts a picture of 90x60 on a canvas with the same empty last row."""
    border = {"top": 0, "bottom": 30, "left": 0, "right": 0}
    return [
        [step("resize", width=90, height=90, fit="contain", background=background)],
        [step("pad", width=90, height=90, background=background)],
        [step("canvas", width=1, height=1, is_ratio=True, background=background)],
        [step("extend", **border, hex_color=background)],
        [
            step("scale_to_box", width=90, height=90, fit="contain", enlarge=True)
            | {"background": background}
        ],
    ]


@pytest.mark.parametrize("index", range(5))
def test_a_dominant_color_is_that_of_most_pixels(index: int) -> None:
    original = pictures.encode(ONE_THIRD_RED)
    pixels = render_pixels(original, *_canvases("dominant")[index])
    assert np.abs(pixels[-1, :, :3].astype(int) - ONE_THIRD_RED[-1, -1, :3]).max() <= 12


@pytest.mark.parametrize("index", range(5))
def test_auto_is_the_average_color(index: int) -> None:
    original = pictures.encode(ONE_THIRD_RED)
    pixels = render_pixels(original, *_canvases("auto")[index])
    average = ONE_THIRD_RED[:, :, :3].mean(axis=(0, 1))
    assert np.abs(pixels[-1, :, :3] - average).max() <= 1


@pytest.mark.parametrize("index", range(5))
def test_a_blurred_canvas_keeps_the_picture_sharp(index: int) -> None:
    scene = pictures.scene(90, 60)
    pixels = render_pixels(pictures.encode(scene), *_canvases("blur")[index])
    top = (15, 15, 16, 0, 15)[index]
    assert np.array_equal(pixels[top : top + 60, :, :3], scene[:, :, :3])
    steps = np.abs(np.diff(pixels[-1, :, :3].astype(int), axis=0))
    assert steps.max() <= 8


def test_a_canvas_around_nothing_visible_is_filled() -> None:
    clear = np.zeros((60, 90, 4), np.uint8)
    for background in ("auto", "dominant", "blur"):
        pad = step("pad", width=90, height=90, background=background)
        pixels = render_pixels(pictures.encode(clear), pad)
        assert pixels[-1, 0].tolist()[3:] in ([], [255])


def test_every_frame_is_put_on_its_own_blur() -> None:
    frames = [np.full((40, 40, 3), level, np.uint8) for level in (20, 220)]
    original = pictures.encode_animation(frames, "webp")
    pad = step("pad", width=80, height=40, background="blur")
    for page, level in enumerate((20, 220), 1):
        pixels = render_pixels(original, step("page", number=page), pad)
        assert np.abs(pixels[:, 0, :3].astype(int) - level).max() <= 6


@pytest.mark.parametrize("background", ["auto", "dominant", "blur", "transparent", "tomato"])
@pytest.mark.parametrize("index", range(5))
def test_a_picture_that_fills_the_canvas_stays(index: int, background: str) -> None:
    scene = pictures.scene(90, 90)
    [operation] = _canvases(background)[index]
    if index == 3:
        operation |= {"bottom": 0}
    pixels = render_pixels(pictures.encode(scene), operation)
    assert pixels.shape[:2] == (90, 90)
    assert np.array_equal(pixels[:, :, :3], scene[:, :, :3])
