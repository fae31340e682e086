"""Several links, machines and moments share renditions: what one says does not show in another."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2 as httpx
import pictures
import pytest
from live_server import LiveServer
from origin_server import OriginServer
from service_fixture import ServiceHarness

from proxy.links.dialect import DialectContext
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry
from proxy.service import ImageResult

pytestmark = pytest.mark.anyio

PHOTO = pictures.encode(pictures.scene(1600, 1200), "jpeg", quality=92)
LINKS = DialectContext(OperationRegistry(OPERATIONS))


def test_tags_of_one_link_do_not_show_in_the_headers_of_another(
    client: httpx.Client, server: LiveServer
) -> None:
    source = server.origin.serve(
        "/tagged.png", pictures.encode(pictures.scene(40, 30)), headers={"Cache-Tag": "shop"}
    )
    client.get(f"/_/resize:20/tag:customer-7/{source}").raise_for_status()
    for _ in range(2):
        other = client.get(f"/_/resize:20/tag:mine/{source}")
        for header in ("cache-tag", "surrogate-key"):
            assert "customer-7" not in other.headers[header]
            assert "mine" in other.headers[header]
            assert "shop" in other.headers[header]


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[list[ServiceHarness]]:
    three = [ServiceHarness(tmp_path / name) for name in ("a", "b", "c")]
    yield three
    for harness in three:
        await harness.close()


async def get(harness: ServiceHarness, url: str, *steps: str) -> ImageResult:
    return await harness.service.get_or_render(LINKS.make_request(url, steps))


async def test_a_link_has_one_etag_on_every_machine_whatever_was_requested_beside_it(
    machines: list[ServiceHarness], origin: OriginServer
) -> None:
    alone, busy, later = machines
    url = origin.serve("/a.jpg", PHOTO)
    first = await get(alone, url, "resize:100:100")
    shared = await asyncio.gather(*(get(busy, url, f"resize:{side}:{side}") for side in (100, 300)))
    assert busy.pool.run_counts["decode"] == 1
    assert first.etag == shared[0].etag != shared[1].etag
    assert first.etag.startswith('W/"')
    other = origin.serve("/a.jpg", pictures.encode(pictures.scene(1600, 1199), "jpeg"))
    assert (await get(later, other, "resize:100:100")).etag != first.etag


def test_parts_of_two_versions_are_never_joined(client: httpx.Client, server: LiveServer) -> None:
    source = server.origin.serve("/ranges.png", pictures.encode(pictures.scene(40, 30)))
    link = f"/_/resize:20/{source}"
    whole = client.get(link)
    etag = whole.headers["etag"]
    part = client.get(link, headers={"Range": "bytes=10-19", "If-Range": etag})
    assert (part.status_code, part.content) == (200, whole.content)
    assert client.get(link, headers={"If-None-Match": etag}).status_code == 304
    assert client.get(link, headers={"If-None-Match": etag[2:]}).status_code == 304
