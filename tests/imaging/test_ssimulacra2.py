"""The scores are those of the program `ssimulacra2_rs`, a port of libjxl's.

cargo install ssimulacra2_rs --version 0.5.2 --no-default-features
ssimulacra2_rs image drawing.png distorted.png
"""

import numpy as np
import numpy.typing as npt
import pytest

from proxy.imaging.ssimulacra2 import _BLUR, Pixels, Reference, _blur

REFERENCE_SCORES = {
    "darker": 77.661,
    "fewer-levels": 87.845,
    "checked": 76.403,
    "without-detail": 72.993,
    "blue": 90.242,
    "coarse-color": 82.133,
}


def drawing(width: int = 150, height: int = 133) -> Pixels:
    """Waves, edges and colors, in integers only, so that it is the same everywhere."""
    y, x = np.mgrid[:height, :width]
    waves = (x * x + y * y) // 24 % 128
    edges = ((x // 20 + y // 14) % 2) * 90
    red = waves + edges
    green = waves // 2 + (x * 255 // width) // 2
    blue = 255 - (y * 255 // height) + (edges - 90) // 2
    drawn: Pixels = np.clip(np.stack([red, green, blue], axis=-1), 0, 255).astype(np.uint8)
    return drawn


def distort(pixels: Pixels, kind: str) -> Pixels:
    values = pixels.astype(np.int64)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    match kind:
        case "darker":
            values = values * 15 // 16
        case "fewer-levels":
            values = values // 12 * 12 + 6
        case "checked":
            values += (((x + y) % 2) * 16 - 8)[..., None]
        case "without-detail":
            values[:, 1:-1] = (values[:, :-2] + values[:, 1:-1] * 2 + values[:, 2:]) // 4
        case "blue":
            values[..., 2] += (x * 7 + y * 3) % 31 - 15
        case "coarse-color":
            corners = values[y // 8 * 8, x // 8 * 8]
            values += (corners - corners.mean(axis=-1, dtype=int, keepdims=True)) // 16
    return np.clip(values, 0, 255).astype(np.uint8)


def slowly_blurred(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    kernel = np.array([*_BLUR[:0:-1], *_BLUR])
    rows = np.apply_along_axis(np.convolve, 0, plane, kernel, "same")
    return np.apply_along_axis(np.convolve, 1, rows, kernel, "same")


@pytest.mark.parametrize(("kind", "score"), REFERENCE_SCORES.items())
def test_scores_are_those_of_the_reference_program(kind: str, score: float) -> None:
    pixels = drawing()
    assert Reference(pixels).score(distort(pixels, kind)) == pytest.approx(score, abs=0.1)


@pytest.mark.parametrize("shape", [(12, 9), (64, 64), (65, 200), (130, 63)])
def test_a_blur_in_blocks_is_a_convolution_with_black_around(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(3).random(shape)
    assert _blur(plane) == pytest.approx(slowly_blurred(plane), abs=1e-12)


def test_equal_pixels_score_100() -> None:
    assert Reference(drawing(40, 30)).score(drawing(40, 30)) == pytest.approx(100)


def test_a_picture_smaller_than_the_smallest_size_has_a_score() -> None:
    pixels = drawing(5, 3)
    assert 0 < Reference(pixels).score(distort(pixels, "checked")) < 100


def test_equal_tiles_score_as_one_of_them() -> None:
    pixels = drawing(64, 64)
    distorted = distort(pixels, "without-detail")
    tiles = Reference(np.stack([pixels] * 3))
    expected = Reference(pixels).score(distorted)
    assert tiles.score(np.stack([distorted] * 3)) == pytest.approx(expected)


def test_only_pixels_of_the_same_shape_are_compared() -> None:
    with pytest.raises(ValueError, match="the reference has the shape"):
        Reference(drawing(20, 20)).score(drawing(20, 21))
