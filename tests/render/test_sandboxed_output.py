"""What a confined render process makes is what would be made without any confinement."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pictures
import pytest
import pyvips
from golden import difference
from operations.examples import CASES, EXAMPLES, MARK
from render_helper import CATALOGUE, EYE, step

from proxy.buffers import SharedBuffer
from proxy.errors import ImageTooLarge, ProxyError
from proxy.imaging.image import Rendition
from proxy.limits import Limits
from proxy.operations.pipeline import render
from proxy.operations.plan import Plan
from proxy.originals import SourceRef
from proxy.render.manager import Renderers
from proxy.render.messages import RENDER, Outfit, render_order
from proxy.render.pool import Pool
from proxy.render.protocol import RenderConfig
from proxy.smartcrop.models import ModelsConfig

pytestmark = pytest.mark.anyio

SCENE = pictures.file(pictures.scene(160, 120))
MARKS = {SourceRef("logos:mark.png"): MARK}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><text y="40">a</text></svg>'
INPUTS = {
    "jpeg": pictures.file(pictures.scene(160, 120), "jpeg"),
    "webp": pictures.file(pictures.scene(160, 120), "webp"),
    "avif": pictures.file(pictures.scene(160, 120), "avif"),
    "gif": pictures.file(pictures.scene(160, 120), "gif"),
    "tiff": pictures.file(pictures.scene(160, 120), "tiff"),
    "bmp": pictures.file(pictures.scene(160, 120), "bmp"),
    "ico": pictures.file(pictures.scene(64, 64), "ico"),
    "svg": SVG,
    "animation": pictures.animation(pictures.drifting(3, 160, 120), "webp"),
    "nonsense": b"nonsense",
    "half": pictures.file(pictures.scene(160, 120))[:3000],
}


def opened(body: bytes) -> pyvips.Image:
    return pyvips.Image.heifload_buffer(body)


@dataclass
class Confined:
    pool: Pool

    async def check(self, original: bytes, plan: Plan) -> None:
        there, here = await self._there(original, plan), self._here(original, plan)
        if isinstance(here, Rendition) and here.format == "avif":
            # libaom cuts a picture by the number of threads it is given.
            assert isinstance(there, Rendition)
            assert (there.format, there.size) == (here.format, here.size)
            assert difference(opened(there.body), opened(here.body)) < 1
        else:
            assert there == here

    async def _there(self, original: bytes, plan: Plan) -> object:
        blobs = {address: SharedBuffer.of(mark) for address, mark in MARKS.items()}
        order = render_order(Outfit(Limits()), plan, None, blobs)
        try:
            rendered = await self.pool.run(
                RENDER, order, [SharedBuffer.of(original), *blobs.values()], seconds=60
            )
        except ProxyError as error:
            return type(error), str(error)
        return rendered.rendition

    def _here(self, original: bytes, plan: Plan) -> object:
        try:
            return render(original, plan, Limits(), eye=EYE, also=MARKS).rendition
        except ProxyError as error:
            return type(error), str(error)


@pytest.fixture(scope="module")
async def confined() -> AsyncIterator[Confined]:
    models = ModelsConfig()
    async with Renderers(
        RenderConfig(processes=1), imports=models.imports(), readable=models.readable_dirs()
    ) as renderers:
        yield Confined(Pool(renderers.directory, queue_seconds=60))


@pytest.mark.parametrize(("name", "case"), CASES)
async def test_every_operation(confined: Confined, name: str, case: str) -> None:
    plan = CATALOGUE.plan([step(name, **EXAMPLES[name][case]), step("convert", format="png")])
    await confined.check(SCENE, plan)


@pytest.mark.parametrize("name", INPUTS)
async def test_every_kind_of_original(confined: Confined, name: str) -> None:
    await confined.check(INPUTS[name], CATALOGUE.plan([step("resize", width=80)]))


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif", "gif", "heif"])
async def test_every_format(confined: Confined, form: str) -> None:
    await confined.check(SCENE, CATALOGUE.plan([step("convert", format=form)]))


async def test_dear_results_are_made_where_dear_work_waits(confined: Confined) -> None:
    """No header tells it; it is known as soon as the size of the result is."""
    before = confined.pool.counts["heavy"]
    await confined.check(
        SCENE, CATALOGUE.plan([step("resize", width=1300), step("convert", format="gif")])
    )
    assert confined.pool.counts["heavy"] == before + 1


async def test_what_takes_too_much_memory_is_refused_and_costs_nobody_else_anything() -> None:
    greedy = pictures.file(pictures.scene(3000, 3000), "jpeg", progressive=True)
    plan = CATALOGUE.plan([step("resize", width=2900), step("convert", format="png")])
    settings = RenderConfig(processes=1, max_memory_bytes=64 * 1024 * 1024)
    async with Renderers(settings) as renderers:
        pool = Pool(renderers.directory, queue_seconds=60)
        order = render_order(Outfit(Limits()), plan, None, {})
        with pytest.raises(ImageTooLarge, match="memory"):
            await pool.run(RENDER, order, [SharedBuffer.of(greedy)], seconds=60)
        modest = render_order(Outfit(Limits()), Plan(), None, {})
        assert (await pool.run(RENDER, modest, [SharedBuffer.of(SCENE)], seconds=60)).rendition.body
