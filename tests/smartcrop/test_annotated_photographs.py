"""The numbers that the documentation gives, on annotated photographs beside the repository."""

from importlib.util import find_spec
from pathlib import Path

import contenders
import pytest
from areas import loses_area, score_area, summarize_areas
from metric import load_set, score_crop, summarize

SHARED = Path(__file__).parents[3] / "shared"
SET, MODELS = SHARED / "eval" / "smartcrop-dev", SHARED / "models"

pytestmark = pytest.mark.skipif(
    not SET.is_dir(), reason="no annotated photographs beside the repository"
)
with_models = pytest.mark.skipif(
    not MODELS.is_dir() or find_spec("onnxruntime") is None, reason="no detector models"
)


@pytest.mark.parametrize(
    ("models", "score", "faces_cut", "half_lost"),
    [
        pytest.param("", 0.915, 0.045, 3, id="built-in"),
        pytest.param(str(MODELS), 0.918, 0.04, 3, id="models", marks=with_models),
    ],
)
def test_crops_and_areas_keep_the_subject(
    models: str, score: float, faces_cut: float, half_lost: int
) -> None:
    place = contenders.framekeep(models)
    cases, areas, free, lost = [], [], [], []
    for picture in load_set(SET):
        placed = place(picture)
        assert placed.area is not None
        assert placed.free is not None
        areas.append(score_area(picture, placed.area))
        free.append(score_area(picture, placed.free))
        for ratio, (left, top) in placed.corners.items():
            cases.append(score_crop(picture, ratio, left, top))
            window, _ = picture.windows[ratio]
            box = (left, top, left + window.width, top + window.height)
            lost.append(loses_area(placed.area, box))
    summary = summarize(cases)
    assert summary.score >= score
    assert summary.faces_cut <= faces_cut
    assert not any(lost)
    for total in (summarize_areas(areas), summarize_areas(free)):
        assert total.half_lost <= half_lost
        assert total.faces_cut <= 4
        assert total.specks == 0
    assert summarize_areas(free).pressed <= 6
