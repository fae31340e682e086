"""The operation: the right size, the right place, one window for all frames."""

from pathlib import Path

import numpy as np
import pictures
import pytest
from render_helper import CATALOGUE, rendered, step

from proxy.geometry import Size
from proxy.limits import Limits
from proxy.operations.pipeline import render
from proxy.smartcrop.detector import Eye
from proxy.smartcrop.subject import Focus, Region

EYE = Eye()
PORTRAIT = (Path(__file__).parents[1] / "photographs" / "portrait.jpg").read_bytes()
MARKED = Focus((Region(0.75, 0.2, 0.8, 0.3, weight=1.0, kind="face"),))


def cropped(original: bytes, **fields: object) -> tuple[pictures.Pixels, str]:
    plan = CATALOGUE.plan([step("smart_crop", **fields), step("convert", format="png")])
    rendition = render(original, plan, Limits(), eye=EYE).rendition
    return pictures.opened(rendition.body), rendition.decided


@pytest.mark.parametrize(
    ("width", "height"), [(100, 100), (160, 90), (90, 160), (600, 600), (1, 1)]
)
@pytest.mark.parametrize("zoom", [0, 0.5, 1])
def test_the_result_has_exactly_the_size(width: int, height: int, zoom: float) -> None:
    found, decided = cropped(PORTRAIT, width=width, height=height, zoom=zoom)
    assert found.shape[:2] == (height, width)
    assert decided == "face"


def test_what_stands_out_is_kept() -> None:
    scene = pictures.file(pictures.square(400, 100, 330, 30, 40), "jpeg", quality=95)
    found, decided = cropped(scene, width=100, height=100)
    assert decided == "saliency"
    assert (found[:, :, 0].astype(int) - found[:, :, 1] > 100).sum() > 1400


def test_center_is_the_middle_and_says_so() -> None:
    gradient = pictures.file(pictures.gradient(300, 100))
    found, decided = cropped(gradient, width=100, height=100, focus="center")
    assert decided == "center"
    assert abs(int(found[50, 50, 0]) - 127) < 4


def test_zoom_comes_nearer_to_the_face() -> None:
    plan = [step("smart_crop", width=40, height=40, focus="face", zoom=z) for z in (0, 0.5, 1)]
    gradient = pictures.file(pictures.gradient(800, 400))
    spans = []
    for one in plan:
        steps = CATALOGUE.plan([one, step("convert", format="png")])
        result = render(gradient, steps, Limits(), eye=EYE, focus=MARKED)
        reds = pictures.opened(result.rendition.body)[:, :, 0].astype(int)
        assert reds.min() < 0.75 * 255 < reds.max()
        spans.append(int(reds.max() - reds.min()))
    assert spans[0] > 1.5 * spans[1] > 2 * spans[2]


def test_an_animation_has_one_window() -> None:
    moving = pictures.animation(pictures.frames(4, 120, 40))
    rendition = rendered(moving, step("smart_crop", width=40, height=40))
    assert rendition.size == Size(40, 40)
    shown = pictures.opened_frames(rendition.body)
    assert len(shown) == 4
    # One window: the square moves through it just as it moves through the whole.
    places = [np.nonzero(frame[:, :, 0] > 180)[1] for frame in shown]
    starts = [int(place.min()) for place in places if place.size]
    assert starts == sorted(starts)
    assert len(starts) >= 2
