"""The order of things, from a real origin to a real cache; only the renderer is in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from origin_server import Origin
from pictures import file, scene, square
from render_processes import until
from service_fixture import RULES, World

from proxy.cache.disk import CacheConfig, DiskStore
from proxy.cache.freshness import FreshnessConfig
from proxy.cache.negative import Refusals
from proxy.cache.store import Everything, Labelled, Prefixed, Store
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
from proxy.image_request import ImageRequest
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation, Plan
from proxy.operations.resize import Resize
from proxy.originals import SourceRef

pytestmark = pytest.mark.anyio

ONE, OTHER = file(scene()), file(square(400, 300, 10, 10, 50))
LIVES = {"Cache-Control": "max-age=600", "ETag": '"1"'}


@asynccontextmanager
async def elsewhere(folder: Path, clock: Callable[[], float]) -> AsyncIterator[Store]:
    """The same cache in another worker."""
    store = DiskStore(CacheConfig(dir=str(folder)), clock=clock)
    yield store
    await store.close()


def conditional(origin: Origin, path: str, body: bytes, etag: str = '"1"') -> str:
    """A source that answers 304 to who has what it has."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(body=body, headers={"Cache-Control": "max-age=600", "ETag": etag})

    return origin.handle(path, answer)


async def test_three_sizes_are_one_fetch(world: World, origin: Origin) -> None:
    url = origin.serve("/a.png", ONE)
    answers = await asyncio.gather(*(world.ask(url, width) for width in (20, 40, 60)))
    assert [answer.rendition.size.width for answer in answers] == [20, 40, 60]
    assert {answer.state for answer in answers} == {"miss"}
    assert origin.count("/a.png") == 1


async def test_fresh_answers_ask_nobody(world: World, origin: Origin) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    assert await world.states(url, url) == ["miss", "hit"]
    world.now += 599
    answer = await world.ask(url)
    assert (answer.state, int(answer.age), answer.ttl) == ("hit", 599, 600)
    assert (origin.count("/a.png"), world.pool.rendered) == (1, 1)


async def test_an_answer_may_be_given_again_until_anybody_changes_what_it_rests_on(
    world: World, origin: Origin, tmp_path: Path
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    await world.ask(url)
    async with elsewhere(tmp_path / "cache", world.clock) as other:
        for purge in (Labelled(f"source:{url}"), Everything()):
            await world.ask(url)
            answer = await world.ask(url)
            assert answer.state == "hit"
            assert answer.is_current is not None
            assert answer.is_current()
            await other.purge(purge, soft=True)
            assert not answer.is_current()


async def test_one_304_renews_all_sizes_without_a_pixel(world: World, origin: Origin) -> None:
    url = conditional(origin, "/a.png", ONE)
    for width in (20, 40, 60):
        await world.ask(url, width)
    world.now += 601
    assert (await world.ask(url, 20)).state == "stale"
    for width in (20, 40, 60):
        answer = await world.ask(url, width)
        assert (answer.state, int(answer.age)) == ("hit", 0)
    assert (origin.count("/a.png"), world.pool.rendered) == (2, 3)


async def test_the_old_answer_is_there_at_once_however_slow_the_source(
    world: World, origin: Origin
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    await world.ask(url)
    world.now += 601
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.BaseRequest) -> web.StreamResponse:
        asked.set()
        await go_on.wait()
        return web.Response(body=OTHER, headers=LIVES)

    origin.handle("/a.png", slow)
    job = ImageRequest(SourceRef(url), Plan((Resize(width_in_px=40),)))
    old = [await world.service.get_or_render(job) for _ in range(20)]
    await asked.wait()
    old += [await world.service.get_or_render(job) for _ in range(20)]
    assert {answer.state for answer in old} == {"stale"}
    go_on.set()
    await until(lambda: not world.service._refresh)
    new = await world.ask(url)
    assert (new.state, new.etag != old[0].etag) == ("hit", True)
    assert origin.count("/a.png") == 2


async def test_a_changed_original_is_fetched_once_for_all_sizes(
    world: World, origin: Origin
) -> None:
    url = conditional(origin, "/a.png", ONE)
    old = [(await world.ask(url, width)).etag for width in (20, 40)]
    conditional(origin, "/a.png", OTHER, '"2"')
    world.now += 601
    first = [await world.ask(url, width) for width in (20, 40)]
    assert [answer.state for answer in first] == ["stale", "stale"]
    assert [answer.etag for answer in first] == old
    second = [await world.ask(url, width) for width in (20, 40)]
    assert [answer.state for answer in second] == ["hit", "hit"]
    assert not {answer.etag for answer in second} & set(old)
    assert (origin.count("/a.png"), world.pool.rendered) == (2, 4)


async def test_a_source_that_is_down_does_not_show(world: World, origin: Origin) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    await world.ask(url)
    origin.serve("/a.png", status=500)
    world.now += 601
    assert await world.states(url, url, url) == ["stale", "stale", "stale"]
    assert origin.count("/a.png") == 2
    world.now += 6
    assert await world.states(url) == ["stale"]
    assert origin.count("/a.png") == 3
    world.now += 5000
    with pytest.raises(SourceFailed):
        await world.ask(url)
    origin.serve("/a.png", ONE, headers=LIVES)
    world.now += 60
    assert await world.states(url, url) == ["miss", "hit"]
    assert world.pool.rendered == 1


async def test_another_size_of_a_source_that_is_down_is_made_of_what_is_kept(
    world: World, origin: Origin
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    await world.ask(url, 20)
    origin.serve("/a.png", status=500)
    world.now += 601
    assert [(await world.ask(url, width)).state for width in (40, 60)] == ["miss", "miss"]
    assert origin.count("/a.png") == 2
    world.now += 5001
    with pytest.raises(SourceFailed):
        await world.ask(url, 80)


async def test_a_source_that_is_down_when_asked_first(world: World, origin: Origin) -> None:
    url = origin.serve("/a.png", status=500)
    for _ in range(3):
        with pytest.raises(SourceFailed, match="500"):
            await world.ask(url)
    assert origin.count("/a.png") == 1
    origin.serve("/a.png", ONE)
    world.now += 6
    assert await world.states(url) == ["miss"]


async def test_what_is_kept_stands_in_where_old_answers_are_not_given_at_once(
    tmp_path: Path, origin: Origin
) -> None:
    world = World(tmp_path / "cache", FreshnessConfig(stale_while_revalidate=0, ttl_jitter=0))
    url = conditional(origin, "/a.png", ONE)
    await world.ask(url)
    world.now += 601
    assert await world.states(url, url) == ["miss", "hit"]
    assert world.pool.rendered == 1
    world.now += 601
    origin.serve("/a.png", status=503)
    assert await world.states(url) == ["stale"]
    world.now += 6
    origin.serve("/a.png", status=403)
    with pytest.raises(SourceDenied):
        await world.ask(url)
    await world.store.close()
    await world.dialer.close()


@pytest.mark.parametrize(("status", "error"), [(404, SourceNotFound), (403, SourceDenied)])
async def test_what_the_source_took_back_is_not_hidden(
    world: World, origin: Origin, status: int, error: type[Exception]
) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)
    await world.ask(url)
    origin.serve("/a.png", status=status)
    world.now += 601
    assert await world.states(url) == ["stale"]
    for _ in range(3):
        with pytest.raises(error, match=str(status)):
            await world.ask(url)
    assert origin.count("/a.png") == 2
    origin.serve("/a.png", ONE, headers=LIVES)
    world.now += 11
    assert await world.states(url, url) == ["miss", "hit"]
    assert world.pool.rendered == 1


async def test_a_purge_by_source_takes_all_that_was_made_of_it(
    world: World, origin: Origin
) -> None:
    url, near = origin.serve("/u/a.png", ONE), origin.serve("/u/a.png2", OTHER)
    for width in (20, 40, 60):
        await world.ask(url, width)
    await world.ask(near)
    counts = await world.store.purge(Labelled(f"source:{url}"))
    assert (counts["rendition"], counts["original"], counts["record"]) == (3, 1, 1)
    assert await world.states(near, url) == ["hit", "miss"]
    assert origin.count("/u/a.png") == 2
    counts = await world.store.purge(Prefixed(f"source:{origin.url('/u/')}"))
    assert (counts["rendition"], counts["original"]) == (2, 2)


async def test_a_soft_purge_asks_once_behind_the_old_answers(world: World, origin: Origin) -> None:
    url = conditional(origin, "/a.png", ONE)
    for width in (20, 40):
        await world.ask(url, width)
    await world.store.purge(Everything(), soft=True)
    assert [(await world.ask(url, width)).state for width in (20, 20, 40)] == [
        "stale",
        "hit",
        "hit",
    ]
    assert (origin.count("/a.png"), world.pool.rendered) == (2, 2)


async def test_a_soft_purge_of_a_rendition_alone_is_renewed_too(
    world: World, origin: Origin
) -> None:
    url = conditional(origin, "/a.png", ONE)
    await world.ask(url, 20, "preset:small")
    assert (await world.store.purge(Labelled("preset:small"), soft=True))["record"] == 0
    assert [(await world.ask(url, 20)).state for _ in range(2)] == ["stale", "hit"]
    assert origin.count("/a.png") == 2


async def test_tags_of_the_source_and_of_every_link_purge(world: World, origin: Origin) -> None:
    url = origin.serve("/a.png", ONE, headers={"Cache-Tag": "shop, sale"})
    first = await world.ask(url, 40, "tag:first")
    second = await world.ask(url, 40, "tag:second")
    assert first.labels == (f"source:{url}", "tag:shop", "tag:sale", "tag:first")
    assert set(second.labels) == {*first.labels, "tag:second"}
    for tag in ("shop", "first", "second"):
        assert (await world.store.purge(Labelled(f"tag:{tag}")))["rendition"] == 1
        await world.ask(url, 40, "tag:first")
        await world.ask(url, 40, "tag:second")


async def test_what_was_purged_while_it_was_made_is_not_kept(world: World, origin: Origin) -> None:
    url = origin.serve("/a.png", ONE, headers=LIVES)

    async def purge() -> None:
        world.pool.during = None
        await world.store.purge(Labelled(f"source:{url}"))

    world.pool.during = purge
    assert await world.states(url, url) == ["miss", "miss"]
    assert origin.count("/a.png") == 2


class Beside(Operation, frozen=True):
    """Needs a second picture."""

    other: str

    def apply(self, picture: Picture) -> Picture:
        return picture

    def also(self) -> tuple[SourceRef, ...]:
        return (SourceRef(self.other),)


async def test_a_second_image_counts_like_the_first(world: World, origin: Origin) -> None:
    url = conditional(origin, "/a.png", ONE)
    mark = conditional(origin, "/mark.png", OTHER)
    job = ImageRequest(SourceRef(url), Plan((Beside(other=mark),)))

    async def state() -> str:
        answer = await world.service.get_or_render(job)
        await until(lambda: not world.service._refresh)
        return answer.state

    assert [await state(), await state()] == ["miss", "hit"]
    conditional(origin, "/mark.png", ONE, '"2"')
    world.now += 601
    assert [await state(), await state()] == ["stale", "hit"]
    assert world.pool.rendered == 2
    assert (await world.store.purge(Labelled(f"source:{mark}")))["rendition"] == 1
    assert await state() == "miss"


BROKEN = file(scene(), "jpeg")[:2000] + b"\xff\xd9"


async def refusals(world: World, *urls: str, width: int = 40) -> list[str]:
    said = []
    for url in urls:
        with pytest.raises(BrokenImage) as raised:
            await world.ask(url, width)
        said.append(str(raised.value))
    return said


async def test_a_broken_original_is_found_out_once_in_a_while(world: World, origin: Origin) -> None:
    url = origin.serve("/a.jpg", BROKEN, headers=LIVES)
    same = origin.serve("/same.jpg", BROKEN, headers=LIVES)
    assert len(set(await refusals(world, url, url, same, url))) == 1
    assert world.pool.rendered == 1
    await refusals(world, url, url, width=60)
    assert world.pool.rendered == 2
    world.now += RULES.negative_ttl
    await refusals(world, url, url)
    assert world.pool.rendered == 3


async def test_a_mended_original_is_a_picture_at_once(world: World, origin: Origin) -> None:
    url = origin.serve("/a.jpg", BROKEN)
    await refusals(world, url, url)
    origin.serve("/a.jpg", ONE)
    await world.store.purge(Labelled(f"source:{url}"))
    assert (await world.ask(url)).state == "miss"
    assert world.pool.rendered == 2


async def test_a_question_about_a_broken_original_is_asked_once(
    world: World, origin: Origin
) -> None:
    url = origin.serve("/a.jpg", BROKEN, headers=LIVES)
    for _ in range(3):
        with pytest.raises(BrokenImage):
            await world.service.detect(SourceRef(url))
    assert world.pool.asked == 1


@pytest.mark.parametrize("failure", [Overloaded, DeadlineExceeded, RenderFailed])
async def test_what_may_go_well_next_time_is_tried_again(
    world: World, origin: Origin, failure: type[CapacityError]
) -> None:
    url = origin.serve("/a.png", ONE)

    async def fail() -> None:
        world.pool.during = None
        raise failure("not now")

    world.pool.during = fail
    with pytest.raises(failure):
        await world.ask(url)
    assert (await world.ask(url)).state == "miss"


def test_refusals_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Refusals(10, lambda: 0.0)
    monkeypatch.setattr("proxy.cache.negative.MOST", 3)
    found_out = []

    def refuse(original: str) -> None:
        with known.believed("wish", [original]):
            found_out.append(original)
            raise BrokenImage("it is broken")

    for original in "abcdacda":
        with pytest.raises(BrokenImage, match="it is broken"):
            refuse(original)

    assert found_out == list("abcda")
    assert len(known) == 3
