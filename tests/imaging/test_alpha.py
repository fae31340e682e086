"""Levels are rounded wherever pixels are mixed; fractions are not cut off."""

import numpy as np
import pictures
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from proxy.imaging.alpha import composite, map_premultiplied, map_rgb

levels = st.integers(0, 255)
colors = st.tuples(levels, levels, levels)


def image(*color: int, width: int = 1, height: int = 1) -> pyvips.Image:
    pixels = pictures.plain(width, height, color)
    return pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")


@given(colors, st.integers(1, 255))
def test_mixing_pixels_of_one_color_shows_that_color(
    color: tuple[int, int, int], alpha: int
) -> None:
    mixed = map_premultiplied(image(*color, alpha), lambda one: one).numpy()[0, 0].astype(int)
    assert mixed[3] == alpha
    assert abs((mixed[:3] - color) * alpha / 255).max() <= 1


@given(colors, st.tuples(levels, levels, levels, levels))
def test_a_translucent_overlay_is_mixed_to_the_nearest_level(
    color: tuple[int, int, int], overlay: tuple[int, int, int, int]
) -> None:
    mixed = composite(image(*color), image(*overlay), 0, 0).numpy()[0, 0]
    share = overlay[3] / 255
    exact = np.array(overlay[:3]) * share + np.array(color) * (1 - share)
    assert abs(mixed - exact).max() <= 0.51


@given(st.integers(-9, 9), st.integers(-9, 9), st.booleans())
def test_an_overlay_covers_only_what_lies_on_the_picture(left: int, top: int, alpha: bool) -> None:
    base = image(10, 20, 30, *([200] if alpha else []), width=6, height=5)
    result = composite(base, image(250, 240, 230, 255, width=3, height=4), left, top).numpy()
    expected = base.numpy().copy()
    covered = expected[max(0, top) : max(0, top + 4), max(0, left) : max(0, left + 3)]
    covered[:, :, :3] = (250, 240, 230)
    covered[:, :, 3:] = 255
    assert (result == expected).all()


@given(levels, st.floats(0, 2))
def test_values_of_colors_are_rounded(level: int, factor: float) -> None:
    changed = map_rgb(image(level, level, level, 9), lambda rgb: rgb * factor).numpy()[0, 0]
    assert abs(changed[0] - min(255, level * factor)) <= 0.5
    assert changed[3] == 9
