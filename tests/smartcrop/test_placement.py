"""Crops: always inside the picture and of the right aspect ratio, and where the subject is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.geometry import Box, Size, largest_window
from proxy.smartcrop.area_of_interest import area_of_interest
from proxy.smartcrop.placement import best_crop, place_crop
from proxy.smartcrop.regions import KIND_PRIORITY, FocusOption
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
    assert box.top < 420 - 0.2 * 200
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
    assert area == Box(200, 300, 300, 400)


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
