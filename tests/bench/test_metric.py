"""The scorer of smart crops, on pictures small enough to reckon by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from metric import RATIOS, Picture, judge, load, total, window


def picture(
    tmp_path: Path, *, faces: list[list[float]] | None = None, **subject: object
) -> Picture:
    entry = {
        "id": "one",
        "file": "one.jpg",
        "w": 200,
        "h": 100,
        "category": "product",
        "subjects": [{"box": [150, 0, 200, 100], "weight": 1, **subject}],
        "faces": [{"box": box} for box in faces or []],
    }
    (tmp_path / "annotations.json").write_text(json.dumps({"images": [entry]}))
    (only,) = load(tmp_path)
    return only


@pytest.mark.parametrize(
    ("ratio", "width", "height", "positions"), [(1.0, 100, 100, 101), (4.0, 200, 50, 51)]
)
def test_the_window_is_the_largest(ratio: float, width: int, height: int, positions: int) -> None:
    frame = window(200, 100, ratio)
    assert (frame.width, frame.height, frame.positions) == (width, height, positions)


def test_the_best_place_scores_one_and_the_worst_nothing(tmp_path: Path) -> None:
    subject = picture(tmp_path)
    assert judge(subject, "1:1", 100, 0).score == pytest.approx(1)
    assert judge(subject, "1:1", 0, 0).score == pytest.approx(0)
    # 25 of 50 columns kept, and 29 of 54 with room around: the place between
    middle = judge(subject, "1:1", 75, 0)
    assert middle.utility == pytest.approx(0.85 * 25 / 50 + 0.15 * 29 / 54)


def test_a_cut_face_counts_half_of_what_is_kept(tmp_path: Path) -> None:
    subject = picture(tmp_path, faces=[[100, 40, 120, 60]])
    whole, gone = (judge(subject, "1:1", left, 0) for left in (100, 0))
    assert whole.utility == pytest.approx(1.0)

    assert (gone.faces_cut, gone.faces_gone) == (0, 1)
    assert (whole.faces_cut, whole.faces_gone) == (0, 0)
    half = judge(subject, "1:1", 10, 0)
    assert half.utility == pytest.approx(0.40 * 0.5 * 0.5)
    assert (half.faces_cut, half.faces_gone) == (1, 0)


def test_an_outline_counts_by_its_own_area(tmp_path: Path) -> None:
    triangle = [[150.0, 0.0, 200.0, 0.0, 200.0, 100.0]]
    subject = picture(tmp_path, poly=triangle)
    columns = subject.subjects[0].columns
    assert columns[155] < columns[195]


def test_where_the_place_does_not_matter_nothing_is_scored(tmp_path: Path) -> None:
    subject = picture(tmp_path, box=[0, 0, 200, 100])
    cases = [judge(subject, ratio, 0, 0) for ratio in RATIOS]
    assert not any(case.matters for case in cases)
    assert total(cases).scored == 0


def test_totals_are_means(tmp_path: Path) -> None:
    subject = picture(tmp_path)
    cases = [judge(subject, "1:1", 100, 0), judge(subject, "1:1", 0, 0)]
    assert total(cases).score == pytest.approx(0.5)
    assert np.isclose(total(cases).hard, 0.5)
