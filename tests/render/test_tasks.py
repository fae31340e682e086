"""What render processes do, done in one: confined as they are, they still see."""

from pathlib import Path

import pytest

from proxy.buffers import SharedBuffer
from proxy.imaging.image import Seen
from proxy.limits import Limits
from proxy.render.manager import Renderers
from proxy.render.messages import LOOK, LookOrder, Outfit
from proxy.render.pool import Pool
from proxy.render.protocol import RenderConfig
from proxy.smartcrop.models import ModelsConfig

pytestmark = pytest.mark.anyio

PORTRAIT = (Path(__file__).parents[1] / "photographs" / "portrait.jpg").read_bytes()
MODELS = Path(__file__).parents[3] / "shared" / "models"


async def seen_with(models: ModelsConfig) -> Seen:
    settings = RenderConfig(processes=1)
    async with Renderers(
        settings, imports=models.imports(), readable=models.readable_dirs()
    ) as renderers:
        pool = Pool(renderers.directory, queue_seconds=30)
        order = LookOrder(Outfit(Limits(), models), None)
        return await pool.run(LOOK, order, [SharedBuffer.of(PORTRAIT)])


async def test_a_render_process_sees_a_face() -> None:
    seen = await seen_with(ModelsConfig())
    assert seen.focus.regions[0].kind == "face"


@pytest.mark.skipif(not MODELS.is_dir(), reason="no folder of test models beside us")
async def test_a_render_process_sees_with_installed_models() -> None:
    pytest.importorskip("onnxruntime", reason="the extra [models] is not installed")
    seen = await seen_with(ModelsConfig(str(MODELS)))
    assert {"face", "person"} <= {region.kind for region in seen.focus.regions}
