"""A sandboxed render process makes the same images as an unconfined one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import gain_maps
import pictures
import pytest
import pyvips
from golden import difference
from operations.examples import CASES, EXAMPLES, MARK
from render_helper import DETECTOR, REGISTRY, step

from proxy.buffers import SharedBuffer
from proxy.errors import ImageTooLarge, ProxyError
from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.operations.pipeline import render
from proxy.operations.plan import Plan
from proxy.originals import SourceRef
from proxy.render.config import RenderConfig
from proxy.render.manager import RenderProcessManager
from proxy.render.pool import RenderPool
from proxy.render.tasks import RENDER, RenderContext, build_render_request
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.registry import detector_imports

pytestmark = pytest.mark.anyio

SCENE = pictures.encode(pictures.scene(160, 120))
MARKS = {SourceRef("logos:mark.png"): MARK}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><text y="40">a</text></svg>'
INPUTS = {
    "jpeg": pictures.encode(pictures.scene(160, 120), "jpeg"),
    "webp": pictures.encode(pictures.scene(160, 120), "webp"),
    "avif": pictures.encode(pictures.scene(160, 120), "avif"),
    "gif": pictures.encode(pictures.scene(160, 120), "gif"),
    "tiff": pictures.encode(pictures.scene(160, 120), "tiff"),
    "bmp": pictures.encode(pictures.scene(160, 120), "bmp"),
    "ico": pictures.encode(pictures.scene(64, 64), "ico"),
    "svg": SVG,
    "animation": pictures.encode_animation(pictures.moving_scene(3, 160, 120), "webp"),
    "sequence": pictures.encode_animation(pictures.moving_scene(3, 160, 120), "avif"),
    "nonsense": b"nonsense",
    "half": pictures.encode(pictures.scene(160, 120))[:3000],
}


def decode_heif(body: bytes) -> pyvips.Image:
    return pyvips.Image.heifload_buffer(body)


@dataclass
class Sandboxed:
    pool: RenderPool

    async def check(self, original: bytes, plan: Plan) -> None:
        actual = await self._render_sandboxed(original, plan)
        expected = self._render_here(original, plan)
        if isinstance(expected, Rendition) and expected.format == "avif":
            # libaom splits an image by the number of its threads.
            assert isinstance(actual, Rendition)
            assert (actual.format, actual.size) == (expected.format, expected.size)
            assert difference(decode_heif(actual.body), decode_heif(expected.body)) < 1
        else:
            assert actual == expected

    async def _render_sandboxed(self, original: bytes, plan: Plan) -> object:
        buffers = {source: SharedBuffer.from_bytes(mark) for source, mark in MARKS.items()}
        request = build_render_request(RenderContext(Limits()), plan, None, buffers)
        try:
            result = await self.pool.run(
                RENDER,
                request,
                [SharedBuffer.from_bytes(original), *buffers.values()],
                cpu_seconds=60,
            )
        except ProxyError as error:
            return type(error), str(error)
        return result.rendition

    def _render_here(self, original: bytes, plan: Plan) -> object:
        try:
            return render(original, plan, Limits(), detector=DETECTOR, extra_images=MARKS).rendition
        except ProxyError as error:
            return type(error), str(error)


@pytest.fixture(scope="module")
async def sandboxed() -> AsyncIterator[Sandboxed]:
    models = ModelsConfig()
    async with RenderProcessManager(
        RenderConfig(processes=1),
        preload=detector_imports(models),
        readable_paths=models.readable_dirs(),
    ) as manager:
        yield Sandboxed(RenderPool(manager.directory))


@pytest.mark.parametrize(("name", "case"), CASES)
async def test_every_operation(sandboxed: Sandboxed, name: str, case: str) -> None:
    plan = REGISTRY.plan([step(name, **EXAMPLES[name][case]), step("convert", format="png")])
    await sandboxed.check(SCENE, plan)


@pytest.mark.parametrize("name", INPUTS)
async def test_every_kind_of_original(sandboxed: Sandboxed, name: str) -> None:
    await sandboxed.check(INPUTS[name], REGISTRY.plan([step("resize", width=80)]))


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif", "gif", "heif"])
async def test_every_format(sandboxed: Sandboxed, form: str) -> None:
    await sandboxed.check(SCENE, REGISTRY.plan([step("convert", format=form)]))


async def test_a_gain_map(sandboxed: Sandboxed) -> None:
    plan = REGISTRY.plan([step("keep", metadata="hdr"), step("resize", width=80)])
    await sandboxed.check(gain_maps.ultra_hdr(), plan)


async def test_expensive_results_are_made_at_the_priority_of_expensive_tasks(
    sandboxed: Sandboxed,
) -> None:
    """Not the header of the original, only the size of the result shows that it is expensive."""
    before = sandboxed.pool.outcomes["expensive"]
    await sandboxed.check(
        SCENE, REGISTRY.plan([step("resize", width=1300), step("convert", format="gif")])
    )
    assert sandboxed.pool.outcomes["expensive"] == before + 1


async def test_a_task_that_needs_too_much_memory_fails_and_the_next_one_succeeds() -> None:
    large = pictures.encode(pictures.scene(3000, 3000), "jpeg", progressive=True)
    plan = REGISTRY.plan([step("resize", width=2900), step("convert", format="png")])
    config = RenderConfig(processes=1, max_memory_bytes=64 * 1024 * 1024)
    async with RenderProcessManager(config) as manager:
        pool = RenderPool(manager.directory)
        request = build_render_request(RenderContext(Limits()), plan, None, {})
        with pytest.raises(ImageTooLarge, match="memory"):
            await pool.run(RENDER, request, [SharedBuffer.from_bytes(large)], cpu_seconds=60)
        small = build_render_request(RenderContext(Limits()), Plan(), None, {})
        assert (
            await pool.run(RENDER, small, [SharedBuffer.from_bytes(SCENE)], cpu_seconds=60)
        ).rendition.body
