"""remove_background: a plain background goes, and a lively one is an error and not rubble."""

import numpy as np
import pictures
import pytest
from render_helper import render_pixels, step

from proxy.errors import OperationNotApplicable

PRODUCT = pictures.encode(pictures.red_square(200, 100, 80, 30, 40))


def foliage() -> bytes:
    """Leaves of two shades everywhere, and a red square."""
    rng = np.random.default_rng(7)
    leaves = rng.integers(0, 2, (30, 50)).repeat(6, axis=0).repeat(6, axis=1)
    pixels = np.where(leaves[..., None], (40, 110, 40), (150, 190, 70)).astype(np.uint8)
    pixels[70:110, 120:180] = pictures.RED
    return pictures.encode(pixels)


def is_opaque(pixels: pictures.Pixels) -> bool:
    return pixels.shape[2] == 3 or int(pixels[:, :, 3].min()) == 255


def test_a_plain_background_becomes_transparent() -> None:
    alpha = render_pixels(PRODUCT, step("remove_background"))[:, :, 3]
    assert alpha[50, 100] == 255
    assert alpha[5, 5] == 0


def test_a_lively_background_is_an_error_that_says_so() -> None:
    with pytest.raises(OperationNotApplicable, match=r"remove_background: .*if_unclear=keep"):
        render_pixels(foliage(), step("remove_background"))


def test_a_picture_without_a_subject_is_an_error() -> None:
    plain = pictures.encode(pictures.plain(100, 100))
    with pytest.raises(OperationNotApplicable, match="nothing stands out"):
        render_pixels(plain, step("remove_background"))


def test_a_lively_picture_is_kept_where_that_is_asked_for() -> None:
    kept = render_pixels(foliage(), step("remove_background", if_unclear="keep"))
    assert np.array_equal(kept[:, :, :3], pictures.decode(foliage())[:, :, :3])
    assert is_opaque(kept)


@pytest.mark.parametrize(
    "larger",
    [
        step("resize", width=200, height=200, fit="contain"),
        step("pad", width=300, height=200),
        step("extend", top=9, bottom=9, left=9, right=9),
        step("rotate", angle=30),
    ],
    ids=lambda one: str(one["type"]),
)
def test_a_cut_out_is_enlarged_by_transparency(larger: dict[str, object]) -> None:
    assert render_pixels(PRODUCT, step("remove_background"), larger)[0, 0, 3] == 0
    # Not where a color is asked for, or nothing was cut out.
    color = {"hex_color" if larger["type"] in ("extend", "rotate") else "background": "#00FF00"}
    filled = render_pixels(PRODUCT, step("remove_background"), larger | color)
    assert tuple(filled[0, 0]) == (0, 255, 0, 255)
    assert is_opaque(render_pixels(PRODUCT, larger))


def test_a_flattened_cut_out_is_enlarged_by_color() -> None:
    steps = (step("remove_background"), step("remove_transparency"))
    pixels = render_pixels(PRODUCT, *steps, step("resize", width=200, height=200, fit="contain"))
    assert is_opaque(pixels)
