"""YuNet and YOLOX, where files of them are at hand."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import pyvips

from proxy.smartcrop.detector import Eye
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.subject import Focus
from proxy.smartcrop.yolox import Things, meaning
from proxy.smartcrop.yunet import Faces

PHOTOGRAPHS = Path(__file__).parents[1] / "photographs"
MODELS = Path(__file__).parents[3] / "shared" / "models"
BEACH = Path(__file__).parents[2] / "proxy" / "data" / "demo" / "beach.jpg"

pytest.importorskip("onnxruntime", reason="the extra [models] is not installed")
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="no folder of test models beside us")


def look(eye: Eye, path: Path) -> Focus:
    return eye.look(pyvips.Image.jpegload_buffer(path.read_bytes()).copy_memory())


def test_the_face_is_found_by_the_model_too() -> None:
    focus = look(Eye(ModelsConfig(str(MODELS))), PHOTOGRAPHS / "portrait.jpg")
    (face,) = [region for region in focus.regions if region.kind == "face"]
    assert 0.3 < (face.left + face.right) / 2 < 0.65


def test_people_are_seen_as_people() -> None:
    focus = look(Eye(ModelsConfig(str(MODELS))), BEACH)
    people = [region for region in focus.regions if region.kind == "person"]
    assert len(people) >= 2
    assert all(region.bottom - region.top > 0.3 for region in people[:2])


def test_a_model_that_is_not_there_is_done_without(tmp_path: Path) -> None:
    shutil.copy(MODELS / "yunet_s_dynamic.onnx", tmp_path / "mine.onnx")
    focus = look(Eye(ModelsConfig(str(tmp_path), face_file="mine.onnx", object_file="none.onnx")), BEACH)
    assert {region.kind for region in focus.regions} == {"face", "saliency"}


@pytest.mark.parametrize(
    ("kind", "name"), [(Faces, "yolox_nano.onnx"), (Things, "yunet_s_dynamic.onnx")]
)
def test_a_model_of_another_make_is_refused(kind: type[Faces] | type[Things], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} has not the"):
        kind(MODELS / name)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"hello")
    with pytest.raises(ValueError, match=r"m\.onnx is not an ONNX model"):
        Faces(tmp_path / "m.onnx")


def test_an_empty_scene_holds_no_faces() -> None:
    flat = np.full((480, 640, 3), 120, np.uint8)
    assert len(Faces(MODELS / "yunet_s_dynamic.onnx")(flat)) == 0
    assert len(Things(MODELS / "yolox_nano.onnx")(flat)) == 0


@pytest.mark.parametrize(("kind", "expected"), [(0, "person"), (16, "animal"), (39, "object")])
def test_classes_are_evidence_of(kind: int, expected: str) -> None:
    assert meaning(kind)[0] == expected
