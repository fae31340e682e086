"""The service from a real origin to a real cache; only renders run in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from origin_server import OriginServer
from pictures import encode, red_square, scene
from render_processes import wait_until
from service_fixture import FRESHNESS, ServiceHarness

from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.freshness import FreshnessConfig
from proxy.cache.negative import NegativeCache
from proxy.cache.store import All, ByTag, ByTagPrefix, Store
from proxy.errors import (
    BrokenImage,
    CapacityError,
    DeadlineExceeded,
    Overloaded,
    RenderFailed,
    SourceDenied,
    SourceFailed,
    SourceNotFound,
)
from proxy.geometry import Size, largest_window
from proxy.image_request import ImageRequest
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.operations.plan import Plan
from proxy.operations.resize import Resize
from proxy.originals import SourceRef
from proxy.render.admission import AdmissionQueue, Place
from proxy.render.tasks import DetectRequest
from proxy.runtime.caller import Caller, Deadline, current_caller, serving

pytestmark = pytest.mark.anyio

ONE, OTHER = encode(scene()), encode(red_square(400, 300, 10, 10, 50))
LIVES = {"Cache-Control": "max-age=600", "ETag": '"1"'}


@asynccontextmanager
async def other_worker(folder: Path, clock: Callable[[], float]) -> AsyncIterator[Store]:
    """The same cache in another worker."""
    store = DiskStore(CacheConfig(dir=str(folder), disk_timeout_seconds=60), clock=clock)
    yield store
    await store.close()


def conditional(origin: OriginServer, path: str, body: bytes, etag: str = '"1"') -> str:
    """Serve a source that responds 304 to a request with this ETag."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(body=body, headers={"Cache-Control": "max-age=600", "ETag": etag})

    return origin.handle(path, respond)


async def test_three_sizes_share_one_fetch(harness: ServiceHarness, origin: OriginServer) -> None:
    url = origin.serve("/a.png", ONE)
    results = await asyncio.gather(*(harness.get(url, width) for width in (20, 40, 60)))
    assert [result.rendition.size.width for result in results] == [20, 40, 60]
    assert {result.state for result in results} == {"miss"}
    assert origin.count("/a.png") == 1


class BusyPool:
    """Lets the renders of a harness wait in a line that stands still until the test moves it."""

    def __init__(self, harness: ServiceHarness) -> None:
        self.line = AdmissionQueue(1)
        self.entered_at = 0.0
        self.waiting = 0
        harness.pool.on_run = self.wait_for_turn

    async def block(self) -> None:
        self.entered_at = await self.line.enter(Caller("other", Deadline()))

    def move(self) -> None:
        self.line.leave(self.entered_at)

    async def wait_for_turn(self) -> None:
        caller = current_caller()
        self.waiting += 1
        with Place(self.line, caller) as place, caller.deadline.waiting(place.timeout_error):
            await place.take()


async def get_within(harness: ServiceHarness, url: str, seconds: float) -> str:
    with serving(Caller("test", Deadline(seconds))):
        request = ImageRequest(SourceRef(url), Plan((Resize(width_in_px=40),)))
        return (await harness.service.get_or_render(request)).state


IN_QUEUE_SECONDS = 3.0
"""Enough to fetch the original and to reach the queue, also on a busy machine."""


async def test_a_deadline_that_passes_in_the_queue_says_when_to_try_again(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", ONE)
    pool = BusyPool(harness)
    await pool.block()
    with pytest.raises(Overloaded, match=r"render queue timeout.*may take 3 s") as raised:
        await get_within(harness, url, IN_QUEUE_SECONDS)
    assert raised.value.retry_after >= 1
    await wait_until(lambda: not len(pool.line))


async def test_a_deadline_that_passes_at_work_says_so(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", ONE)
    harness.pool.on_run = asyncio.Event().wait
    with pytest.raises(DeadlineExceeded, match=r"exceeded after 0\.2 s"):
        await get_within(harness, url, 0.2)


@pytest.mark.parametrize("patient_first", [True, False])
async def test_a_patient_caller_gets_what_an_impatient_one_did_not_wait_for(
    harness: ServiceHarness, origin: OriginServer, patient_first: bool
) -> None:
    url = origin.serve("/a.png", ONE)
    pool = BusyPool(harness)
    await pool.block()
    seconds = (60.0, IN_QUEUE_SECONDS) if patient_first else (IN_QUEUE_SECONDS, 60.0)
    calls = [asyncio.create_task(get_within(harness, url, each)) for each in seconds]
    patient, impatient = calls if patient_first else reversed(calls)
    await asyncio.wait([impatient])
    assert isinstance(impatient.exception(), Overloaded)
    assert (pool.waiting, len(pool.line)) == (1, 1)
    pool.move()
    assert await patient == "miss"
    assert harness.pool.render_count == 1


async def test_a_fresh_result_needs_no_request_to_the_source(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    assert await harness.states(url, url) == ["miss", "hit"]
    harness.now += 599
    result = await harness.get(url)
    assert (result.state, int(result.age), result.ttl) == ("hit", 599, 600)
    assert (origin.count("/a.png"), harness.pool.render_count) == (1, 1)


async def test_a_result_is_current_until_another_worker_purges_it(
    harness: ServiceHarness, origin: OriginServer, tmp_path: Path
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    await harness.get(url)
    async with other_worker(tmp_path / "cache", harness.clock) as other:
        for purge in (ByTag(f"source:{url}"), All()):
            await harness.get(url)
            result = await harness.get(url)
            assert result.state == "hit"
            assert result.is_current is not None
            assert result.is_current()
            await other.purge(purge, soft=True)
            assert not result.is_current()


async def test_another_worker_waits_for_what_is_not_written_yet(
    origin: OriginServer, tmp_path: Path
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    one, other = (ServiceHarness(tmp_path / "both", max_pending_bytes=10_000_000) for _ in range(2))
    await one.get(url)
    results = await asyncio.gather(one.get(url, 20), other.get(url, 20), other.get(url, 30))
    assert {result.rendition.size.width for result in results} == {20, 30}
    assert [(await worker.get(url, 20)).state for worker in (one, other)] == ["hit", "hit"]
    assert origin.count("/a.png") == 1
    assert one.pool.render_count + other.pool.render_count == 3
    await one.close()
    await other.close()


async def test_one_304_renews_all_sizes_without_a_render(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = conditional(origin, "/a.png", ONE)
    for width in (20, 40, 60):
        await harness.get(url, width)
    harness.now += 601
    assert (await harness.get(url, 20)).state == "stale"
    for width in (20, 40, 60):
        result = await harness.get(url, width)
        assert (result.state, int(result.age)) == ("hit", 0)
    assert (origin.count("/a.png"), harness.pool.render_count) == (2, 3)


async def test_a_stale_result_does_not_wait_for_a_slow_source(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    await harness.get(url)
    harness.now += 601
    requested, release = asyncio.Event(), asyncio.Event()

    async def slow(_: web.BaseRequest) -> web.StreamResponse:
        requested.set()
        await release.wait()
        return web.Response(body=OTHER, headers=LIVES)

    origin.handle("/a.png", slow)
    image_request = ImageRequest(SourceRef(url), Plan((Resize(width_in_px=40),)))
    old = [await harness.service.get_or_render(image_request) for _ in range(20)]
    await requested.wait()
    old += [await harness.service.get_or_render(image_request) for _ in range(20)]
    assert {result.state for result in old} == {"stale"}
    release.set()
    await wait_until(lambda: not harness.service._refresh)
    new = await harness.get(url)
    assert (new.state, new.etag != old[0].etag) == ("hit", True)
    assert origin.count("/a.png") == 2


async def test_a_changed_original_is_fetched_once_for_all_sizes(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = conditional(origin, "/a.png", ONE)
    old = [(await harness.get(url, width)).etag for width in (20, 40)]
    conditional(origin, "/a.png", OTHER, '"2"')
    harness.now += 601
    first = [await harness.get(url, width) for width in (20, 40)]
    assert [result.state for result in first] == ["stale", "stale"]
    assert [result.etag for result in first] == old
    second = [await harness.get(url, width) for width in (20, 40)]
    assert [result.state for result in second] == ["hit", "hit"]
    assert not {result.etag for result in second} & set(old)
    assert (origin.count("/a.png"), harness.pool.render_count) == (2, 4)


async def test_stale_results_are_served_while_the_source_is_down(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    await harness.get(url)
    origin.serve("/a.png", status=500)
    harness.now += 601
    assert await harness.states(url, url, url) == ["stale", "stale", "stale"]
    assert origin.count("/a.png") == 2
    harness.now += 6
    assert await harness.states(url) == ["stale"]
    assert origin.count("/a.png") == 3
    harness.now += 5000
    with pytest.raises(SourceFailed):
        await harness.get(url)
    origin.serve("/a.png", ONE, headers=LIVES)
    harness.now += 60
    assert await harness.states(url, url) == ["miss", "hit"]
    assert harness.pool.render_count == 1


async def test_another_size_is_made_of_the_cached_original_while_the_source_is_down(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    await harness.get(url, 20)
    origin.serve("/a.png", status=500)
    harness.now += 601
    assert [(await harness.get(url, width)).state for width in (40, 60)] == ["miss", "miss"]
    assert origin.count("/a.png") == 2
    harness.now += 5001
    with pytest.raises(SourceFailed):
        await harness.get(url, 80)


async def test_an_error_of_the_first_request_is_cached_during_the_backoff(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", status=500)
    for _ in range(3):
        with pytest.raises(SourceFailed, match="500"):
            await harness.get(url)
    assert origin.count("/a.png") == 1
    origin.serve("/a.png", ONE)
    harness.now += 6
    assert await harness.states(url) == ["miss"]


async def test_without_stale_while_revalidate_stale_results_are_served_on_errors_only(
    tmp_path: Path, origin: OriginServer
) -> None:
    harness = ServiceHarness(
        tmp_path / "cache", FreshnessConfig(stale_while_revalidate=0, ttl_jitter=0)
    )
    url = conditional(origin, "/a.png", ONE)
    await harness.get(url)
    harness.now += 601
    assert await harness.states(url, url) == ["miss", "hit"]
    assert harness.pool.render_count == 1
    harness.now += 601
    origin.serve("/a.png", status=503)
    assert await harness.states(url) == ["stale"]
    harness.now += 6
    origin.serve("/a.png", status=403)
    with pytest.raises(SourceDenied):
        await harness.get(url)
    await harness.store.close()
    await harness.http_client.close()


@pytest.mark.parametrize(("status", "error"), [(404, SourceNotFound), (403, SourceDenied)])
async def test_a_removed_original_becomes_an_error(
    harness: ServiceHarness, origin: OriginServer, status: int, error: type[Exception]
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    await harness.get(url)
    origin.serve("/a.png", status=status)
    harness.now += 601
    assert await harness.states(url) == ["stale"]
    for _ in range(3):
        with pytest.raises(error, match=str(status)):
            await harness.get(url)
    assert origin.count("/a.png") == 2
    origin.serve("/a.png", ONE, headers=LIVES)
    harness.now += 11
    assert await harness.states(url, url) == ["miss", "hit"]
    assert harness.pool.render_count == 1


async def test_a_purge_by_source_removes_all_that_was_made_of_it(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url, other_url = origin.serve("/u/a.png", ONE), origin.serve("/u/a.png2", OTHER)
    for width in (20, 40, 60):
        await harness.get(url, width)
    await harness.get(other_url)
    counts = await harness.store.purge(ByTag(f"source:{url}"))
    assert (counts["rendition"], counts["original"], counts["record"]) == (3, 1, 1)
    assert await harness.states(other_url, url) == ["hit", "miss"]
    assert origin.count("/u/a.png") == 2
    counts = await harness.store.purge(ByTagPrefix(f"source:{origin.url('/u/')}"))
    assert (counts["rendition"], counts["original"]) == (2, 2)


async def test_a_soft_purge_revalidates_once_in_the_background(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = conditional(origin, "/a.png", ONE)
    for width in (20, 40):
        await harness.get(url, width)
    await harness.store.purge(All(), soft=True)
    assert [(await harness.get(url, width)).state for width in (20, 20, 40)] == [
        "stale",
        "hit",
        "hit",
    ]
    assert (origin.count("/a.png"), harness.pool.render_count) == (2, 2)


async def test_a_soft_purge_of_a_rendition_alone_revalidates_too(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = conditional(origin, "/a.png", ONE)
    await harness.get(url, 20, "preset:small")
    assert (await harness.store.purge(ByTag("preset:small"), soft=True))["record"] == 0
    assert [(await harness.get(url, 20)).state for _ in range(2)] == ["stale", "hit"]
    assert origin.count("/a.png") == 2


async def test_tags_of_the_source_and_of_every_link_purge(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", ONE, headers={"Cache-Tag": "shop, sale"})
    first = await harness.get(url, 40, "tag:first")
    second = await harness.get(url, 40, "tag:second")
    assert first.tags == (f"source:{url}", "tag:shop", "tag:sale", "tag:first")
    assert second.tags == (f"source:{url}", "tag:shop", "tag:sale", "tag:second")
    for tag in ("shop", "first", "second"):
        assert (await harness.store.purge(ByTag(f"tag:{tag}")))["rendition"] == 1
        await harness.get(url, 40, "tag:first")
        await harness.get(url, 40, "tag:second")


async def test_a_rendition_that_was_purged_during_the_render_is_not_stored(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)

    async def purge() -> None:
        harness.pool.on_run = None
        await harness.store.purge(ByTag(f"source:{url}"))

    harness.pool.on_run = purge
    assert await harness.states(url, url) == ["miss", "miss"]
    assert origin.count("/a.png") == 2


class Beside(Operation, frozen=True):
    """Needs a second image."""

    other: str

    def apply(self, picture: Picture) -> Picture:
        return picture

    def extra_sources(self) -> tuple[SourceRef, ...]:
        return (SourceRef(self.other),)


async def test_a_second_image_counts_like_the_first(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = conditional(origin, "/a.png", ONE)
    mark = conditional(origin, "/mark.png", OTHER)
    image_request = ImageRequest(SourceRef(url), Plan((Beside(other=mark),)))

    async def state() -> str:
        result = await harness.service.get_or_render(image_request)
        await wait_until(lambda: not harness.service._refresh)
        return result.state

    assert [await state(), await state()] == ["miss", "hit"]
    conditional(origin, "/mark.png", ONE, '"2"')
    harness.now += 601
    assert [await state(), await state()] == ["stale", "hit"]
    assert harness.pool.render_count == 2
    assert (await harness.store.purge(ByTag(f"source:{mark}")))["rendition"] == 1
    assert await state() == "miss"


BROKEN = encode(scene(), "jpeg")[:2000] + b"\xff\xd9"


async def error_messages(harness: ServiceHarness, *urls: str, width: int = 40) -> list[str]:
    messages = []
    for url in urls:
        with pytest.raises(BrokenImage) as raised:
            await harness.get(url, width)
        messages.append(str(raised.value))
    return messages


async def test_a_broken_original_is_rendered_once_per_negative_ttl(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", BROKEN, headers=LIVES)
    same = origin.serve("/same.jpg", BROKEN, headers=LIVES)
    assert len(set(await error_messages(harness, url, url, same, url))) == 1
    assert harness.pool.render_count == 1
    await error_messages(harness, url, url, width=60)
    assert harness.pool.render_count == 2
    harness.now += FRESHNESS.negative_ttl
    await error_messages(harness, url, url)
    assert harness.pool.render_count == 3


async def test_a_repaired_original_is_rendered_at_once(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", BROKEN)
    await error_messages(harness, url, url)
    origin.serve("/a.jpg", ONE)
    await harness.store.purge(ByTag(f"source:{url}"))
    assert (await harness.get(url)).state == "miss"
    assert harness.pool.render_count == 2


async def test_a_broken_original_is_inspected_once(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", BROKEN, headers=LIVES)
    for _ in range(3):
        with pytest.raises(BrokenImage):
            await harness.service.detect(SourceRef(url))
    assert harness.pool.detect_count == 1


async def test_equal_descriptions_are_made_once(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    source = SourceRef(origin.serve("/a.png", ONE))
    square, both = (Size(1, 1),), (Size(1, 1), Size(5, 1))
    found = await asyncio.gather(
        *(harness.service.info(source, ratios) for ratios in (square, square, both))
    )
    assert harness.pool.run_counts == {"info": 2}
    assert [len(info.crops) for info, _ in found] == [1, 1, 2]
    assert found[0][0].crops == found[2][0].crops[:1]


async def test_crops_are_placed_from_the_detection_that_is_cached(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    source = SourceRef(origin.serve("/a.png", ONE))
    first = await harness.service.detect(source)
    seen: list[object] = []
    harness.pool.on_argument = seen.append
    again = await harness.service.detect(source, (Size(1, 1),))
    (argument,) = seen
    assert isinstance(argument, DetectRequest)
    assert argument.subject == again.subject == first.subject
    assert [crop.box.size for crop in again.crops] == [largest_window(first.size, Size(1, 1))]


@pytest.mark.parametrize("failure", [Overloaded, DeadlineExceeded, RenderFailed])
async def test_capacity_errors_are_not_cached(
    harness: ServiceHarness, origin: OriginServer, failure: type[CapacityError]
) -> None:
    url = origin.serve("/a.png", ONE)

    async def fail() -> None:
        harness.pool.on_run = None
        raise failure("not now")

    harness.pool.on_run = fail
    with pytest.raises(failure):
        await harness.get(url)
    assert (await harness.get(url)).state == "miss"


def test_the_negative_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = NegativeCache(10, lambda: 0.0)
    monkeypatch.setattr("proxy.cache.negative.MAX_ENTRIES", 3)
    rendered = []

    def render(original: str) -> None:
        with cache.guard("plan", [original]):
            rendered.append(original)
            raise BrokenImage("it is broken")

    for original in "abcdacda":
        with pytest.raises(BrokenImage, match="it is broken"):
            render(original)

    assert rendered == list("abcda")
    assert len(cache) == 3
