"""The list of detectors: which are used, and one that is added from outside."""

from collections.abc import Sequence
from pathlib import Path

import pictures
import pytest
import pyvips

from proxy.buffers import SharedBuffer
from proxy.limits import Limits
from proxy.render.config import RenderConfig
from proxy.render.manager import RenderProcessManager
from proxy.render.pool import RenderPool
from proxy.render.tasks import DETECT, DetectRequest, RenderContext
from proxy.smartcrop.detector import SubjectDetector
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.registry import DETECTORS, DetectorSpec, detector_imports, detector_version
from proxy.smartcrop.subject import Region

RED = DetectorSpec("red", finds=("red things",), module="smartcrop.red_detector")
RED_SQUARE = Region(0.75, 0.25, 1.0, 0.75, 1.0, "object")

PICTURE = pictures.red_square(400, 200, 300, 50, 100)


def detect(*detectors: DetectorSpec) -> list[Region]:
    image = pyvips.Image.new_from_array(PICTURE).copy(interpretation="srgb")
    return list(SubjectDetector(detectors=detectors).detect(image).regions)


def test_a_detector_from_outside_finds_its_regions_beside_the_others() -> None:
    regions = detect(RED, *DETECTORS)
    assert regions[0] == RED_SQUARE
    assert regions[1:] == detect(*DETECTORS)
    assert "saliency" in {region.kind for region in regions[1:]}


def test_the_first_detector_of_those_that_find_the_same_is_used() -> None:
    red = DetectorSpec("red", finds=("objects",), module="smartcrop.red_detector")
    others = [region for region in detect(*DETECTORS) if region.kind in ("face", "saliency")]
    assert others
    assert detect(red, *DETECTORS) == [RED_SQUARE, *others]
    assert detect(*DETECTORS, red) == detect(*DETECTORS)


def test_a_detector_without_its_model_leaves_the_place_to_the_next() -> None:
    red = DetectorSpec("red", finds=("objects",), module="smartcrop.red_detector")
    yolox = next(spec for spec in DETECTORS if spec.name == "yolox")
    assert detect(yolox, red) == [RED_SQUARE]


@pytest.mark.anyio
async def test_a_detector_from_outside_works_in_a_render_process() -> None:
    assert (await detect_in_render_process(RED, *DETECTORS))[0] == RED_SQUARE


@pytest.mark.anyio
async def test_what_a_detector_loads_before_the_fork_is_shared_by_render_processes() -> None:
    shared = DetectorSpec("shared", finds=("objects",), module="smartcrop.shared_detector")
    assert len(await detect_in_render_process(shared)) == 1


async def detect_in_render_process(*detectors: DetectorSpec) -> Sequence[Region]:
    imports = detector_imports(ModelsConfig(), detectors)
    async with RenderProcessManager(RenderConfig(processes=1), preload=imports) as processes:
        pool = RenderPool(processes.directory)
        request = DetectRequest(RenderContext(Limits(), detectors=detectors), None)
        original = SharedBuffer.from_bytes(pictures.encode(PICTURE))
        detection = await pool.run(DETECT, request, [original])
    return detection.subject.regions


def test_every_detector_is_imported_before_render_processes_are_forked() -> None:
    assert detector_imports(ModelsConfig(), (RED,)) == (
        "proxy.smartcrop.detector",
        "smartcrop.red_detector",
    )


def test_other_detectors_and_other_model_files_have_other_versions(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra [models] is not installed")
    models = ModelsConfig(str(tmp_path), face_file="a.onnx")
    newer = DetectorSpec("red", finds=("red things",), module="smartcrop.red_detector", version="2")
    versions = [detector_version(models, each) for each in (DETECTORS, (RED,), (newer,))]
    for content in (b"one", b"two"):
        (tmp_path / "a.onnx").write_bytes(content)
        versions.append(detector_version(models))
    assert len(set(versions)) == 5
    assert "onnxruntime" in detector_imports(models)
