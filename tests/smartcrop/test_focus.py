"""What a crop keeps: kinds and classes, one or several, with weights."""

import msgspec
import pictures
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from render_helper import REGISTRY, step

from proxy.errors import InvalidOperation, OperationNotApplicable
from proxy.geometry import Size
from proxy.limits import Limits
from proxy.operations.pipeline import render
from proxy.smartcrop.coco import COCO_CLASSES
from proxy.smartcrop.detector import SubjectDetector
from proxy.smartcrop.focus import KIND_PRIORITY, kind_of, normalize_focus, parse_focus
from proxy.smartcrop.placement import place_crop
from proxy.smartcrop.regions import select_regions
from proxy.smartcrop.registry import DETECTORS
from proxy.smartcrop.subject import Region, RegionKind, Subject

DOG = Region(0.0, 0.3, 0.2, 0.8, 0.6, "animal", "dog")
CAT = Region(0.8, 0.3, 1.0, 0.8, 0.6, "animal", "cat")
CAR = Region(0.4, 0.2, 0.6, 0.9, 0.5, "object", "car")
FACE = Region(0.45, 0.1, 0.55, 0.3, 0.9, "face")
STREET = Subject((DOG, CAT, CAR, FACE))
WIDE, NARROW = Size(1000, 400), Size(200, 400)
SCENE = pictures.encode(pictures.plain(200, 80))
NAMES = (*KIND_PRIORITY, *COCO_CLASSES[1:])


class Sees:
    """A detector that finds the same in every picture."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def detect(self, *_frames: pyvips.Image) -> Subject:
        return self.subject

    def can_find(self, _kind: RegionKind) -> bool:
        return True


def left_of_crop(focus: str, subject: Subject = STREET) -> float:
    """Where a narrow window starts in a wide picture, as a share of it."""
    return place_crop(subject, WIDE, NARROW, focus).box.left / WIDE.width


def test_a_class_is_kept() -> None:
    assert left_of_crop("dog") == 0.0
    assert left_of_crop("cat") == 0.8
    assert left_of_crop("car") == pytest.approx(0.4, abs=0.02)
    assert place_crop(STREET, WIDE, NARROW, "dog").reason == "animal"


def test_a_weight_decides_where_not_all_fit() -> None:
    assert left_of_crop("dog*3,cat") == pytest.approx(0, abs=0.02)
    assert left_of_crop("dog,cat*3") == pytest.approx(0.8, abs=0.02)
    assert left_of_crop("dog*30,face") == pytest.approx(0, abs=0.02)


def test_only_what_is_named_counts() -> None:
    assert select_regions(STREET, "dog,car") == (DOG, CAR)
    assert select_regions(STREET, "animal") == (DOG, CAT)
    assert select_regions(STREET, "person") == (FACE,)
    assert select_regions(STREET, "animal,face") == (DOG, CAT, FACE)


def test_a_class_counts_before_its_kind() -> None:
    dog, cat = select_regions(STREET, "animal,dog*4")[:2]
    assert (dog.weight, cat.weight) == (0.6, 0.15)


def test_without_the_class_its_kind_and_what_follows_is_tried() -> None:
    assert select_regions(STREET, "horse") == (DOG, CAT, CAR)
    assert select_regions(STREET, "train") == (CAR,)
    assert place_crop(Subject((FACE,)), WIDE, NARROW, "train").reason == "center"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("dog", "dog"),
        ("dog,cat", "cat,dog"),
        ("dog*1", "dog"),
        ("dog*7", "dog"),
        ("person*2,dog*4", "dog*2,person"),
        ("person*3,dog*2", "dog,person*1.5"),
        ("dog*1.50,cat*1", "cat,dog*1.5"),
    ],
)
def test_equal_wishes_have_one_spelling(written: str, canonical: str) -> None:
    assert normalize_focus(written) == canonical
    for name, fields in (
        ("smart_crop", {"width": 9, "height": 9}),
        ("crop_to", {"width": 9, "height": 9, "gravity": "smart"}),
        ("thumbnail", {"width": 9, "gravity": "smart"}),
    ):
        plans = [REGISTRY.plan([step(name, **fields, focus=each)]) for each in (written, canonical)]
        assert plans[0] == plans[1]
        assert plans[0].canonical == plans[1].canonical


@given(st.dictionaries(st.sampled_from(NAMES), st.floats(1, 100), min_size=1, max_size=12))
def test_the_spelling_is_stable_and_keeps_names_and_order_of_weights(
    weights: dict[str, float],
) -> None:
    text = normalize_focus(",".join(f"{name}*{weight:.2f}" for name, weight in weights.items()))
    assert normalize_focus(text) == text
    parsed = parse_focus(text)
    assert parsed.keys() == weights.keys()
    assert max(parsed.values()) == 1
    heaviest = max(weights, key=lambda name: round(weights[name], 2))
    assert parsed[heaviest] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("focus", "reason"),
    [
        ("dgo", "there is no 'dgo'; did you mean 'dog'\\?; names: auto"),
        ("dog,", "focus: must be `auto`, `face`"),
        ("dog,dog", "dog is named twice"),
        ("auto,dog", "auto is possible alone only"),
        ("center,dog", "center is possible alone only"),
        ("dog*0.5", "'dog\\*0.5' must be a name, or one with a weight from 1 to 100"),
        ("dog*101", "weight from 1 to 100"),
        ("dog*", "focus: must be `auto`, `face`"),
        (",".join(COCO_CLASSES[:13]), "focus: must be `auto`, `face`"),
    ],
)
def test_what_is_no_focus_is_refused(focus: str, reason: str) -> None:
    with pytest.raises(InvalidOperation, match=reason):
        REGISTRY.plan([step("smart_crop", width=9, height=9, focus=focus)])


def test_every_class_has_a_kind() -> None:
    assert len(COCO_CLASSES) == len(set(COCO_CLASSES)) == 80
    assert {kind_of(name) for name in COCO_CLASSES} == {"person", "animal", "object"}
    assert [name for name in COCO_CLASSES if kind_of(name) == "animal"] == list(COCO_CLASSES[14:24])


@pytest.mark.parametrize(
    "crop",
    [
        step("smart_crop", width=40, height=80, focus="face,dog"),
        step("crop_to", width=40, height=80, gravity="smart", focus="face,dog"),
        step("thumbnail", width=40, height=80, fit="fill", gravity="smart", focus="face,dog"),
    ],
    ids=lambda crop: crop["type"],
)
def test_without_a_model_a_class_is_refused_and_a_kind_is_not(crop: dict[str, object]) -> None:
    blind = Sees(Subject((FACE,), has_classes=False))
    with pytest.raises(OperationNotApplicable, match="to find dog, this server needs a model: pip"):
        render(SCENE, REGISTRY.plan([crop]), Limits(), detector=blind)
    kinds = {**crop, "focus": "face,animal,person"}
    assert render(SCENE, REGISTRY.plan([kinds]), Limits(), detector=blind).rendition.crop_reason


def test_with_a_model_a_class_places_the_crop() -> None:
    plan = REGISTRY.plan([step("smart_crop", width=40, height=80, focus="dog")])
    result = render(SCENE, plan, Limits(), detector=Sees(STREET)).rendition
    assert result.crop_reason == "animal"
    assert result.size == Size(40, 80)


def test_the_detector_says_whether_it_knows_classes() -> None:
    image = pyvips.Image.black(64, 48, bands=3).copy(interpretation="srgb")
    tiny = pyvips.Image.black(4, 4, bands=3).copy(interpretation="srgb")
    without = [spec for spec in DETECTORS if "classes" not in spec.finds]
    for each in (image, tiny):
        assert not SubjectDetector(detectors=without).detect(each).has_classes
        assert not SubjectDetector().detect(each).has_classes


def test_regions_that_were_cached_without_a_class_are_read() -> None:
    old = msgspec.json.encode([0.0, 0.1, 0.2, 0.3, 0.5, "animal"])
    assert msgspec.json.decode(old, type=Region) == Region(0.0, 0.1, 0.2, 0.3, 0.5, "animal")
