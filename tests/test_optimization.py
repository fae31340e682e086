"""Renditions that are requested often are replaced by smaller ones that look the same."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from origin_server import OriginServer
from pictures import encode, plain
from PIL import Image
from render_processes import wait_until
from service_fixture import ServiceHarness

from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.store import All, ByTag
from proxy.errors import DeadlineExceeded
from proxy.formats import FormatName
from proxy.image_request import ImageRequest
from proxy.operations.convert import Convert
from proxy.operations.plan import Plan
from proxy.operations.resize import Resize
from proxy.originals import SourceRef
from proxy.render.config import OptimizationConfig
from proxy.render.tasks import RenderRequest
from proxy.service import ImageResult

pytestmark = pytest.mark.anyio

PORTRAIT = Path(__file__).parent / "photographs" / "portrait.jpg"
PHOTO = encode(np.asarray(Image.open(PORTRAIT)), "webp", quality=95)
HEADERS = {
    "Cache-Control": "max-age=600, immutable",
    "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT",
}


@pytest.fixture
async def popular(tmp_path: Path) -> AsyncIterator[ServiceHarness]:
    harness = ServiceHarness(tmp_path / "cache", optimization=OptimizationConfig("popular"))
    yield harness
    await harness.close()


async def get(
    harness: ServiceHarness, url: str, accepted: Sequence[FormatName] = ("webp",), *, times: int = 1
) -> ImageResult:
    """The last of so many answers, after which nothing is being optimized."""
    operations = (Resize(width_in_px=80), Convert("auto"))
    request = ImageRequest(SourceRef(url), Plan(operations, tuple(accepted)))
    for _ in range(times):
        result = await harness.service.get_or_render(request)
    await wait_until(lambda: not len(harness.optimizer))
    return result


async def test_from_the_third_request_on_a_smaller_file_takes_the_place(
    popular: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO, headers=HEADERS)
    first = await get(popular, url, times=2)
    assert not popular.optimizer.outcomes
    assert (await get(popular, url)).etag == first.etag
    better = await get(popular, url)
    assert popular.optimizer.outcomes == {"improved": 1}
    assert len(better.rendition.body) < len(first.rendition.body)
    assert popular.optimizer.saved_bytes == len(first.rendition.body) - len(better.rendition.body)
    assert (better.rendition.format, better.rendition.size) == ("webp", first.rendition.size)
    assert (first.optimization, better.optimization) == ("pending", "done")
    assert better.etag != first.etag
    assert origin.count("/a.jpg") == 1


async def test_the_first_answer_is_kept_for_a_minute_and_the_better_one_for_long(
    popular: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO, headers=HEADERS)
    first, better = await get(popular, url, times=3), await get(popular, url)
    assert 0 < first.ttl - first.age <= 60
    assert better.ttl == 600
    assert (first.directives.immutable, better.directives.immutable) == (False, True)


async def test_the_date_of_the_original_is_no_validator_of_the_better_file(
    popular: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO, headers=HEADERS)
    first, better = await get(popular, url, times=3), await get(popular, url)
    assert first.last_modified == HEADERS["Last-Modified"]
    assert not better.last_modified


async def test_hits_that_are_served_from_memory_count(
    popular: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    hit = await get(popular, url, times=2)
    assert hit.is_current is not None
    assert not hit.is_current()  # the third request goes the full path
    assert not popular.optimizer.outcomes
    await get(popular, url)
    assert popular.optimizer.outcomes == {"improved": 1}


async def test_nothing_is_replaced_by_default(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO, headers=HEADERS)
    result = await get(harness, url, times=5)
    assert (result.optimization, result.ttl) == ("", 600)
    assert not harness.optimizer.outcomes
    assert harness.pool.render_count == 1


async def test_with_all_the_first_request_is_enough(tmp_path: Path, origin: OriginServer) -> None:
    harness = ServiceHarness(tmp_path, optimization=OptimizationConfig("all"))
    await get(harness, origin.serve("/a.jpg", PHOTO))
    assert harness.optimizer.outcomes == {"improved": 1}
    await harness.close()


async def test_avif_takes_the_place_of_webp_only_for_who_accepts_it(
    tmp_path: Path, origin: OriginServer
) -> None:
    config = OptimizationConfig("popular", webp_first=True)
    harness = ServiceHarness(tmp_path, optimization=config)
    url = origin.serve("/a.jpg", PHOTO)
    classes: tuple[tuple[tuple[FormatName, ...], FormatName], ...] = (
        (("avif", "webp"), "avif"),
        (("webp",), "webp"),
        ((), "jpeg"),
    )
    for accepted, expected in classes:
        first, better = (
            await get(harness, url, accepted, times=3),
            await get(harness, url, accepted),
        )
        assert first.rendition.format == ("webp" if accepted else "jpeg")
        assert better.rendition.format == expected
        assert len(better.rendition.body) < len(first.rendition.body) or expected == "jpeg"
    await harness.close()


async def test_what_cannot_be_made_smaller_is_tried_once(
    popular: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", encode(plain(120, 80)), headers=HEADERS)
    first, again = await get(popular, url, (), times=3), await get(popular, url, (), times=5)
    assert popular.optimizer.outcomes == {"unchanged": 1}
    assert (again.etag, again.optimization, again.ttl) == (first.etag, "", 600)
    assert again.rendition == first.rendition


async def test_what_takes_too_long_is_tried_once(
    popular: ServiceHarness, origin: OriginServer
) -> None:
    def fail_optimizations(argument: object) -> None:
        if isinstance(argument, RenderRequest) and argument.optimize_from is not None:
            raise DeadlineExceeded("out of CPU time")

    popular.pool.on_argument = fail_optimizations
    url = origin.serve("/a.jpg", PHOTO)
    first, again = await get(popular, url, (), times=3), await get(popular, url, (), times=5)
    assert popular.optimizer.outcomes == {"failed": 1}
    assert again.rendition == first.rendition


@pytest.mark.parametrize("soft", [False, True])
async def test_a_purge_while_the_better_file_is_made_wins(
    tmp_path: Path, popular: ServiceHarness, origin: OriginServer, soft: bool
) -> None:
    url = origin.serve("/a.jpg", PHOTO, headers=HEADERS)
    await get(popular, url, times=2)

    async def purge() -> None:
        popular.pool.on_run = None
        other = DiskStore(CacheConfig(dir=str(tmp_path / "cache")), clock=popular.clock)
        await other.purge(ByTag(f"source:{url}"), soft=soft)
        await other.close()

    popular.pool.on_run = purge
    await get(popular, url)
    assert popular.optimizer.outcomes == {"skipped": 1}
    assert (await get(popular, url)).state == ("stale" if soft else "miss")


async def test_the_better_file_has_the_tags_of_all_links(
    popular: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    for tag in ("tag:a", "tag:b", "tag:b", "tag:b"):
        await popular.get(url, 120, tag)
        await wait_until(lambda: not len(popular.optimizer))
    assert popular.optimizer.outcomes == {"improved": 1}
    for tag in ("tag:a", "tag:b"):
        assert (await popular.store.purge(ByTag(tag)))["rendition"] == (tag == "tag:a")


async def test_what_is_to_be_refreshed_is_not_optimized(
    popular: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    await get(popular, url, times=2)
    await popular.store.purge(All(), soft=True)
    await get(popular, url)
    assert popular.optimizer.outcomes == {"skipped": 1}


async def test_workers_replace_a_rendition_once(tmp_path: Path, origin: OriginServer) -> None:
    config = OptimizationConfig("all")
    two = [ServiceHarness(tmp_path, optimization=config) for _ in range(2)]
    url = origin.serve("/a.jpg", PHOTO)
    await asyncio.gather(*(get(harness, url) for harness in two))
    outcomes = two[0].optimizer.outcomes + two[1].optimizer.outcomes
    assert outcomes["improved"] == 1
    assert sum(harness.pool.render_count for harness in two) == 2
    for harness in two:
        await harness.close()
