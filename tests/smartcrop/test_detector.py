"""Detection of the subject: faces are found, odd pictures are no error, and the result is small."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import pyvips

from proxy.geometry import Size
from proxy.smartcrop.detector import SubjectDetector
from proxy.smartcrop.placement import place_crop
from proxy.smartcrop.subject import Subject

BEACH = Path(__file__).parents[2] / "proxy" / "data" / "demo" / "beach.jpg"
PORTRAIT = Path(__file__).parents[1] / "photographs" / "portrait.jpg"


@pytest.fixture(scope="module")
def detector() -> SubjectDetector:
    return SubjectDetector()


@pytest.fixture(scope="module")
def portrait() -> pyvips.Image:
    return pyvips.Image.jpegload_buffer(PORTRAIT.read_bytes()).copy_memory()


def face_centers(subject: Subject) -> list[tuple[float, float]]:
    return [
        ((region.left + region.right) / 2, (region.top + region.bottom) / 2)
        for region in subject.regions
        if region.kind == "face"
    ]


def test_the_face_of_a_portrait_is_found(detector: SubjectDetector, portrait: pyvips.Image) -> None:
    centers = face_centers(detector.detect(portrait))
    assert len(centers) == 1
    x, y = centers[0]
    assert 0.3 < x < 0.65
    assert 0.3 < y < 0.6


def test_a_face_under_a_hat_begins_in_the_fringe(
    detector: SubjectDetector, portrait: pyvips.Image
) -> None:
    (top,) = (each.top for each in detector.detect(portrait).regions if each.kind == "face")
    assert 0.27 < top < 0.35


def test_the_face_of_a_dark_portrait_is_found(
    detector: SubjectDetector, portrait: pyvips.Image
) -> None:
    assert len(face_centers(detector.detect((portrait * 0.2).cast("uchar")))) == 1


def test_equal_pictures_give_equal_subjects(
    detector: SubjectDetector, portrait: pyvips.Image
) -> None:
    assert (
        detector.detect(portrait) == detector.detect(portrait) == SubjectDetector().detect(portrait)
    )


def test_regions_do_not_depend_on_the_size_of_the_picture(
    detector: SubjectDetector, portrait: pyvips.Image
) -> None:
    small, large = (
        face_centers(detector.detect(portrait)),
        face_centers(detector.detect(portrait.resize(4))),
    )
    assert np.allclose(small, large, atol=0.03)


def test_every_crop_contains_the_whole_head(
    detector: SubjectDetector, portrait: pyvips.Image
) -> None:
    subject = detector.detect(portrait)
    ((x, y),) = face_centers(subject)
    for ratio in (Size(1, 1), Size(16, 9), Size(9, 16)):
        placement = place_crop(subject, Size(256, 384), ratio)
        assert placement.reason == "face"
        assert placement.box.left < x * 256 < placement.box.left + placement.box.width
        assert placement.box.top < y * 384 - 40
        assert y * 384 + 20 < placement.box.top + placement.box.height


@pytest.mark.parametrize(
    ("width", "height"),
    [(1, 1), (1, 3000), (3000, 1), (2, 2), (15, 15), (16, 16), (40, 900), (9000, 20)],
)
@pytest.mark.parametrize("bands", [3, 4])
def test_odd_pictures_get_a_crop_inside_them(
    detector: SubjectDetector, width: int, height: int, bands: int
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (height, width, bands), np.uint8)
    image = pyvips.Image.new_from_array(noise).copy(interpretation="srgb")
    box = place_crop(detector.detect(image), Size(width, height), Size(16, 9)).box
    assert box.is_inside(Size(width, height))


def test_a_fully_transparent_picture_has_no_subject(detector: SubjectDetector) -> None:
    image = pyvips.Image.black(200, 200, bands=4).copy(interpretation="srgb").copy_memory()
    assert detector.detect(image).regions == ()


def test_a_uniform_picture_has_no_subject(detector: SubjectDetector) -> None:
    image = (pyvips.Image.black(300, 200, bands=3) + 90).cast("uchar").copy(interpretation="srgb")
    assert detector.detect(image).regions == ()


def test_what_one_frame_shows_is_found(detector: SubjectDetector, portrait: pyvips.Image) -> None:
    blank = (portrait * 0 + 100).cast("uchar")
    subject = detector.detect(blank, portrait, blank)
    assert len(face_centers(subject)) == 1
    assert len(face_centers(detector.detect(portrait, portrait))) == 1


def test_a_subject_is_small_and_survives_encoding(
    detector: SubjectDetector, portrait: pyvips.Image
) -> None:
    subject = detector.detect(portrait)
    encoded = msgspec.msgpack.encode(subject)
    assert len(encoded) < 8192
    assert msgspec.msgpack.decode(encoded, type=Subject) == subject
    assert msgspec.json.decode(msgspec.json.encode(subject), type=Subject) == subject


def test_people_are_found_without_any_model(detector: SubjectDetector) -> None:
    subject = detector.detect(pyvips.Image.jpegload_buffer(BEACH.read_bytes()).copy_memory())
    people = [region for region in subject.regions if region.kind == "person"]
    assert len(people) >= 2
    assert all(region.bottom - region.top > 0.3 for region in people[:2])
    assert not subject.has_classes
    assert not any(region.label for region in subject.regions)


def test_a_gray_picture_shows_the_same_face(
    detector: SubjectDetector, portrait: pyvips.Image
) -> None:
    gray = portrait.colourspace("b-w").colourspace("srgb")
    in_color, in_gray = (face_centers(detector.detect(image)) for image in (portrait, gray))
    assert np.allclose(in_color, in_gray, atol=0.03)


def test_placement_needs_no_numpy() -> None:
    code = "import sys, proxy.smartcrop.placement; print('numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "False"
