"""YuNet and YOLOX, where their model files are available."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import pyvips

from proxy.smartcrop.detector import SubjectDetector
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.subject import Subject
from proxy.smartcrop.yolox import YoloxDetector, class_kind
from proxy.smartcrop.yunet import YunetFaceDetector

PHOTOGRAPHS = Path(__file__).parents[1] / "photographs"
MODELS = Path(__file__).parents[3] / "shared" / "models"
BEACH = Path(__file__).parents[2] / "proxy" / "data" / "demo" / "beach.jpg"

pytest.importorskip("onnxruntime", reason="the extra [models] is not installed")
pytestmark = pytest.mark.skipif(
    not MODELS.is_dir(), reason="no directory with test models beside the repository"
)


def detect(models: ModelsConfig, path: Path) -> Subject:
    return SubjectDetector(models).detect(
        pyvips.Image.jpegload_buffer(path.read_bytes()).copy_memory()
    )


def test_yunet_finds_the_face() -> None:
    subject = detect(ModelsConfig(str(MODELS)), PHOTOGRAPHS / "portrait.jpg")
    (face,) = [region for region in subject.regions if region.kind == "face"]
    assert 0.3 < (face.left + face.right) / 2 < 0.65


def test_yolox_finds_people() -> None:
    subject = detect(ModelsConfig(str(MODELS)), BEACH)
    people = [region for region in subject.regions if region.kind == "person"]
    assert len(people) >= 2
    assert all(region.bottom - region.top > 0.3 for region in people[:2])


def test_a_missing_model_is_not_used(tmp_path: Path) -> None:
    shutil.copy(MODELS / "yunet_s_dynamic.onnx", tmp_path / "mine.onnx")
    subject = detect(
        ModelsConfig(str(tmp_path), face_file="mine.onnx", object_file="none.onnx"), BEACH
    )
    assert {region.kind for region in subject.regions} == {"face", "person", "saliency"}
    assert not subject.has_classes


@pytest.mark.parametrize(
    ("detector", "name"),
    [(YunetFaceDetector, "yolox_nano.onnx"), (YoloxDetector, "yunet_s_dynamic.onnx")],
)
def test_another_model_is_refused(
    detector: type[YunetFaceDetector] | type[YoloxDetector], name: str
) -> None:
    with pytest.raises(ValueError, match=f"{name} is not a"):
        detector(MODELS / name)


def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"hello")
    with pytest.raises(ValueError, match=r"m\.onnx is not an ONNX model"):
        YunetFaceDetector(tmp_path / "m.onnx")


def test_an_empty_scene_has_no_faces_and_no_objects() -> None:
    flat = np.full((480, 640, 3), 120, np.uint8)
    assert len(YunetFaceDetector(MODELS / "yunet_s_dynamic.onnx")(flat)) == 0
    assert len(YoloxDetector(MODELS / "yolox_nano.onnx")(flat)) == 0


@pytest.mark.parametrize(("class_id", "kind"), [(0, "person"), (16, "animal"), (39, "object")])
def test_every_class_has_a_kind(class_id: int, kind: str) -> None:
    assert class_kind(class_id)[0] == kind
