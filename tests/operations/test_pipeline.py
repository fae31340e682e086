import pictures
import pytest
import pyvips
from render_helper import CATALOGUE, rendered, step

from proxy.errors import BrokenImage, NotAnImage, OperationNotApplicable
from proxy.geometry import Size
from proxy.imaging.info import describe
from proxy.limits import Limits
from proxy.operations.pipeline import look, render
from proxy.smartcrop.detector import Eye
from proxy.smartcrop.subject import Focus, Region

EYE = Eye()
SCENE = pictures.file(pictures.scene(), "jpeg", quality=95)


def test_a_plan_is_done_in_the_order_it_was_written() -> None:
    cropped_first = rendered(
        SCENE,
        step("crop", left=0, top=0, width=100, height=50),
        step("resize", width=200, height=200),
    )
    assert cropped_first.size == Size(200, 200)
    with pytest.raises(OperationNotApplicable):
        rendered(
            SCENE,
            step("resize", width=50, height=50),
            step("crop", left=0, top=0, width=100, height=50),
        )


def test_what_the_eye_saw_is_told_once_and_taken_when_handed_in() -> None:
    plan = CATALOGUE.plan([step("smart_crop", width=50, height=50)])
    first = render(SCENE, plan, Limits(), eye=EYE)
    assert first.focus is not None
    again = render(SCENE, plan, Limits(), eye=EYE, focus=first.focus)
    assert again.focus is None
    assert again.rendition.body == first.rendition.body


def test_what_was_seen_in_a_part_is_not_told_of_the_whole() -> None:
    plan = CATALOGUE.plan(
        [
            step("crop", left=0, top=0, width=100, height=100),
            step("smart_crop", width=50, height=20),
        ]
    )
    assert render(SCENE, plan, Limits(), eye=EYE).focus is None


def test_focus_handed_in_places_the_window() -> None:
    right = Focus((Region(0.9, 0.4, 1.0, 0.6, weight=1, kind="face"),))
    plan = CATALOGUE.plan([step("smart_crop", width=30, height=60), step("convert", format="png")])
    result = render(pictures.file(pictures.gradient(200, 60)), plan, Limits(), eye=EYE, focus=right)
    assert result.rendition.decided == "face"
    assert pictures.opened(result.rendition.body)[:, :, 0].min() > 200


def test_a_look_tells_the_upright_size() -> None:
    seen = look(SCENE, Limits(), eye=EYE)
    assert seen.size == Size(400, 300)
    assert seen.focus.regions


@pytest.mark.parametrize("form", ["jpeg", "png", "gif", "webp", "avif", "tiff"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_half_a_file_is_never_a_picture(form: str, share: float) -> None:
    whole = pictures.file(pictures.scene(), form)
    rendered(whole, step("resize", width=40))
    with pytest.raises(BrokenImage):
        rendered(whole[: int(len(whole) * share)], step("resize", width=40))


JPEGS = {
    "baseline": pictures.file(pictures.scene(), "jpeg", quality=95),
    "progressive": pictures.file(pictures.scene(), "jpeg", progressive=True),
    "restarts": pictures.file(pictures.scene(), "jpeg", restart_marker_rows=1),
    "grey": pictures.file(pictures.scene()[:, :, 0], "jpeg"),
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.6, 0.9, 0.99])
@pytest.mark.parametrize("width", [40, 400])
def test_a_jpeg_that_was_cut_and_closed_is_never_a_picture(
    kind: str, share: float, width: int
) -> None:
    whole = JPEGS[kind]
    cut = whole[: int(len(whole) * share)] + b"\xff\xd9"
    with pytest.raises(BrokenImage, match="cut short"):
        rendered(cut, step("resize", width=width))
    for question in (look, describe):
        with pytest.raises(BrokenImage, match="cut short"):
            question(cut, Limits(), eye=EYE)
    assert rendered(whole, step("resize", width=width)).size.width == width


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_promises_more_rows_than_it_has_is_never_a_picture(kind: str) -> None:
    promising = bytearray(JPEGS[kind])
    at = next(at for marker in (b"\xff\xc0", b"\xff\xc2") if (at := promising.find(marker)) > 0)
    promising[at + 5 : at + 7] = (600).to_bytes(2, "big")
    with pytest.raises(BrokenImage, match="cut short"):
        rendered(bytes(promising), step("resize", width=40))


def test_a_jpeg_with_restarts_in_the_wrong_order_is_a_picture() -> None:
    misnumbered = JPEGS["restarts"].replace(b"\xff\xd3", b"\xff\xd4", 1)
    assert rendered(misnumbered, step("resize", width=40)).size.width == 40


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("end", [b"\0\0\0\xff\xd9", b"\xff\xff\xd9", b"\xff\xd9and more"])
def test_a_jpeg_is_whole_whatever_stands_around_its_end(kind: str, end: bytes) -> None:
    assert rendered(JPEGS[kind][:-2] + end, step("resize", width=40)).size.width == 40


def test_what_one_picture_was_is_not_held_against_the_next() -> None:
    cut = SCENE[: len(SCENE) // 2] + b"\xff\xd9"
    pyvips.Image.jpegload_buffer(cut).avg()
    assert rendered(SCENE, step("resize", width=40)).size.width == 40


def test_what_is_no_picture_is_called_so() -> None:
    for body in (b"", b"x", b"<html></html>", b"P6 1 1 255 abc", b"%PDF-1.7"):
        with pytest.raises(NotAnImage):
            rendered(body)
