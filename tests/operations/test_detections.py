"""Faces and other detections are covered: nobody is recognized, in any frame, at any size."""

from itertools import count
from pathlib import Path

import numpy as np
import pictures
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from render_helper import REGISTRY, step

from proxy.errors import InvalidOperation, OperationNotApplicable
from proxy.geometry import Size
from proxy.imaging.cover import Outline, cover
from proxy.limits import Limits
from proxy.operations.pipeline import render
from proxy.smartcrop.detector import SubjectDetector
from proxy.smartcrop.frame import to_frame
from proxy.smartcrop.subject import Region, RegionKind, Subject

PORTRAIT = (Path(__file__).parents[1] / "photographs" / "portrait.jpg").read_bytes()
BUILT_IN = SubjectDetector()
COVERS = ["blur_detections", "pixelate_detections"]


class RedDetector:
    """Finds what is red as a face, where it is wide enough; does not see every ``blind``-th frame.

    What detectors see has at most 640 pixels a side.
    """

    def __init__(self, *, least: int = 1, blind: int = 0) -> None:
        self._least = least
        self._blind = blind
        self._calls = count(1)
        self.searches = 0

    def detect(self, *frames: pyvips.Image) -> Subject:
        self.searches = next(self._calls)
        pixels = to_frame(frames[0]).pixels.astype(int)
        if self._blind and self.searches % self._blind == 0:
            return Subject()
        rows, columns = np.nonzero(pixels[:, :, 0] - pixels[:, :, 1] > 100)
        height, width = pixels.shape[:2]
        if not rows.size or np.ptp(columns) + 1 < self._least:
            return Subject()
        left, right = columns.min() / width, (columns.max() + 1) / width
        top, bottom = rows.min() / height, (rows.max() + 1) / height
        return Subject((Region(float(left), float(top), float(right), float(bottom), 1.0, "face"),))

    def can_find(self, kind: RegionKind) -> bool:
        return kind == "face"


Detectors = SubjectDetector | RedDetector


def render_covered(
    original: bytes, *steps: dict[str, object], detector: Detectors = BUILT_IN
) -> bytes:
    plan = REGISTRY.plan(list(steps))
    return render(original, plan, Limits(), detector=detector).rendition.body


def faces(body: bytes) -> list[Region]:
    found = BUILT_IN.detect(pyvips.Image.new_from_buffer(body, "")).regions
    return [region for region in found if region.kind == "face"]


def checkered(width: int, height: int, left: int, top: int, side: int) -> pictures.Pixels:
    """A square of fine red checks on gray."""
    pixels = pictures.red_square(width, height, left, top, side)
    y, x = np.mgrid[top : top + side, left : left + side]
    pixels[top : top + side, left : left + side][(x + y) % 2 == 0] = (110, 0, 0)
    return pixels


def detail(pixels: pictures.Pixels, before: pictures.Pixels) -> float:
    """How much neighbors differ where the checks were; in the checks it is 110."""
    rows, columns = np.nonzero(before[:, :, 2] < 100)
    face = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1, 0]
    return float(np.abs(np.diff(face.astype(int), axis=1)).mean())


@pytest.mark.parametrize("name", COVERS)
@pytest.mark.parametrize("size", [64, 300])
def test_no_face_is_found_in_the_result_at_any_size(name: str, size: int) -> None:
    assert faces(PORTRAIT)
    shrink = step("resize", width=size, height=size, fit="inside")
    png = step("convert", format="png")
    assert not faces(render_covered(PORTRAIT, step(name), shrink, png))


@pytest.mark.parametrize("size", [200, 600])
def test_a_face_becomes_as_few_squares_whatever_its_size(size: int) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (size, size, 3)).astype(np.uint8)
    noise[:, :, 0] //= 8
    start, end = size // 4, size // 2
    noise[start:end, start:end] = (255, 0, 0)
    noise[start:end:2, start:end:3] = (200, 20, 90)
    body = render_covered(
        pictures.encode(noise),
        step("pixelate_detections"),
        step("convert", format="png"),
        detector=RedDetector(),
    )
    face = pictures.decode(body)[start:end, start:end, :3]
    assert len(np.unique(face.reshape(-1, 3), axis=0)) <= 36  # four across, and cut ones


@pytest.mark.parametrize("name", COVERS)
@pytest.mark.parametrize("blind", [0, 3])
def test_a_moving_face_is_covered_in_every_frame(name: str, blind: int) -> None:
    frames = [checkered(120, 60, 10 + 5 * at, 20, 16) for at in range(12)]
    body = render_covered(
        pictures.encode_animation(frames), step(name), detector=RedDetector(blind=blind)
    )
    shown = pictures.decode_frames(body)
    assert len(shown) == 12
    for before, after in zip(frames, shown, strict=True):
        assert detail(before, before) > 100
        assert detail(after, before) < 30


def test_a_long_animation_is_searched_sixty_times_and_covered_throughout() -> None:
    frames = [checkered(160, 30, 2 + at, 9, 12) for at in range(130)]
    detector = RedDetector()
    body = render_covered(
        pictures.encode_animation(frames), step("blur_detections"), detector=detector
    )
    assert detector.searches <= 61
    shown = pictures.decode_frames(body)
    details = [detail(after, before) for before, after in zip(frames, shown, strict=True)]
    assert max(details) < 30


def test_a_large_picture_is_searched_part_by_part() -> None:
    scene = checkered(1300, 900, 1000, 500, 40)
    detector = RedDetector(least=25)  # in the whole it has 20 pixels
    body = render_covered(
        pictures.encode(scene),
        step("blur_detections"),
        step("convert", format="png"),
        detector=detector,
    )
    assert detector.searches == 5
    assert detail(pictures.decode(body), scene) < 30


def test_transparency_does_not_bleed_into_what_is_covered() -> None:
    pixels = np.dstack([pictures.red_square(80, 80, 30, 30, 20), np.full((80, 80), 255)])
    pixels = pixels.astype(np.uint8)
    pixels[:, :40] = (0, 255, 0, 0)
    body = render_covered(
        pictures.encode(pixels),
        step("blur_detections"),
        step("convert", format="png"),
        detector=RedDetector(),
    )
    covered = pictures.decode(body)
    seen = covered[covered[:, :, 3] > 64].astype(int)
    assert (seen[:, 1] - seen[:, 0]).max() < 60


def test_where_nothing_is_found_the_request_decides() -> None:
    plain = pictures.encode(pictures.gradient(100, 80))
    png = step("convert", format="png")
    untouched = render_covered(plain, png)
    kept = render_covered(plain, step("blur_detections"), png)
    assert (pictures.decode(kept) == pictures.decode(untouched)).all()
    squares = render_covered(plain, step("pixelate_detections", if_none="cover"), png)
    assert len(np.unique(pictures.decode(squares)[:, :, :3].reshape(-1, 3), axis=0)) <= 20
    with pytest.raises(OperationNotApplicable, match="pixelate_detections: no face is found"):
        render_covered(plain, step("pixelate_detections", if_none="error"))


@pytest.mark.parametrize("name", COVERS)
@pytest.mark.parametrize("kind", ["face", "person", "animal", "object"])
def test_a_kind_without_a_detector_is_refused(name: str, kind: str) -> None:
    nothing = SubjectDetector(detectors=())
    with pytest.raises(OperationNotApplicable, match=f"no detector for {kind}.*models install"):
        render_covered(PORTRAIT, step(name, kind=kind), detector=nothing)


def test_there_is_no_kind_that_covers_nothing() -> None:
    with pytest.raises(InvalidOperation, match="kind: must be one of"):
        REGISTRY.plan([step("blur_detections", kind="center")])


@st.composite
def outlines(draw: st.DrawFn) -> tuple[Size, Outline]:
    size = Size(draw(st.integers(1, 60)), draw(st.integers(1, 60)))
    left, right = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    top, bottom = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    exponent, scale = draw(st.sampled_from([(2, 1.8), (6, 1.2)]))
    return size, Outline(left, top, right, bottom, exponent, scale)


@settings(max_examples=40)
@given(outlines())
def test_all_of_the_box_is_covered_and_nothing_beyond_the_outline(
    case: tuple[Size, Outline],
) -> None:
    size, outline = case
    black = pyvips.Image.black(size.width, size.height, bands=3)
    white = cover(black, outline, lambda part: part.invert()).numpy()
    left, right = round(outline.left * size.width), round(outline.right * size.width)
    top, bottom = round(outline.top * size.height), round(outline.bottom * size.height)
    assert (white[top:bottom, left:right] == 255).all()
    box = outline.box(size)
    assert box.is_inside(size)
    white[box.top : box.top + box.height, box.left : box.left + box.width] = 0
    assert not white.any()
