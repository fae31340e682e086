"""Saliency: what stands out from the background that touches the border."""

import numpy as np
import pytest

from proxy.smartcrop.saliency import (
    coarsen,
    minimum_barrier_distance,
    saliency_map,
    saliency_regions,
)


def disc(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    inside = (rows - y * height) ** 2 + (columns - x * width) ** 2 < (radius * height) ** 2
    slope = np.linspace(90, 140, width)[None, :].repeat(height, axis=0)  # a wall in uneven light
    pixels = np.stack([slope, slope, slope], axis=2)
    pixels[inside] = (220, 40, 30)
    return pixels.astype(np.uint8)


@pytest.mark.parametrize(("x", "y"), [(0.3, 0.5), (0.6, 0.4), (0.5, 0.7)])
def test_a_red_disc_on_a_wall_stands_out(x: float, y: float) -> None:
    grid = saliency_map(disc(300, 400, x, y, 0.15))
    assert grid is not None
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    assert abs(column / grid.shape[1] - x) < 0.12
    assert abs(row / grid.shape[0] - y) < 0.12
    assert grid[0].max() < 0.3


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_nothing_stands_out_in_one_color(shade: int) -> None:
    assert saliency_map(np.full((200, 300, 3), shade, np.uint8)) is None


def test_transparent_parts_do_not_stand_out() -> None:
    picture = disc(300, 400, 0.3, 0.5, 0.15)
    alpha = np.full((300, 400), 255, np.uint8)
    alpha[:, :200] = 0
    grid = saliency_map(picture, alpha)
    assert grid is None or grid[:, : grid.shape[1] // 2 - 2].max() == 0


def test_a_barrier_distance_is_the_smallest_range_of_values_on_any_path() -> None:
    plane = np.zeros((1, 7, 7), np.float32)
    plane[0, 2:5, 2:5] = 5
    plane[0, 3, 3] = 2
    distance = minimum_barrier_distance(plane)
    assert distance[0, 0, 0] == 0
    assert distance[0, 1, 1] == 0
    assert distance[0, 2, 2] == 5
    assert distance[0, 3, 3] == 5  # over the ring: up to 5, then down to 2


def test_a_gradual_shade_is_no_barrier() -> None:
    slope = np.tile(np.linspace(0, 50, 30, dtype=np.float32), (20, 1))[None]
    assert minimum_barrier_distance(slope).max() < 1e-5


def test_the_regions_of_a_map_cover_it_without_overlap() -> None:
    grid = saliency_map(disc(300, 400, 0.4, 0.5, 0.2))
    assert grid is not None
    found = saliency_regions(coarsen(grid))
    assert 0.99 <= sum(region.weight for region in found) <= 1.01
    for index, one in enumerate(found):
        for other in found[index + 1 :]:
            apart_x = one.right <= other.left + 1e-6 or other.right <= one.left + 1e-6
            apart_y = one.bottom <= other.top + 1e-6 or other.bottom <= one.top + 1e-6
            assert apart_x or apart_y


def test_equal_pictures_give_equal_maps() -> None:
    picture = disc(300, 400, 0.4, 0.5, 0.2)
    assert np.array_equal(saliency_map(picture), saliency_map(picture.copy()))  # type: ignore[arg-type]
