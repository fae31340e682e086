"""The handlers, run in a sandboxed render process: detection works there too."""

from pathlib import Path

import pytest

from proxy.buffers import SharedBuffer
from proxy.imaging.results import Detection
from proxy.limits import Limits
from proxy.render.config import RenderConfig
from proxy.render.manager import RenderProcessManager
from proxy.render.pool import RenderPool
from proxy.render.tasks import DETECT, DetectRequest, RenderContext
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.registry import detector_imports

pytestmark = pytest.mark.anyio

PORTRAIT = (Path(__file__).parents[1] / "photographs" / "portrait.jpg").read_bytes()
MODELS = Path(__file__).parents[3] / "shared" / "models"


async def detect_with(models: ModelsConfig) -> Detection:
    config = RenderConfig(processes=1)
    async with RenderProcessManager(
        config, preload=detector_imports(models), readable_paths=models.readable_dirs()
    ) as manager:
        pool = RenderPool(manager.directory)
        request = DetectRequest(RenderContext(Limits(), models), None)
        return await pool.run(DETECT, request, [SharedBuffer.from_bytes(PORTRAIT)])


async def test_a_render_process_detects_a_face() -> None:
    detection = await detect_with(ModelsConfig())
    assert detection.subject.regions[0].kind == "face"


@pytest.mark.skipif(not MODELS.is_dir(), reason="the folder of test models is missing")
async def test_a_render_process_detects_with_installed_models() -> None:
    pytest.importorskip("onnxruntime", reason="the extra [models] is not installed")
    detection = await detect_with(ModelsConfig(str(MODELS)))
    assert {"face", "person"} <= {region.kind for region in detection.subject.regions}
