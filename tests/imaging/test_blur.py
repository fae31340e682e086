"""Blurring and sharpening keep a picture's brightness, and are what libvips makes of it."""

import numpy as np
import pictures
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from proxy.imaging.blur import blurred, sharpened

SIGMAS = st.floats(0.001, 10)
SCENE = pyvips.Image.new_from_array(pictures.scene(120, 90)).copy(interpretation="srgb")


@given(sigma=SIGMAS, level=st.integers(0, 255))
def test_what_is_flat_stays_as_it_is(sigma: float, level: int) -> None:
    flat = (pyvips.Image.black(30, 20, bands=3) + level).cast("uchar").copy(interpretation="srgb")
    for image in (blurred(flat, sigma), sharpened(flat, sigma)):
        assert (image.min(), image.max()) == (level, level)


@given(sigma=st.floats(0.3, 10))  # below, libvips leaves pictures alone
def test_a_blur_is_a_gaussian_and_makes_nothing_lighter_or_darker(sigma: float) -> None:
    ideal = SCENE.gaussblur(sigma, precision="float", min_ampl=0.002).numpy()
    away = blurred(SCENE, sigma).numpy() - ideal
    assert abs(away.mean()) < 0.2
    assert abs(away).max() < 6


@given(sigma=st.floats(0.5, 3))
def test_sharpening_is_that_of_libvips_without_its_detour_through_another_space(
    sigma: float,
) -> None:
    assert sharpened(SCENE, sigma).dE00(SCENE.sharpen(sigma=sigma)).avg() < 0.6


def test_edges_come_out_and_colours_keep_their_hue() -> None:
    edge = np.full((20, 40, 3), (60, 90, 120), np.uint8)
    edge[:, 20:] += 60
    before = pyvips.Image.new_from_array(edge).copy(interpretation="srgb")
    after = sharpened(before, 1.0).numpy().astype(int)[10]
    assert (after[19] < edge[10, 19]).all()
    assert (after[20] > edge[10, 20]).all()
    assert (np.diff(after) == np.diff(edge[10].astype(int))).all()


def test_alpha_is_left_alone() -> None:
    image = SCENE.bandjoin(pyvips.Image.xyz(120, 90)[0].cast("uchar"))
    image = image.copy(interpretation="srgb")
    assert (sharpened(image, 1.0)[3] - image[3]).abs().max() == 0
