"""smart_crop: the right size, the right place, one crop for all frames."""

from pathlib import Path

import numpy as np
import pictures
import pytest
from render_helper import REGISTRY, render_steps, step

from proxy.geometry import Size
from proxy.limits import Limits
from proxy.operations.pipeline import render
from proxy.smartcrop.detector import SubjectDetector
from proxy.smartcrop.subject import Region, Subject

DETECTOR = SubjectDetector()
PORTRAIT = (Path(__file__).parents[1] / "photographs" / "portrait.jpg").read_bytes()
MARKED = Subject((Region(0.75, 0.2, 0.8, 0.3, weight=1.0, kind="face"),))


def cropped(original: bytes, **fields: object) -> tuple[pictures.Pixels, str]:
    plan = REGISTRY.plan([step("smart_crop", **fields), step("convert", format="png")])
    rendition = render(original, plan, Limits(), detector=DETECTOR).rendition
    return pictures.decode(rendition.body), rendition.crop_reason


@pytest.mark.parametrize(
    ("width", "height"), [(100, 100), (160, 90), (90, 160), (600, 600), (1, 1)]
)
@pytest.mark.parametrize("zoom", [0, 0.5, 1])
def test_the_result_has_exactly_the_size(width: int, height: int, zoom: float) -> None:
    found, reason = cropped(PORTRAIT, width=width, height=height, zoom=zoom)
    assert found.shape[:2] == (height, width)
    assert reason == "face"


def test_the_salient_part_is_kept() -> None:
    scene = pictures.encode(pictures.red_square(400, 100, 330, 30, 40), "jpeg", quality=95)
    found, reason = cropped(scene, width=100, height=100)
    assert reason in {"object", "saliency"}
    assert (found[:, :, 0].astype(int) - found[:, :, 1] > 100).sum() > 1400


def test_focus_center_keeps_the_center() -> None:
    gradient = pictures.encode(pictures.gradient(300, 100))
    found, reason = cropped(gradient, width=100, height=100, focus="center")
    assert reason == "center"
    assert abs(int(found[50, 50, 0]) - 127) < 4


def test_zoom_crops_closer_to_the_face() -> None:
    plan = [step("smart_crop", width=40, height=40, focus="face", zoom=z) for z in (0, 0.5, 1)]
    gradient = pictures.encode(pictures.gradient(800, 400))
    ranges = []
    for one in plan:
        steps = REGISTRY.plan([one, step("convert", format="png")])
        result = render(gradient, steps, Limits(), detector=DETECTOR, subject=MARKED)
        reds = pictures.decode(result.rendition.body)[:, :, 0].astype(int)
        assert reds.min() < 0.75 * 255 < reds.max()
        ranges.append(int(reds.max() - reds.min()))
    assert ranges[0] > 1.5 * ranges[1] > 2 * ranges[2]


def test_all_frames_of_an_animation_have_one_crop() -> None:
    moving = pictures.encode_animation(pictures.moving_square(4, 120, 40))
    rendition = render_steps(moving, step("smart_crop", width=40, height=40))
    assert rendition.size == Size(40, 40)
    shown = pictures.decode_frames(rendition.body)
    assert len(shown) == 4
    # With one crop, the square moves through it as it moves through the picture.
    places = [np.nonzero(frame[:, :, 0] > 180)[1] for frame in shown]
    starts = [int(place.min()) for place in places if place.size]
    assert starts == sorted(starts)
    assert len(starts) >= 2
