from hypothesis import given
from hypothesis import strategies as st

from proxy.geometry import (
    Box,
    Size,
    anchored,
    around,
    completed,
    covering,
    largest_window,
    magnified,
    within,
)

sides = st.integers(1, 100_000)
sizes = st.builds(Size, sides, sides)


@given(sizes, sizes)
def test_within_fits_and_meets_one_side(natural: Size, frame: Size) -> None:
    fitted = within(natural, frame)
    assert fitted.width <= frame.width
    assert fitted.height <= frame.height
    assert fitted.width == frame.width or fitted.height == frame.height


@given(sizes, sizes)
def test_covering_leaves_no_gap_and_meets_one_side(natural: Size, frame: Size) -> None:
    cover = covering(natural, frame)
    assert cover.width >= frame.width
    assert cover.height >= frame.height
    assert cover.width == frame.width or cover.height == frame.height


@given(sizes, st.none() | sides, st.none() | sides)
def test_a_side_left_out_follows_from_the_other(
    natural: Size, width: int | None, height: int | None
) -> None:
    frame = completed(natural, width, height)
    assert width in (None, frame.width)
    assert height in (None, frame.height)
    if width is None and height is None:
        assert frame == natural


def test_a_completed_side_keeps_the_ratio() -> None:
    assert completed(Size(4000, 3000), 800, None) == Size(800, 600)
    assert completed(Size(4000, 3000), None, 600) == Size(800, 600)
    assert completed(Size(4000, 1), 10, None) == Size(10, 1)


@given(sizes, sizes, st.floats(0, 1), st.floats(0, 1))
def test_a_window_lies_inside_wherever_it_is_anchored(
    ratio: Size, picture: Size, x: float, y: float
) -> None:
    window = largest_window(picture, ratio)
    assert anchored(window, picture, x, y).inside(picture)
    assert around(window, picture, int(x * picture.width), int(y * picture.height)).inside(picture)


def test_anchors_are_corners_and_the_middle() -> None:
    assert anchored(Size(2, 2), Size(10, 6), 0, 0) == Box(0, 0, 2, 2)
    assert anchored(Size(2, 2), Size(10, 6), 0.5, 0.5) == Box(4, 2, 2, 2)
    assert anchored(Size(2, 2), Size(10, 6), 1, 1) == Box(8, 4, 2, 2)


@given(
    st.builds(Size, st.integers(1, 9000), st.integers(1, 9000)),
    st.builds(Size, st.integers(1, 9000), st.integers(1, 9000)),
    st.data(),
)
def test_a_magnified_window_fills_the_frame_inside_the_whole(
    natural: Size, frame: Size, data: st.DataObject
) -> None:
    width = data.draw(st.integers(1, natural.width))
    height = data.draw(st.integers(1, natural.height))
    left = data.draw(st.integers(0, natural.width - width))
    top = data.draw(st.integers(0, natural.height - height))
    whole, box = magnified(natural, Box(left, top, width, height), frame)
    assert box.size == frame
    assert box.inside(whole)


def test_magnifying_keeps_the_place_of_the_window() -> None:
    whole, box = magnified(Size(400, 300), Box(100, 60, 200, 150), Size(100, 75))
    assert (whole, box) == (Size(200, 150), Box(50, 30, 100, 75))
