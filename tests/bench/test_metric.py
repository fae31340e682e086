"""The score of smart crops, on pictures small enough to calculate by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from metric import RATIOS, Picture, largest_window, load_set, score_crop, summarize


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
    (only,) = load_set(tmp_path)
    return only


@pytest.mark.parametrize(
    ("ratio", "width", "height", "positions"), [(1.0, 100, 100, 101), (4.0, 200, 50, 51)]
)
def test_the_window_is_the_largest(ratio: float, width: int, height: int, positions: int) -> None:
    frame = largest_window(200, 100, ratio)
    assert (frame.width, frame.height, frame.positions) == (width, height, positions)


def test_the_best_position_scores_one_and_the_worst_zero(tmp_path: Path) -> None:
    subject = picture(tmp_path)
    assert score_crop(subject, "1:1", 100, 0).score == pytest.approx(1)
    assert score_crop(subject, "1:1", 0, 0).score == pytest.approx(0)
    # 25 of 50 columns are inside, and 29 of 54 with the margin.
    middle = score_crop(subject, "1:1", 75, 0)
    assert middle.utility == pytest.approx(0.85 * 25 / 50 + 0.15 * 29 / 54)


def test_a_cut_face_counts_half_of_the_share_inside(tmp_path: Path) -> None:
    subject = picture(tmp_path, faces=[[100, 40, 120, 60]])
    inside, outside = (score_crop(subject, "1:1", left, 0) for left in (100, 0))
    assert inside.utility == pytest.approx(1.0)

    assert (outside.faces_cut, outside.faces_lost) == (0, 1)
    assert (inside.faces_cut, inside.faces_lost) == (0, 0)
    cut = score_crop(subject, "1:1", 10, 0)
    assert cut.utility == pytest.approx(0.40 * 0.5 * 0.5)
    assert (cut.faces_cut, cut.faces_lost) == (1, 0)


def test_an_outline_counts_by_its_own_area(tmp_path: Path) -> None:
    triangle = [[150.0, 0.0, 200.0, 0.0, 200.0, 100.0]]
    subject = picture(tmp_path, poly=triangle)
    columns = subject.subjects[0].columns
    assert columns[155] < columns[195]


def test_a_case_where_the_position_does_not_matter_is_not_scored(tmp_path: Path) -> None:
    subject = picture(tmp_path, box=[0, 0, 200, 100])
    cases = [score_crop(subject, ratio, 0, 0) for ratio in RATIOS]
    assert not any(case.is_scored for case in cases)
    assert summarize(cases).scored == 0


def test_a_summary_has_the_means(tmp_path: Path) -> None:
    subject = picture(tmp_path)
    cases = [score_crop(subject, "1:1", 100, 0), score_crop(subject, "1:1", 0, 0)]
    assert summarize(cases).score == pytest.approx(0.5)
    assert np.isclose(summarize(cases).hard, 0.5)
