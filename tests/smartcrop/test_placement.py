"""The window: always of the right ratio and inside, and where the evidence is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.geometry import Box, Size, largest_window
from proxy.smartcrop.area_of_interest import area_of_interest
from proxy.smartcrop.placement import best_window, place
from proxy.smartcrop.subject import Evidence, Focus, Region
from proxy.smartcrop.weights import ORDER, Wanted

SQUARE = Size(1, 1)
WIDE = Size(1000, 500)
STRATEGIES: tuple[Wanted, ...] = ("auto", *ORDER, "center")


def region(
    left: float,
    top: float,
    right: float,
    bottom: float,
    kind: Evidence = "object",
    *,
    weight: float = 0.8,
) -> Region:
    return Region(left, top, right, bottom, weight, kind)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    left, right = sorted(draw(st.tuples(st.floats(0, 0.98), st.floats(0, 0.98))))
    top, bottom = sorted(draw(st.tuples(st.floats(0, 0.98), st.floats(0, 0.98))))
    return Region(
        left,
        top,
        right + 0.02,
        bottom + 0.02,
        draw(st.floats(0.01, 1)),
        draw(st.sampled_from(ORDER)),
    )


focuses = st.builds(Focus, st.lists(regions(), max_size=6).map(tuple))
sizes = st.builds(Size, st.integers(1, 9000), st.integers(1, 9000))


@given(focuses, sizes, sizes, st.sampled_from(STRATEGIES))
def test_a_window_is_the_largest_of_its_ratio_and_inside(
    focus: Focus, picture: Size, target: Size, wanted: Wanted
) -> None:
    box = place(focus, picture, target, wanted).box
    assert box.size == largest_window(picture, target)
    assert box.inside(picture)


@given(focuses, sizes, sizes, st.sampled_from(STRATEGIES), st.floats(0, 1))
def test_a_zoomed_window_is_inside_and_not_larger(
    focus: Focus, picture: Size, target: Size, wanted: Wanted, zoom: float
) -> None:
    box = place(focus, picture, target, wanted, zoom).box
    largest = largest_window(picture, target)
    assert box.inside(picture)
    assert 1 <= box.width <= largest.width
    assert 1 <= box.height <= largest.height


@given(focuses, sizes)
def test_an_area_of_interest_is_inside_and_never_all_of_a_picture(
    focus: Focus, picture: Size
) -> None:
    area = area_of_interest(focus, picture)
    assert area.inside(picture)
    assert area.width >= 1
    assert area.height >= 1
    if picture.width >= 10 and picture.height >= 10:
        assert area.width < picture.width
        assert area.height < picture.height


@given(focuses, st.builds(Size, st.integers(50, 5000), st.integers(50, 5000)))
def test_the_best_window_is_neither_too_wide_nor_too_tall(focus: Focus, picture: Size) -> None:
    box = best_window(focus, picture).box
    assert box.inside(picture)
    if 0.5 <= picture.width / picture.height <= 2:
        assert 0.49 <= box.width / box.height <= 2.05


@pytest.mark.parametrize(("left", "inside"), [(0.0, 0), (0.4, 500), (0.9, 1000)])
def test_the_window_goes_where_the_only_thing_is(left: float, inside: int) -> None:
    focus = Focus((region(left, 0.2, left + 0.1, 0.8),))
    box = place(focus, WIDE, SQUARE).box
    assert box.left <= left * 1000
    assert box.left + box.width >= (left + 0.1) * 1000
    assert abs(box.left + box.width / 2 - inside) <= 250


def test_nothing_found_is_the_middle_and_says_so() -> None:
    placement = place(Focus(), WIDE, SQUARE)
    assert placement.box == Box(250, 0, 500, 500)
    assert placement.decided == "center"


def test_center_looks_at_no_evidence() -> None:
    focus = Focus((region(0.9, 0.1, 1.0, 0.3, "face"),))
    placement = place(focus, WIDE, SQUARE, "center")
    assert placement.box.left == 250
    assert placement.decided == "center"


def test_a_face_wins_over_a_thing() -> None:
    focus = Focus((region(0.0, 0.0, 0.3, 1.0), region(0.85, 0.1, 0.95, 0.4, "face")))
    placement = place(focus, WIDE, SQUARE)
    assert placement.box.left + placement.box.width >= 950
    assert placement.decided == "face"


def test_a_face_is_kept_whole_with_room_above_where_there_is_any() -> None:
    focus = Focus((region(0.4, 0.42, 0.6, 0.62, "face"), region(0.1, 0.6, 0.9, 1.0)))
    box = place(focus, Size(500, 1000), Size(4, 3)).box
    assert box.top < 420 - 0.2 * 200
    assert box.top + box.height > 620


def test_a_strategy_goes_by_its_own_evidence() -> None:
    focus = Focus((region(0.85, 0.1, 0.95, 0.4, "face"), region(0.0, 0.0, 0.3, 1.0, "animal")))
    placement = place(focus, WIDE, SQUARE, "animal")
    assert placement.box.left <= 50
    assert placement.decided == "animal"


def test_a_strategy_without_evidence_takes_the_kinds_after_it() -> None:
    face, salient = region(0.0, 0.1, 0.1, 0.4, "face"), region(0.8, 0.1, 1.0, 0.9, "saliency")
    placement = place(Focus((face, salient)), WIDE, SQUARE, "object")
    assert placement.decided == "saliency"
    assert placement.box.left == 500


def test_a_strategy_without_any_evidence_left_is_the_middle() -> None:
    placement = place(Focus((region(0.0, 0.1, 0.1, 0.4, "face"),)), WIDE, SQUARE, "saliency")
    assert placement.decided == "center"


def test_a_face_is_evidence_of_a_person() -> None:
    focus = Focus((region(0.0, 0.1, 0.1, 0.4, "face"), region(0.8, 0.1, 1.0, 0.9, "saliency")))
    assert place(focus, WIDE, SQUARE, "person").box.left <= 50


def test_a_doubtful_small_face_does_not_outweigh_what_stands_out() -> None:
    aside = region(0.0, 0.9, 0.04, 0.98, "face", weight=0.1)
    middle = region(0.6, 0.1, 0.9, 0.9, "saliency", weight=1.0)
    box = place(Focus((aside, middle)), WIDE, SQUARE).box
    assert box.left + box.width >= 900


def test_zoom_draws_the_window_together_around_the_face() -> None:
    focus = Focus((region(0.7, 0.1, 0.76, 0.22, "face"),))
    picture, target = Size(4000, 2000), Size(200, 200)
    widths = [place(focus, picture, target, "auto", zoom).box.width for zoom in (0.0, 0.5, 1.0)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == 2000
    closest = place(focus, picture, target, "auto", 1.0).box
    assert closest.left < 2800
    assert closest.left + closest.width > 3040
    assert closest.top < 200
    assert closest.top + closest.height > 440
    assert closest.width < 800


def test_zoom_leaves_as_many_pixels_as_are_asked_for() -> None:
    focus = Focus((region(0.5, 0.5, 0.52, 0.53, "face"),))
    box = place(focus, Size(1000, 800), Size(400, 400), "auto", 1.0).box
    assert box.width == 400


def test_an_area_of_interest_covers_the_thing() -> None:
    focus = Focus((region(0.2, 0.3, 0.5, 0.7), region(0.9, 0.9, 1.0, 1.0, weight=0.1)))
    area = area_of_interest(focus, Size(1000, 1000))
    assert area == Box(200, 300, 300, 400)


def test_an_area_of_interest_by_saliency_holds_most_of_it() -> None:
    main = region(0.6, 0.6, 0.8, 0.8, "saliency", weight=0.9)
    aside = region(0, 0, 0.2, 0.2, "saliency", weight=0.1)
    area = area_of_interest(Focus((main, aside)), Size(100, 100))
    assert area.left <= 62
    assert area.left + area.width >= 78
    assert area.width < 90


def test_saliency_in_one_place_decides_and_ties_go_to_its_middle() -> None:
    focus = Focus((region(0.5, 0.0, 0.6, 1.0, "saliency", weight=1.0),))
    placement = place(focus, WIDE, SQUARE)
    assert placement.decided == "saliency"
    assert placement.box.left == 300
