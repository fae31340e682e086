"""Sizes and windows of `thumbnail`, `crop_to` and `canvas` are those of imgproxy, to the pixel."""

from typing import Any

import numpy as np
import pictures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from render_helper import REGISTRY, render_pixels, step

from proxy.geometry import Box, Size
from proxy.operations.gravity import place
from proxy.operations.thumbnail import Thumbnail, ThumbnailSize

SIDES = st.integers(1, 3000)


def sizes(natural: tuple[int, int], **fields: Any) -> ThumbnailSize:
    thumbnail = REGISTRY.plan([step("thumbnail", **fields)]).operations[0]
    assert isinstance(thumbnail, Thumbnail)
    return thumbnail.size_for(Size(*natural))


@pytest.mark.parametrize(
    ("natural", "fields", "scaled", "window"),
    [
        # What fits is scaled by the larger factor, and never up.
        ((640, 428), {"width": 300, "height": 200}, (299, 200), (299, 200)),
        ((640, 428), {"width": 300}, (300, 201), (300, 201)),
        ((640, 428), {"height": 100}, (150, 100), (150, 100)),
        ((100, 50), {"width": 300, "height": 200}, (100, 50), (100, 50)),
        ((100, 50), {"width": 300, "height": 200, "enlarge": True}, (300, 150), (300, 150)),
        # What fills is scaled by the smaller factor and cropped.
        ((640, 428), {"width": 300, "height": 200, "fit": "fill"}, (300, 201), (300, 200)),
        ((100, 50), {"width": 300, "height": 40, "fit": "fill"}, (100, 50), (100, 40)),
        ((100, 50), {"width": 300, "height": 200, "fit": "fill"}, (100, 50), (100, 50)),
        # fill-down keeps the aspect ratio of the box where the picture is smaller.
        ((640, 428), {"width": 2000, "height": 1000, "fit": "fill-down"}, (640, 428), (640, 320)),
        ((640, 428), {"width": 300, "height": 300, "fit": "fill-down"}, (449, 300), (300, 300)),
        ((100, 400), {"width": 200, "height": 200, "fit": "fill-down"}, (100, 400), (100, 100)),
        # auto fills where both are landscape or both portrait.
        ((640, 428), {"width": 300, "height": 100, "fit": "auto"}, (300, 201), (300, 100)),
        ((640, 428), {"width": 100, "height": 300, "fit": "auto"}, (100, 67), (100, 67)),
        ((400, 400), {"width": 100, "height": 100, "fit": "auto"}, (100, 100), (100, 100)),
        # force stretches; without enlarging, both sides shrink by the same factor more.
        ((640, 428), {"width": 300, "height": 100, "fit": "force"}, (300, 100), (300, 100)),
        ((640, 428), {"width": 300, "fit": "force"}, (300, 428), (300, 428)),
        ((100, 100), {"width": 200, "height": 50, "fit": "force"}, (100, 25), (100, 25)),
        # dpr and zoom multiply; a picture that is too small lowers the dpr.
        ((640, 428), {"width": 100, "dpr": 2}, (200, 134), (200, 134)),
        ((640, 428), {"width": 500, "dpr": 2}, (640, 428), (640, 428)),
        (
            (640, 428),
            {"width": 300, "height": 300, "fit": "fill", "dpr": 2},
            (640, 428),
            (428, 428),
        ),
        ((640, 428), {"width": 100, "x_zoom": 2, "y_zoom": 2}, (200, 134), (200, 134)),
        ((640, 428), {"x_zoom": 0.5, "y_zoom": 0.5}, (320, 214), (320, 214)),
        ((640, 428), {"width": 500, "dpr": 2, "enlarge": True}, (1000, 669), (1000, 669)),
        # Least sizes enlarge.
        ((640, 428), {"width": 100, "min_width": 150}, (150, 100), (100, 100)),
        ((640, 428), {"min_height": 856}, (1280, 856), (1280, 856)),
        ((3000, 10), {"width": 30}, (30, 1), (30, 1)),
    ],
)
def test_sizes_follow_imgproxy(
    natural: tuple[int, int],
    fields: dict[str, Any],
    scaled: tuple[int, int],
    window: tuple[int, int],
) -> None:
    found = sizes(natural, **fields)
    assert (found.scaled, found.window) == (Size(*scaled), Size(*window))


def test_the_dpr_that_is_reached_is_that_of_the_largest_picture_that_is_not_enlarged() -> None:
    assert sizes((640, 428), width=100, dpr=2).pixel_ratio == 2
    assert sizes((640, 428), width=400, dpr=2).pixel_ratio == 1.6
    assert sizes((640, 428), width=400, dpr=2, enlarge=True).pixel_ratio == 2
    assert sizes((100, 100), width=400, dpr=0.5).pixel_ratio == 1
    assert sizes((100, 100), width=400).pixel_ratio == 1


@given(
    SIDES, SIDES, st.integers(1, 3000) | st.none(), st.integers(1, 3000) | st.none(),
    st.sampled_from(("fit", "fill", "fill-down", "auto", "force")), st.sampled_from((1, 1.5, 2, 3)),
)  # fmt: skip
def test_a_picture_is_never_enlarged_nor_larger_than_the_box(
    width: int, height: int, box_width: int | None, box_height: int | None, fit: str, dpr: float
) -> None:
    found = sizes((width, height), width=box_width, height=box_height, fit=fit, dpr=dpr)
    assert found.scaled.width <= width
    assert found.scaled.height <= height
    assert 1 <= found.window.width <= found.scaled.width
    assert 1 <= found.window.height <= found.scaled.height
    if box_width is not None:
        assert found.window.width <= max(1, box_width * dpr + 0.5)
    if box_height is not None:
        assert found.window.height <= max(1, box_height * dpr + 0.5)


@given(SIDES, SIDES, SIDES, SIDES)
def test_fill_gives_the_box_where_the_picture_is_large_enough(
    width: int, height: int, box_width: int, box_height: int
) -> None:
    found = sizes((width, height), width=box_width, height=box_height, fit="fill")
    if width >= box_width and height >= box_height:
        assert found.window == Size(box_width, box_height)


@pytest.mark.parametrize(
    ("gravity", "offsets", "left", "top"),
    [
        # The center is (side - inner + 1) / 2, half to even.
        ("center", (0, 0), 26, 16),
        ("north", (0, 0), 26, 0),
        ("southeast", (0, 0), 51, 30),
        ("southeast", (10, 0.1), 41, 24),
        ("west", (5, 0), 5, 16),
        ("northwest", (3, 4), 3, 4),
        ("center", (4, -3), 30, 13),
        ("west", (500, 0), 51, 16),
        ("0.5,0.5", (0, 0), 25, 15),
        ("0,1", (0, 0), 0, 30),
        ("0.9,0.2", (0, 0), 51, 0),
    ],
)
def test_windows_follow_imgproxy(
    gravity: str, offsets: tuple[float, float], left: int, top: int
) -> None:
    assert place(Size(50, 30), Size(101, 60), gravity, *offsets) == Box(left, top, 50, 30)


@given(SIDES, SIDES, SIDES, SIDES, st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_a_window_stays_inside(
    width: int, height: int, inner_width: int, inner_height: int, x: float, y: float
) -> None:
    outer = Size(width, height)
    inner = Size(min(width, inner_width), min(height, inner_height))
    for gravity in ("center", "north", "southwest", "0.3,0.9"):
        assert place(inner, outer, gravity, x, y, pixel_ratio=1.5).is_inside(outer)


def coordinates(width: int, height: int) -> bytes:
    """A picture whose red is the column and whose green is the row."""
    rows, columns = np.mgrid[0:height, 0:width]
    blue = np.zeros_like(rows)
    return pictures.encode(np.stack([columns, rows, blue], axis=2).astype(np.uint8))


@pytest.mark.parametrize(
    ("fields", "left", "top", "size"),
    [
        ({"width": 50, "height": 30}, 26, 16, (50, 30)),
        ({"width": 0.5, "height": 0}, 26, 0, (51, 60)),
        ({"width": 500, "height": 10, "gravity": "south"}, 0, 50, (101, 10)),
        ({"width": 20, "height": 20, "gravity": "0.25,0.5"}, 15, 20, (20, 20)),
        ({"width": 20, "height": 20, "gravity": "east", "x_offset": 5}, 76, 20, (20, 20)),
    ],
)
def test_crop_to_cuts_out_this_window(
    fields: dict[str, Any], left: int, top: int, size: tuple[int, int]
) -> None:
    pixels = render_pixels(coordinates(101, 60), step("crop_to", **fields))
    assert pixels.shape[1::-1] == size
    assert tuple(pixels[0, 0][:2]) == (left, top)


def test_borders_grow_with_the_dpr_that_was_reached() -> None:
    border = step("extend", top=10, bottom=10, left=10, right=10)
    wide = step("canvas", width=100, height=100)
    original = coordinates(200, 100)

    def size(*steps: dict[str, Any]) -> tuple[int, ...]:
        return render_pixels(original, *steps).shape[1::-1]

    assert size(step("thumbnail", width=50, dpr=2), border) == (140, 90)
    assert size(step("thumbnail", width=100, dpr=3), border) == (240, 140)  # only 2 is reached
    assert size(step("thumbnail", width=50, dpr=2), wide) == (200, 200)
    assert size(step("thumbnail", width=50), border) == (70, 45)


def test_a_canvas_takes_the_smallest_size_of_a_ratio() -> None:
    original = coordinates(200, 100)
    square = render_pixels(original, step("canvas", width=5, height=5, is_ratio=True))
    assert square.shape[1::-1] == (200, 200)
    wide = render_pixels(original, step("canvas", width=4, height=1, is_ratio=True))
    assert wide.shape[1::-1] == (400, 100)
    assert (wide[:, :, 3] > 0).sum() == 200 * 100


@given(SIDES, SIDES, st.integers(1, 3000), st.integers(1, 3000) | st.none(), st.booleans())
def test_resize_has_the_same_size_where_it_means_the_same(
    width: int, height: int, box_width: int, box_height: int | None, swapped: bool
) -> None:
    box = {"width": box_width, "height": box_height}
    if swapped:
        box = {"width": box_height, "height": box_width}
    natural = Size(width, height)
    inside, cover = (
        REGISTRY.plan([step("resize", **box, fit=fit)]).operations[0] for fit in ("inside", "cover")
    )
    fitted = sizes((width, height), **box, fit="fit")
    assert inside.required_size(natural) == fitted.window == fitted.scaled
    filled = sizes((width, height), **box, fit="fill", enlarge=True)
    assert cover.required_size(natural) == filled.scaled


def test_a_side_that_is_given_alone_is_kept_exactly() -> None:
    resized = REGISTRY.plan([step("resize", width=1129, fit="inside")]).operations[0]
    assert resized.required_size(Size(1922, 1063)) == Size(1129, 624)
