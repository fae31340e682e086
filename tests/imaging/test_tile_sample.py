"""Tiles that stand for a picture: parts of it, of one size, from plain to busy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.imaging.tile_sample import FEATURES, MAX_TILES, MIN_TILES, TILE_SIDE, take_sample


def numbered(width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Every pixel tells its place."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([x % 256, y % 256, x // 256 * 16 + y // 256]).astype(np.uint8)


@given(width=st.integers(32, 700), height=st.integers(32, 700))
@settings(max_examples=40)
def test_tiles_are_parts_of_the_picture(width: int, height: int) -> None:
    pixels = numbered(width, height)
    sample = take_sample(pixels)
    assert len(sample.features) == len(FEATURES)
    if sample.is_whole:
        assert np.array_equal(sample.tiles[0], pixels)
        return
    assert 1 <= len(sample.tiles) <= MAX_TILES
    side = min(height, TILE_SIDE), min(width, TILE_SIDE)
    places = set()
    for tile in sample.tiles:
        left = int(tile[0, 0, 0]) + 256 * (int(tile[0, 0, 2]) // 16)
        top = int(tile[0, 0, 1]) + 256 * (int(tile[0, 0, 2]) % 16)
        assert np.array_equal(tile, pixels[top : top + side[0], left : left + side[1]])
        places.add((top, left))
    assert len(places) == len(sample.tiles)


def test_a_small_picture_is_its_own_sample() -> None:
    assert take_sample(numbered(250, 200)).is_whole
    assert not take_sample(numbered(251, 200)).is_whole


@pytest.mark.parametrize(("side", "tiles"), [(400, MIN_TILES), (1350, 13), (2000, MAX_TILES)])
def test_larger_pictures_have_more_tiles_up_to_a_bound(side: int, tiles: int) -> None:
    assert len(take_sample(numbered(side, side)).tiles) == tiles


def test_plain_and_busy_parts_count_as_in_the_picture() -> None:
    """Half of it is noise, wherever that lies."""
    noise = np.random.default_rng(3).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:8, :8]
    for is_noise in (rows < 4, columns % 2 == 0, (rows + columns) % 2 == 0):
        tiles_of_noise = np.kron(is_noise, np.ones((64, 64), bool))[..., np.newaxis]
        sample = take_sample(np.where(tiles_of_noise, noise, np.uint8(90)))
        busy = [tile.std() > 10 for tile in sample.tiles]
        assert sum(busy) == len(busy) / 2


def test_features_do_not_depend_on_brightness() -> None:
    pixels = np.random.default_rng(4).integers(60, 120, (300, 300, 3), dtype=np.uint8)
    brighter = (pixels + 100).astype(np.uint8)
    assert take_sample(pixels).features == take_sample(brighter).features
