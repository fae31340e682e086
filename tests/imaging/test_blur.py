"""Blur and sharpening keep the brightness, and look like those of libvips."""

import numpy as np
import pictures
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from proxy.imaging.blur import gaussian_blur, sharpen

SIGMAS = st.floats(0.001, 10)
SCENE = pyvips.Image.new_from_array(pictures.scene(120, 90)).copy(interpretation="srgb")


@given(sigma=SIGMAS, level=st.integers(0, 255))
def test_a_uniform_image_stays_as_it_is(sigma: float, level: int) -> None:
    flat = (pyvips.Image.black(30, 20, bands=3) + level).cast("uchar").copy(interpretation="srgb")
    for image in (gaussian_blur(flat, sigma), sharpen(flat, sigma)):
        assert (image.min(), image.max()) == (level, level)


@given(sigma=st.floats(0.3, 10))  # below, libvips does not blur
def test_the_blur_is_gaussian_and_keeps_the_mean_brightness(sigma: float) -> None:
    ideal = SCENE.gaussblur(sigma, precision="float", min_ampl=0.002).numpy()
    difference = gaussian_blur(SCENE, sigma).numpy() - ideal
    assert abs(difference.mean()) < 0.2
    assert abs(difference).max() < 6


@given(sigma=st.floats(0.5, 3))
def test_sharpening_looks_like_that_of_libvips(
    sigma: float,
) -> None:
    assert sharpen(SCENE, sigma).dE00(SCENE.sharpen(sigma=sigma)).avg() < 0.6


def test_sharpening_raises_contrast_at_edges_and_keeps_the_hue() -> None:
    edge = np.full((20, 40, 3), (60, 90, 120), np.uint8)
    edge[:, 20:] += 60
    before = pyvips.Image.new_from_array(edge).copy(interpretation="srgb")
    after = sharpen(before, 1.0).numpy().astype(int)[10]
    assert (after[19] < edge[10, 19]).all()
    assert (after[20] > edge[10, 20]).all()
    assert (np.diff(after) == np.diff(edge[10].astype(int))).all()


def test_sharpening_keeps_alpha() -> None:
    image = SCENE.bandjoin(pyvips.Image.xyz(120, 90)[0].cast("uchar"))
    image = image.copy(interpretation="srgb")
    assert (sharpen(image, 1.0)[3] - image[3]).abs().max() == 0
