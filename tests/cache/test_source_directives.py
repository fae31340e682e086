"""What a source says in Cache-Control, as a shared cache follows it (RFC 9111)."""

import pytest
from aiohttp import web
from origin_server import OriginServer
from pictures import encode, gradient
from service_fixture import ServiceHarness

from proxy.errors import SourceFailed

pytestmark = pytest.mark.anyio

IMAGE = encode(gradient(60, 40))
OTHER = encode(gradient(80, 40))


def serve(
    origin: OriginServer, control: str, body: bytes = IMAGE, path: str = "/a.png", **more: str
) -> str:
    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        headers = {"Cache-Control": control, "ETag": f'"{len(body)}"', **more}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    return origin.handle(path, respond)


@pytest.mark.parametrize("control", ["private, max-age=600", "no-store, max-age=600"])
async def test_what_must_not_be_stored_is_not(
    harness: ServiceHarness, origin: OriginServer, control: str
) -> None:
    url = serve(origin, control)
    assert await harness.states(url, url) == ["miss", "miss"]
    assert origin.count("/a.png") == 2
    assert not any("if-none-match" in request.headers for request in origin.requests)
    stats = await harness.store.stats()
    assert [stats[kind].entries for kind in ("original", "rendition", "record")] == [0, 0, 0]


async def test_what_was_stored_is_removed_once_it_must_not_be(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = serve(origin, "max-age=600")
    assert await harness.states(url, url) == ["miss", "hit"]
    serve(origin, "private")
    harness.now += 700
    await harness.get(url)
    assert (await harness.get(url)).state == "miss"
    stats = await harness.store.stats()
    assert [stats[kind].entries for kind in ("original", "rendition", "record")] == [0, 0, 0]


async def test_no_cache_is_validated_for_each_request_and_rendered_once(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = serve(origin, "no-cache")
    for _ in range(3):
        await harness.get(url)
    assert origin.count("/a.png") == 3
    assert harness.pool.render_count == 1
    serve(origin, "no-cache", OTHER)
    assert (await harness.get(url, 80)).rendition.size.height == 40
    assert (await harness.get(url)).rendition.size.height == 20


@pytest.mark.parametrize(
    "control", ["no-cache", "max-age=60, must-revalidate", "proxy-revalidate, s-maxage=60"]
)
async def test_what_must_be_revalidated_is_not_served_while_the_source_is_down(
    harness: ServiceHarness, origin: OriginServer, control: str
) -> None:
    url = serve(origin, control)
    await harness.get(url)
    origin.serve("/a.png", status=500)
    harness.now += 90_000
    with pytest.raises(SourceFailed):
        await harness.get(url)
    with pytest.raises(SourceFailed):
        await harness.get(url, 30)


async def test_a_changed_original_is_seen_at_once_where_it_must_be_revalidated(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = serve(origin, "max-age=60, must-revalidate")
    await harness.get(url)
    serve(origin, "max-age=60, must-revalidate", OTHER)
    harness.now += 59
    assert (await harness.get(url)).state == "hit"
    harness.now += 2
    assert (await harness.get(url)).rendition.size.height == 20


async def test_the_source_says_how_long_stale_results_are_served(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = serve(origin, "max-age=60, stale-while-revalidate=30, stale-if-error=100")
    await harness.get(url)
    origin.serve("/a.png", status=500)
    harness.now += 89
    assert (await harness.get(url)).state == "stale"
    harness.now += 60
    assert (await harness.get(url)).state == "stale"
    harness.now += 60
    with pytest.raises(SourceFailed):
        await harness.get(url)


async def test_a_304_may_change_the_directives(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = serve(origin, "no-cache")
    await harness.get(url)
    serve(origin, "max-age=600")
    assert (await harness.get(url)).ttl == 600
    assert (await harness.get(url)).state == "hit"


async def test_what_is_made_with_a_private_image_is_private(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    private = await harness.get(serve(origin, "private, max-age=60"))
    public = await harness.get(serve(origin, "max-age=60", path="/b.png"))
    assert private.directives.is_private
    assert not public.directives.is_private
