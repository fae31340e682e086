"""What stands out: what the border can't reach cheaply."""

import numpy as np
import pytest

from proxy.smartcrop.saliency import barrier, regions, salience


def disc(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    inside = (rows - y * height) ** 2 + (columns - x * width) ** 2 < (radius * height) ** 2
    slope = np.linspace(90, 140, width)[None, :].repeat(height, axis=0)  # a wall in uneven light
    picture = np.stack([slope, slope, slope], axis=2)
    picture[inside] = (220, 40, 30)
    return picture.astype(np.uint8)


@pytest.mark.parametrize(("x", "y"), [(0.3, 0.5), (0.6, 0.4), (0.5, 0.7)])
def test_a_red_disc_on_a_wall_stands_out(x: float, y: float) -> None:
    grid = salience(disc(300, 400, x, y, 0.15))
    assert grid is not None
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    assert abs(column / grid.shape[1] - x) < 0.12
    assert abs(row / grid.shape[0] - y) < 0.12
    assert grid[0].max() < 0.3


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_nothing_stands_out_of_one_colour(shade: int) -> None:
    assert salience(np.full((200, 300, 3), shade, np.uint8)) is None


def test_what_is_transparent_does_not_stand_out() -> None:
    picture = disc(300, 400, 0.3, 0.5, 0.15)
    alpha = np.full((300, 400), 255, np.uint8)
    alpha[:, :200] = 0
    grid = salience(picture, alpha)
    assert grid is None or grid[:, : grid.shape[1] // 2 - 2].max() == 0


def test_a_barrier_is_the_least_span_on_any_way() -> None:
    plane = np.zeros((1, 7, 7), np.float32)
    plane[0, 2:5, 2:5] = 5
    plane[0, 3, 3] = 2
    reached = barrier(plane)
    assert reached[0, 0, 0] == 0
    assert reached[0, 1, 1] == 0
    assert reached[0, 2, 2] == 5
    assert reached[0, 3, 3] == 5  # over the ring: up to 5 and down to 2 again


def test_a_shaded_wall_is_no_barrier_along_its_own_shade() -> None:
    slope = np.tile(np.linspace(0, 50, 30, dtype=np.float32), (20, 1))[None]
    assert barrier(slope).max() < 1e-5


def test_boxes_of_a_map_hold_all_of_it_once() -> None:
    grid = salience(disc(300, 400, 0.4, 0.5, 0.2))
    assert grid is not None
    found = regions(grid)
    assert 0.99 <= sum(region.weight for region in found) <= 1.01
    for index, one in enumerate(found):
        for other in found[index + 1 :]:
            apart_x = one.right <= other.left + 1e-6 or other.right <= one.left + 1e-6
            apart_y = one.bottom <= other.top + 1e-6 or other.bottom <= one.top + 1e-6
            assert apart_x or apart_y


def test_the_same_picture_gives_the_same_map() -> None:
    picture = disc(300, 400, 0.4, 0.5, 0.2)
    assert np.array_equal(salience(picture), salience(picture.copy()))  # type: ignore[arg-type]
