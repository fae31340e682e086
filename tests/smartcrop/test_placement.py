"""Crops: always inside the picture and of the right aspect ratio, and where the subject is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.geometry import Box, Size, largest_window
from proxy.smartcrop.focus import KIND_PRIORITY
from proxy.smartcrop.placement import area_of_interest, best_crop, place_crop
from proxy.smartcrop.regions import FocusOption
from proxy.smartcrop.subject import Region, RegionKind, Subject

SQUARE = Size(1, 1)
WIDE = Size(1000, 500)
FOCUS_OPTIONS: tuple[FocusOption, ...] = ("auto", *KIND_PRIORITY, "center")


def region(
    left: float,
    top: float,
    right: float,
    bottom: float,
    kind: RegionKind = "object",
    *,
    weight: float = 0.8,
) -> Region:
    return Region(left, top, right, bottom, weight, kind)


def contains(outer: Box, inner: Box) -> bool:
    return (
        outer.left <= inner.left
        and outer.top <= inner.top
        and outer.left + outer.width >= inner.left + inner.width
        and outer.top + outer.height >= inner.top + inner.height
    )


def spread(*cells: tuple[float, float, float], rest: float = 0.0) -> tuple[Region, ...]:
    """Saliency in cells of a tenth of each side: left, top and weight; the rest everywhere."""
    found = [
        Region(left, top, left + 0.1, top + 0.1, weight, "saliency") for left, top, weight in cells
    ]
    if rest:
        found.append(Region(0.0, 0.0, 1.0, 1.0, rest, "saliency"))
    return tuple(found)


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
        draw(st.sampled_from(KIND_PRIORITY)),
    )


subjects = st.builds(Subject, st.lists(regions(), max_size=6).map(tuple))
sizes = st.builds(Size, st.integers(1, 9000), st.integers(1, 9000))


@given(subjects, sizes, sizes, st.sampled_from(FOCUS_OPTIONS))
def test_a_crop_is_the_largest_of_its_ratio_and_inside(
    subject: Subject, picture: Size, target: Size, focus: FocusOption
) -> None:
    box = place_crop(subject, picture, target, focus).box
    assert box.size == largest_window(picture, target)
    assert box.is_inside(picture)


@given(subjects, sizes, sizes, st.sampled_from(FOCUS_OPTIONS), st.floats(0, 1))
def test_a_zoomed_crop_is_inside_and_not_larger(
    subject: Subject, picture: Size, target: Size, focus: FocusOption, zoom: float
) -> None:
    box = place_crop(subject, picture, target, focus, zoom).box
    largest = largest_window(picture, target)
    assert box.is_inside(picture)
    assert 1 <= box.width <= largest.width
    assert 1 <= box.height <= largest.height


@given(subjects, sizes)
def test_an_area_of_interest_is_inside_and_never_the_whole_picture(
    subject: Subject, picture: Size
) -> None:
    area = area_of_interest(subject, picture)
    assert area.is_inside(picture)
    assert area.width >= 1
    assert area.height >= 1
    if picture.width >= 10 and picture.height >= 10:
        assert area.width < picture.width
        assert area.height < picture.height


@given(subjects, st.builds(Size, st.integers(50, 5000), st.integers(50, 5000)))
def test_the_best_crop_is_neither_too_wide_nor_too_tall(subject: Subject, picture: Size) -> None:
    box = best_crop(subject, picture).box
    assert box.is_inside(picture)
    if 0.5 <= picture.width / picture.height <= 2:
        assert 0.49 <= box.width / box.height <= 2.05


@pytest.mark.parametrize(("left", "center"), [(0.0, 0), (0.4, 500), (0.9, 1000)])
def test_the_crop_contains_the_only_object(left: float, center: int) -> None:
    subject = Subject((region(left, 0.2, left + 0.1, 0.8),))
    box = place_crop(subject, WIDE, SQUARE).box
    assert box.left <= left * 1000
    assert box.left + box.width >= (left + 0.1) * 1000
    assert abs(box.left + box.width / 2 - center) <= 250


def test_without_regions_the_crop_is_centered_and_the_reason_says_so() -> None:
    placement = place_crop(Subject(), WIDE, SQUARE)
    assert placement.box == Box(250, 0, 500, 500)
    assert placement.reason == "center"


def test_center_uses_no_regions() -> None:
    subject = Subject((region(0.9, 0.1, 1.0, 0.3, "face"),))
    placement = place_crop(subject, WIDE, SQUARE, "center")
    assert placement.box.left == 250
    assert placement.reason == "center"


def test_a_face_wins_over_an_object() -> None:
    subject = Subject((region(0.0, 0.0, 0.3, 1.0), region(0.85, 0.1, 0.95, 0.4, "face")))
    placement = place_crop(subject, WIDE, SQUARE)
    assert placement.box.left + placement.box.width >= 950
    assert placement.reason == "face"


def test_a_face_is_whole_with_space_above_it_if_possible() -> None:
    subject = Subject((region(0.4, 0.42, 0.6, 0.62, "face"), region(0.1, 0.6, 0.9, 1.0)))
    box = place_crop(subject, Size(500, 1000), Size(4, 3)).box
    assert box.top <= 420 - 0.2 * 200
    assert box.top + box.height > 620


def test_a_focus_uses_the_regions_of_its_kind() -> None:
    subject = Subject((region(0.85, 0.1, 0.95, 0.4, "face"), region(0.0, 0.0, 0.3, 1.0, "animal")))
    placement = place_crop(subject, WIDE, SQUARE, "animal")
    assert placement.box.left <= 50
    assert placement.reason == "animal"


def test_a_focus_without_regions_uses_the_kinds_after_it() -> None:
    face, salient = region(0.0, 0.1, 0.1, 0.4, "face"), region(0.8, 0.1, 1.0, 0.9, "saliency")
    placement = place_crop(Subject((face, salient)), WIDE, SQUARE, "object")
    assert placement.reason == "saliency"
    assert placement.box.left == 500


def test_a_focus_without_any_regions_left_is_centered() -> None:
    placement = place_crop(Subject((region(0.0, 0.1, 0.1, 0.4, "face"),)), WIDE, SQUARE, "saliency")
    assert placement.reason == "center"


def test_a_face_counts_as_a_person() -> None:
    subject = Subject((region(0.0, 0.1, 0.1, 0.4, "face"), region(0.8, 0.1, 1.0, 0.9, "saliency")))
    assert place_crop(subject, WIDE, SQUARE, "person").box.left <= 50


def test_an_uncertain_small_face_does_not_outweigh_saliency() -> None:
    minor = region(0.0, 0.9, 0.04, 0.98, "face", weight=0.1)
    main = region(0.6, 0.1, 0.9, 0.9, "saliency", weight=1.0)
    box = place_crop(Subject((minor, main)), WIDE, SQUARE).box
    assert box.left + box.width >= 900


def test_zoom_shrinks_the_crop_around_the_face() -> None:
    subject = Subject((region(0.7, 0.1, 0.76, 0.22, "face"),))
    picture, target = Size(4000, 2000), Size(200, 200)
    widths = [
        place_crop(subject, picture, target, "auto", zoom).box.width for zoom in (0.0, 0.5, 1.0)
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == 2000
    closest = place_crop(subject, picture, target, "auto", 1.0).box
    assert closest.left < 2800
    assert closest.left + closest.width > 3040
    assert closest.top < 200
    assert closest.top + closest.height > 440
    assert closest.width < 800


def test_zoom_leaves_as_many_pixels_as_the_target_has() -> None:
    subject = Subject((region(0.5, 0.5, 0.52, 0.53, "face"),))
    box = place_crop(subject, Size(1000, 800), Size(400, 400), "auto", 1.0).box
    assert box.width == 400


def test_an_area_of_interest_covers_the_object() -> None:
    subject = Subject((region(0.2, 0.3, 0.5, 0.7), region(0.9, 0.9, 1.0, 1.0, weight=0.1)))
    area = area_of_interest(subject, Size(1000, 1000))
    assert contains(area, Box(200, 300, 300, 400))
    assert area.size.pixels < 1.2 * 300 * 400


def test_an_area_of_interest_by_saliency_contains_most_of_it() -> None:
    main = region(0.6, 0.6, 0.8, 0.8, "saliency", weight=0.9)
    minor = region(0, 0, 0.2, 0.2, "saliency", weight=0.1)
    area = area_of_interest(Subject((main, minor)), Size(100, 100))
    assert area.left <= 62
    assert area.left + area.width >= 78
    assert area.width < 90


def test_among_equal_crops_the_one_centered_on_the_saliency_is_used() -> None:
    subject = Subject((region(0.5, 0.0, 0.6, 1.0, "saliency", weight=1.0),))
    placement = place_crop(subject, WIDE, SQUARE)
    assert placement.reason == "saliency"
    assert placement.box.left == 300


# One weighing: area of interest, free crop and windows agree.


@given(subjects, sizes, sizes)
def test_a_window_contains_the_area_of_interest_where_it_is_large_enough(
    subject: Subject, picture: Size, target: Size
) -> None:
    area = area_of_interest(subject, picture)
    box = place_crop(subject, picture, target).box
    if subject.regions and area.width <= box.width and area.height <= box.height:
        assert contains(box, area)


@given(subjects, st.builds(Size, st.integers(50, 5000), st.integers(50, 5000)))
def test_the_best_crop_contains_the_area_of_interest_unless_the_ratio_forbids(
    subject: Subject, picture: Size
) -> None:
    area, box = area_of_interest(subject, picture), best_crop(subject, picture).box
    if 0.5 <= picture.width / picture.height <= 2 and 0.5 <= area.width / area.height <= 2:
        assert contains(box, area)


def test_a_doubtful_face_in_a_corner_does_not_decide_the_area() -> None:
    wheel = [(0.3 + 0.1 * x, 0.3 + 0.1 * y, 0.06) for x in range(4) for y in range(4)]
    spot = region(0.02, 0.92, 0.07, 0.98, "face", weight=0.1)
    area = area_of_interest(Subject((spot, *spread(*wheel, rest=0.04))), Size(1000, 1000))
    assert contains(area, Box(320, 320, 360, 360))
    assert area.size.pixels < 300_000


def test_a_rider_does_not_hide_the_elephant() -> None:
    face = region(0.38, 0.25, 0.44, 0.31, "face", weight=0.9)
    elephant = [(0.2 + 0.1 * x, 0.4 + 0.1 * y, 0.04) for x in range(5) for y in range(5)]
    area = area_of_interest(Subject((face, *spread(*elephant))), Size(1000, 1000))
    assert contains(area, Box(250, 450, 400, 400))
    assert contains(area, Box(380, 250, 60, 60))


def test_a_tiny_area_is_not_chosen_where_the_subject_is_large() -> None:
    house = [(0.2 + 0.1 * x, 0.2 + 0.1 * y, 0.02) for x in range(6) for y in range(6)]
    shrub = (0.0, 0.8, 0.08)
    area = area_of_interest(Subject(spread(*house, shrub, rest=0.2)), Size(500, 500))
    assert contains(area, Box(120, 120, 260, 260))


def test_a_face_is_not_cut_by_the_area() -> None:
    face = region(0.55, 0.1, 0.75, 0.4, "face", weight=0.9)
    coat = [(0.3 + 0.1 * x, 0.5 + 0.1 * y, 0.05) for x in range(4) for y in range(5)]
    area = area_of_interest(Subject((face, *spread(*coat))), Size(1000, 1000))
    assert contains(area, Box(530, 80, 240, 340))


def test_a_free_crop_takes_after_the_picture_when_the_subject_is_slender() -> None:
    subject = Subject((region(0.4, 0.05, 0.6, 0.95, "person"),))
    box = best_crop(subject, Size(1500, 1000)).box
    assert 0.55 < box.width / box.height < 1


# Faces.


@pytest.mark.parametrize("left", [0.0, 0.02, 0.45, 0.93])
@pytest.mark.parametrize("top", [0.0, 0.4, 0.88])
def test_an_avatar_is_centered_on_a_lone_face_as_far_as_the_picture_goes(
    left: float, top: float
) -> None:
    face = region(left, top, left + 0.06, top + 0.12, "face", weight=0.9)
    box = place_crop(Subject((face,)), Size(2000, 1000), SQUARE, "face", 1.0).box
    x, y = round((left + 0.03) * 2000), round((top + 0.06) * 1000)
    ideal_left = min(max(x - box.width / 2, 0), 2000 - box.width)
    ideal_top = min(max(y - box.height / 2, 0), 1000 - box.height)
    assert abs(box.left - ideal_left) <= 0.15 * box.width
    assert abs(box.top - ideal_top) <= 0.15 * box.height
    middle = region(0.47, 0.44, 0.53, 0.56, "face", weight=0.9)
    usual = place_crop(Subject((middle,)), Size(2000, 1000), SQUARE, "face", 1.0).box
    assert box.size == usual.size


def test_a_large_person_without_a_face_does_not_outweigh_a_face() -> None:
    face = region(0.86, 0.2, 0.9, 0.28, "face", weight=0.9)
    back = region(0.0, 0.1, 0.4, 1.0, "person", weight=0.9)
    box = place_crop(Subject((face, back)), WIDE, SQUARE).box
    assert box.left <= 860
    assert box.left + box.width >= 900


@pytest.mark.parametrize("kind", ["person", "animal", "object"])
def test_a_body_is_not_halved_where_the_window_has_room_for_it(kind: RegionKind) -> None:
    body = region(0.05, 0.1, 0.45, 1.0, kind, weight=0.9)
    bright = [(left, 0.1 * row, 0.05) for row in range(1, 9) for left in (0.35, 0.5)]
    box = place_crop(Subject((body, *spread(*bright))), WIDE, SQUARE).box
    assert box.left <= 50 + 0.15 * 400
    assert box.left + box.width >= 450


# Zoom by default.

DISTANT = Subject((region(0.7, 0.4, 0.73, 0.5, "person"),))
LARGE_PICTURE = Size(3000, 2000)


@pytest.mark.parametrize(("side", "factor"), [(50, 3.0), (64, 3.0), (128, 2.0), (256, 1), (800, 1)])
def test_small_results_zoom_in_on_a_distant_subject_by_default(side: int, factor: float) -> None:
    box = place_crop(DISTANT, LARGE_PICTURE, Size(side, side), "auto", None).box
    assert box.width == pytest.approx(2000 / factor, abs=1)
    assert contains(box, area_of_interest(DISTANT, LARGE_PICTURE))


def test_small_results_do_not_zoom_in_on_a_large_subject() -> None:
    subject = Subject((region(0.2, 0.1, 0.8, 0.95, "animal"),))
    assert place_crop(subject, LARGE_PICTURE, Size(50, 50), "auto", None).box.width == 2000


def test_zoom_by_default_leaves_the_subject_half_of_the_window() -> None:
    subject = Subject((region(0.4, 0.3, 0.6, 0.7, "animal"),))
    box = place_crop(subject, LARGE_PICTURE, Size(50, 50), "auto", None).box
    area = area_of_interest(subject, LARGE_PICTURE)
    assert 1.9 * area.height <= box.height < 2000


@given(subjects, sizes, st.builds(Size, st.integers(1, 2000), st.integers(1, 2000)))
def test_zoom_by_default_is_bounded(subject: Subject, picture: Size, target: Size) -> None:
    box = place_crop(subject, picture, target, "auto", None).box
    largest = largest_window(picture, target)
    assert box.is_inside(picture)
    assert box.width >= min(largest.width, max(target.width, largest.width / 3)) - 1
    if not subject.regions or target.pixels >= 256 * 256:
        assert box.size == largest


def test_a_zoom_of_zero_keeps_as_much_as_possible() -> None:
    assert place_crop(DISTANT, LARGE_PICTURE, Size(50, 50), "auto", 0.0).box.width == 2000
