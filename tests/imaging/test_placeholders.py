"""Placeholders equal those of the reference libraries, on every processor.

`scripts/test` runs these tests a second time without the processor's newer vector instructions.
"""

from base64 import b64decode

import numpy as np
import pictures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imaging.placeholders import Thumbnail, blurhash, dominant_colors, thumbhash


def opaque(pixels: pictures.Pixels) -> Thumbnail:
    return np.dstack([pixels, np.full(pixels.shape[:2], 255)]).astype(np.uint8)


SCENE = opaque(pictures.scene(64, 48))
GRADIENT = opaque(pictures.gradient(64, 20))
TRANSPARENT = np.zeros((4, 9, 4), np.uint8)

# Computed with the npm packages blurhash 2.0.5 and thumbhash 0.1.1.
EXPECTED = [
    (SCENE, "L#E3-]nOXSO@tWoMa|W=I=S$nhrq", "H9cJTYiWiXePh3iFZ4d4eWlwtnQI"),
    (TRANSPARENT, "L~TSUA-;fQ-;~qt7fQt7fQfQfQfQ", "AAiCAoAAAAAAAAAAAAAAAAAAAAAAAAA="),
]


@pytest.mark.parametrize(("picture", "blur", "thumb"), EXPECTED)
def test_hashes_equal_those_of_the_reference_libraries(
    picture: Thumbnail, blur: str, thumb: str
) -> None:
    assert blurhash(picture) == blur
    assert thumbhash(picture) == thumb


def test_terms_between_two_levels_round_up_where_the_reference_goes_by_noise() -> None:
    assert blurhash(GRADIENT) == "L+HVF=2g$ASjl}WYjua#gJfQfQfQ"
    assert thumbhash(GRADIENT) == "H/gJmpqIiIiAiIiIcIUI+Hg="
    ours, reference = (
        np.frombuffer(b64decode(text), np.uint8).repeat(2).reshape(-1, 2) >> [0, 4] & 15
        for text in (thumbhash(GRADIENT), "H/gJmpqIiIeAiIiIcHUI+Hg=")
    )
    assert set((ours.astype(int) - reference).ravel().tolist()) == {0, 1}


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_any_thumbnail_has_all_placeholders(width: int, height: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    assert len(blurhash(noise)) == 28
    assert 16 <= len(thumbhash(noise)) <= 36
    assert len(dominant_colors(noise)) <= 5


def test_dominant_colors_are_those_of_the_picture() -> None:
    picture = opaque(pictures.red_square(60, 40, 10, 10, 20))
    gray, red = dominant_colors(picture)
    assert (gray.hex, red.hex) == ("#787878", "#dc1e28")
    assert red.share == pytest.approx(400 / 2400, abs=0.001)
    assert gray.share + red.share == pytest.approx(1)


def test_transparent_pixels_have_no_dominant_color() -> None:
    assert dominant_colors(TRANSPARENT) == ()
    shown = opaque(pictures.plain(10, 10, (0, 0, 255)))
    shown[5:, :, 3] = 0
    assert [color.hex for color in dominant_colors(shown)] == ["#0000ff"]
