from hypothesis import given
from hypothesis import strategies as st

from proxy.geometry import Box, Size, anchor, contain, cover, largest_window, resolve_size, zoom_to

sides = st.integers(1, 100_000)
sizes = st.builds(Size, sides, sides)


@given(sizes, sizes)
def test_contain_fits_the_frame_and_meets_one_side(natural: Size, frame: Size) -> None:
    fitted = contain(natural, frame)
    assert fitted.width <= frame.width
    assert fitted.height <= frame.height
    assert fitted.width == frame.width or fitted.height == frame.height


@given(sizes, sizes)
def test_cover_leaves_no_gap_and_meets_one_side(natural: Size, frame: Size) -> None:
    covering = cover(natural, frame)
    assert covering.width >= frame.width
    assert covering.height >= frame.height
    assert covering.width == frame.width or covering.height == frame.height


@given(sizes, st.none() | sides, st.none() | sides)
def test_a_missing_side_follows_from_the_other(
    natural: Size, width: int | None, height: int | None
) -> None:
    frame = resolve_size(natural, width, height)
    assert width in (None, frame.width)
    assert height in (None, frame.height)
    if width is None and height is None:
        assert frame == natural


def test_resolve_size_keeps_the_aspect_ratio() -> None:
    assert resolve_size(Size(4000, 3000), 800, None) == Size(800, 600)
    assert resolve_size(Size(4000, 3000), None, 600) == Size(800, 600)
    assert resolve_size(Size(4000, 1), 10, None) == Size(10, 1)


@given(sizes, sizes, st.floats(0, 1), st.floats(0, 1))
def test_a_window_stays_inside_wherever_it_is_placed(
    ratio: Size, picture: Size, x: float, y: float
) -> None:
    window = largest_window(picture, ratio)
    assert anchor(window, picture, x, y).is_inside(picture)


def test_anchors_are_corners_and_the_center() -> None:
    assert anchor(Size(2, 2), Size(10, 6), 0, 0) == Box(0, 0, 2, 2)
    assert anchor(Size(2, 2), Size(10, 6), 0.5, 0.5) == Box(4, 2, 2, 2)
    assert anchor(Size(2, 2), Size(10, 6), 1, 1) == Box(8, 4, 2, 2)


@given(
    st.builds(Size, st.integers(1, 9000), st.integers(1, 9000)),
    st.builds(Size, st.integers(1, 9000), st.integers(1, 9000)),
    st.data(),
)
def test_a_zoomed_window_fills_the_frame_inside_the_picture(
    natural: Size, frame: Size, data: st.DataObject
) -> None:
    width = data.draw(st.integers(1, natural.width))
    height = data.draw(st.integers(1, natural.height))
    left = data.draw(st.integers(0, natural.width - width))
    top = data.draw(st.integers(0, natural.height - height))
    size, box = zoom_to(natural, Box(left, top, width, height), frame)
    assert box.size == frame
    assert box.is_inside(size)


def test_zooming_keeps_the_place_of_the_window() -> None:
    size, box = zoom_to(Size(400, 300), Box(100, 60, 200, 150), Size(100, 75))
    assert (size, box) == (Size(200, 150), Box(50, 30, 100, 75))
