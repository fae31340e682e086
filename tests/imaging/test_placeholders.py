"""Placeholders: the same words that the hashes' own libraries have for the same pictures."""

import numpy as np
import pictures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imaging.placeholders import Thumbnail, blurhash, main_colors, thumbhash


def opaque(pixels: pictures.Pixels) -> Thumbnail:
    return np.dstack([pixels, np.full(pixels.shape[:2], 255)]).astype(np.uint8)


SCENE = opaque(pictures.scene(64, 48))
GRADIENT = opaque(pictures.gradient(64, 20))
NOTHING = np.zeros((4, 9, 4), np.uint8)

# Reckoned by the npm packages blurhash 2.0.5 and thumbhash 0.1.1.
WORDS = [
    (SCENE, "L#E3-]nOXSO@tWoMa|W=I=S$nhrq", "H9cJTYiWiXePh3iFZ4d4eWlwtnQI"),
    (GRADIENT, "L+HVF=2g$ASjl}WYjua#gJfQfQfQ", "H/gJmpqIiIeAiIiIcHUI+Hg="),
    (NOTHING, "L~TSUA-;fQ-;~qt7fQt7fQfQfQfQ", "AAiCAoAAAAAAAAAAAAAAAAAAAAAAAAA="),
]


@pytest.mark.parametrize(("picture", "blur", "thumb"), WORDS)
def test_hashes_are_those_of_their_own_libraries(picture: Thumbnail, blur: str, thumb: str) -> None:
    assert blurhash(picture) == blur
    assert thumbhash(picture) == thumb


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_any_thumbnail_has_all_three(width: int, height: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    assert len(blurhash(noise)) == 28
    assert 16 <= len(thumbhash(noise)) <= 36
    assert len(main_colors(noise)) <= 5


def test_main_colors_are_the_ones_that_are_there() -> None:
    picture = opaque(pictures.square(60, 40, 10, 10, 20))
    grey, red = main_colors(picture)
    assert (grey.hex, red.hex) == ("#787878", "#dc1e28")
    assert red.share == pytest.approx(400 / 2400, abs=0.001)
    assert grey.share + red.share == pytest.approx(1)


def test_what_is_transparent_has_no_color() -> None:
    assert main_colors(NOTHING) == ()
    shown = opaque(pictures.plain(10, 10, (0, 0, 255)))
    shown[5:, :, 3] = 0
    assert [color.hex for color in main_colors(shown)] == ["#0000ff"]
