"""The score of areas of interest, on a picture small enough to calculate by hand."""

import json
from pathlib import Path

import pytest
from areas import loses_area, score_area, summarize_areas
from metric import Picture, load_set


@pytest.fixture
def picture(tmp_path: Path) -> Picture:
    """The main subjects are a square and a triangle; a third subject weighs less."""
    entry = {
        "id": "one",
        "file": "one.jpg",
        "w": 200,
        "h": 100,
        "category": "product",
        "subjects": [
            {"box": [0, 0, 40, 40], "weight": 1},
            {"box": [40, 0, 80, 40], "weight": 1, "poly": [[40.0, 0.0, 80.0, 0.0, 40.0, 40.0]]},
            {"box": [150, 50, 200, 100], "weight": 0.5},
        ],
        "faces": [{"box": [10, 10, 20, 20]}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps({"images": [entry]}))
    (only,) = load_set(tmp_path)
    return only


def test_the_whole_subject_is_kept(picture: Picture) -> None:
    score = score_area(picture, (0, 0, 80, 40))
    assert score.kept == pytest.approx(1, abs=0.01)
    assert score.overlap == 1
    assert score.share == pytest.approx(0.16)
    assert score.faces_cut == 0
    assert not score.is_speck


def test_the_main_subject_that_loses_most_counts_by_its_outline(picture: Picture) -> None:
    assert score_area(picture, (0, 0, 60, 40)).kept == pytest.approx(0.75, abs=0.02)
    assert score_area(picture, (40, 0, 80, 40)).kept == 0


def test_a_face_that_is_partly_inside_is_cut(picture: Picture) -> None:
    assert score_area(picture, (0, 0, 80, 15)).faces_cut == 1
    assert score_area(picture, (30, 0, 80, 40)).faces_cut == 0


def test_a_small_box_beside_a_large_subject_is_a_speck(picture: Picture) -> None:
    assert score_area(picture, (0, 0, 20, 20)).is_speck
    assert not score_area(picture, (0, 0, 30, 30)).is_speck


@pytest.mark.parametrize(("right", "pressed"), [(40, True), (60, False), (160, True)])
def test_a_ratio_at_its_bounds_is_pressed(picture: Picture, right: float, pressed: bool) -> None:
    assert score_area(picture, (0, 0, right, 80)).is_pressed == pressed


def test_windows_lose_an_area_only_where_it_fits() -> None:
    area = (0, 0, 50, 50)
    assert loses_area(area, (10, 0, 70, 60))
    assert not loses_area(area, (4, 0, 64, 60))
    assert not loses_area(area, (10, 0, 50, 60))


def test_a_summary_counts_pictures(picture: Picture) -> None:
    boxes = ((0, 0, 80, 40), (40, 0, 80, 40), (0, 0, 80, 15))
    total = summarize_areas([score_area(picture, box) for box in boxes])
    assert (total.half_lost, total.faces_cut, total.specks, total.pressed) == (2, 1, 0, 2)
