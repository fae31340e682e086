import pictures
import pytest
import pyvips
from render_helper import REGISTRY, render_steps, step

from proxy.errors import BrokenImage, NotAnImage, OperationNotApplicable
from proxy.geometry import Size
from proxy.imaging.info import read_image_info
from proxy.limits import Limits
from proxy.operations.pipeline import detect, render
from proxy.smartcrop.detector import SubjectDetector
from proxy.smartcrop.subject import Region, Subject

DETECTOR = SubjectDetector()
SCENE = pictures.encode(pictures.scene(), "jpeg", quality=95)


def test_operations_are_applied_in_the_order_of_the_plan() -> None:
    cropped_first = render_steps(
        SCENE,
        step("crop", left=0, top=0, width=100, height=50),
        step("resize", width=200, height=200),
    )
    assert cropped_first.size == Size(200, 200)
    with pytest.raises(OperationNotApplicable):
        render_steps(
            SCENE,
            step("resize", width=50, height=50),
            step("crop", left=0, top=0, width=100, height=50),
        )


def test_a_known_subject_is_used_and_not_detected_again() -> None:
    plan = REGISTRY.plan([step("smart_crop", width=50, height=50)])
    first = render(SCENE, plan, Limits(), detector=DETECTOR)
    assert first.detected_subject is not None
    again = render(SCENE, plan, Limits(), detector=DETECTOR, subject=first.detected_subject)
    assert again.detected_subject is None
    assert again.rendition.body == first.rendition.body


def test_a_subject_detected_in_a_crop_is_not_that_of_the_original() -> None:
    plan = REGISTRY.plan(
        [
            step("crop", left=0, top=0, width=100, height=100),
            step("smart_crop", width=50, height=20),
        ]
    )
    assert render(SCENE, plan, Limits(), detector=DETECTOR).detected_subject is None


def test_a_known_subject_places_the_crop() -> None:
    right = Subject((Region(0.9, 0.4, 1.0, 0.6, weight=1, kind="face"),))
    plan = REGISTRY.plan([step("smart_crop", width=30, height=60), step("convert", format="png")])
    result = render(
        pictures.encode(pictures.gradient(200, 60)),
        plan,
        Limits(),
        detector=DETECTOR,
        subject=right,
    )
    assert result.rendition.crop_reason == "face"
    assert pictures.decode(result.rendition.body)[:, :, 0].min() > 200


def test_detection_returns_the_upright_size() -> None:
    seen = detect(SCENE, Limits(), detector=DETECTOR)
    assert seen.size == Size(400, 300)
    assert seen.subject.regions


@pytest.mark.parametrize("format", ["jpeg", "png", "gif", "webp", "avif", "tiff"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_an_error(format: str, share: float) -> None:
    whole = pictures.encode(pictures.scene(), format)
    render_steps(whole, step("resize", width=40))
    with pytest.raises(BrokenImage):
        render_steps(whole[: int(len(whole) * share)], step("resize", width=40))


JPEGS = {
    "baseline": pictures.encode(pictures.scene(), "jpeg", quality=95),
    "progressive": pictures.encode(pictures.scene(), "jpeg", progressive=True),
    "restarts": pictures.encode(pictures.scene(), "jpeg", restart_marker_rows=1),
    "gray": pictures.encode(pictures.scene()[:, :, 0], "jpeg"),
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.6, 0.9, 0.99])
@pytest.mark.parametrize("width", [40, 400])
def test_a_truncated_jpeg_with_an_end_marker_is_an_error(
    kind: str, share: float, width: int
) -> None:
    whole = JPEGS[kind]
    cut = whole[: int(len(whole) * share)] + b"\xff\xd9"
    with pytest.raises(BrokenImage, match="truncated"):
        render_steps(cut, step("resize", width=width))
    for function in (detect, read_image_info):
        with pytest.raises(BrokenImage, match="truncated"):
            function(cut, Limits(), detector=DETECTOR)
    assert render_steps(whole, step("resize", width=width)).size.width == width


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_with_missing_rows_is_an_error(kind: str) -> None:
    changed = bytearray(JPEGS[kind])
    at = next(at for marker in (b"\xff\xc0", b"\xff\xc2") if (at := changed.find(marker)) > 0)
    changed[at + 5 : at + 7] = (600).to_bytes(2, "big")
    with pytest.raises(BrokenImage, match="truncated"):
        render_steps(bytes(changed), step("resize", width=40))


def test_a_jpeg_with_misnumbered_restart_markers_is_decoded() -> None:
    misnumbered = JPEGS["restarts"].replace(b"\xff\xd3", b"\xff\xd4", 1)
    assert render_steps(misnumbered, step("resize", width=40)).size.width == 40


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("end", [b"\0\0\0\xff\xd9", b"\xff\xff\xd9", b"\xff\xd9and more"])
def test_bytes_around_the_end_of_a_jpeg_do_not_matter(kind: str, end: bytes) -> None:
    assert render_steps(JPEGS[kind][:-2] + end, step("resize", width=40)).size.width == 40


def test_truncation_of_one_picture_does_not_affect_the_next() -> None:
    cut = SCENE[: len(SCENE) // 2] + b"\xff\xd9"
    pyvips.Image.jpegload_buffer(cut).avg()
    assert render_steps(SCENE, step("resize", width=40)).size.width == 40


def test_bytes_that_are_not_an_image_are_rejected() -> None:
    for body in (b"", b"x", b"<html></html>", b"P6 1 1 255 abc", b"%PDF-1.7"):
        with pytest.raises(NotAnImage):
            render_steps(body)
