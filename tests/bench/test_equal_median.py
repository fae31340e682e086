"""A look is compared with the one quality that gives the same median score."""

import pytest
from equal_median import Encoded, compare, farthest_names


def grid(*scores_and_bytes: tuple[float, int]) -> list[Encoded]:
    """The files of a picture at 50, 60, 70 and so on."""
    return [
        Encoded(50 + 10 * index, score, size)
        for index, (score, size) in enumerate(scores_and_bytes)
    ]


def test_one_quality_for_all_pictures_has_the_median_score_of_the_look() -> None:
    by_quality = [
        grid((60, 100), (70, 200)),
        grid((70, 300), (80, 400)),
        grid((80, 500), (90, 600)),
    ]
    by_look = [Encoded(65, 74, 240), Encoded(54, 75, 350), Encoded(41, 76, 320)]

    found = compare(by_quality, by_look)

    assert found.quality == 55
    assert found.median == 75
    assert found.one_quality_spread == pytest.approx(18)
    assert found.look_spread == pytest.approx(1.8)
    assert found.bytes == pytest.approx(910 / 1050)


def test_a_look_that_gives_the_qualities_of_the_grid_changes_nothing() -> None:
    by_quality = [grid((60, 100), (70, 200), (80, 300)), grid((50, 10), (60, 30), (90, 70))]

    found = compare(by_quality, [row[1] for row in by_quality])

    assert found.quality == 60
    assert found.one_quality_spread == found.look_spread
    assert found.bytes == 1


def test_a_median_outside_of_the_grid_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"50 to 60 give .* 60\.0 to 70\.0, and the look 75\.0"):
        compare([grid((60, 100), (70, 200))], [Encoded(65, 75, 150)])


def test_the_farthest_pictures_have_the_lowest_and_the_highest_scores_each_once() -> None:
    scores = {"c": 75.0, "a": 60.0, "d": 90.0, "b": 70.0}

    assert farthest_names(scores, 1) == ["a", "d"]
    assert farthest_names(scores, 3) == ["a", "b", "c", "d"]
