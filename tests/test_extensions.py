"""One of each kind of extension is added from outside and used through the running app."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from extension_examples import (
    PING,
    READER,
    DictStore,
    DrawnSource,
    RecordingCdn,
    ShortDialect,
    Stripe,
)
from PIL import Image
from starlette.routing import Router

from proxy.app import Extensions, create_app
from proxy.config import load
from proxy.errors import ConfigError
from proxy.operations import OPERATIONS
from proxy.smartcrop.registry import DetectorSpec

pytestmark = pytest.mark.anyio

PHOTOGRAPHS = Path(__file__).parent / "photographs"


@asynccontextmanager
async def running(
    folder: Path, extensions: Extensions, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    environment = {
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_ADMIN_KEYS": "admin",
        "FRAMEKEEP_CACHE_DIR": str(folder),
        "FRAMEKEEP_SOURCES_ALIASES": json.dumps({"photos": f"file://{PHOTOGRAPHS}"}),
        "FRAMEKEEP_RENDER_PROCESSES": "1",
        **{
            f"FRAMEKEEP_{name}": value if isinstance(value, str) else json.dumps(value)
            for name, value in settings.items()
        },
    }
    app = create_app(load(environment).settings, extensions=extensions)
    assert isinstance(app, Router)
    async with (
        app.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://test", timeout=60
        ) as client,
    ):
        yield client


def size(response: httpx.Response) -> tuple[int, int]:
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content)).size


async def test_an_operation_is_added(tmp_path: Path) -> None:
    async with running(tmp_path, Extensions(operations=[Stripe])) as client:
        assert size(await client.get("/_/stripe:7/photos:portrait.jpg")) == (256, 7)
        refused = await client.get("/_/stripe:700/photos:portrait.jpg")
        assert refused.status_code == 400
        assert "stripe: height_in_px" in refused.json()["detail"]


async def test_a_dialect_is_added_and_mounted_at_its_prefix(tmp_path: Path) -> None:
    extensions = Extensions(dialects={"short": ShortDialect})
    mounts = {"": "native", "s": "short"}
    async with running(tmp_path, extensions, LINKS_MOUNTS=mounts) as client:
        assert size(await client.get("/s/64/photos:portrait.jpg")) == (64, 96)
        native = await client.get("/_/resize:64/photos:portrait.jpg")
        assert size(native) == (64, 96)
        assert native.headers["x-cache"] == "hit"  # equal requests, one cache entry
        metrics = (await client.get("/metrics")).text
        assert 'framekeep_dialect_requests_total{dialect="short"} 1.0' in metrics
        assert 'framekeep_dialect_requests_total{dialect="native"} 1.0' in metrics
        assert (
            "dialect-short" in (await client.get("/s/64/photos:portrait.jpg")).headers["cache-tag"]
        )
        purge = await client.post(
            "/admin/purge", headers={"Authorization": "Bearer admin"}, json={"dialects": ["short"]}
        )
        assert purge.json()["entries"]["rendition"] == 1


async def test_native_keys_are_needed_only_where_native_links_are_served(tmp_path: Path) -> None:
    extensions = Extensions(dialects={"short": ShortDialect})
    closed = {"LINKS_ALLOW_UNSIGNED": False}
    async with running(tmp_path, extensions, **closed, LINKS_MOUNTS={"": "short"}) as client:
        assert size(await client.get("/64/photos:portrait.jpg")) == (64, 96)
    with pytest.raises(ConfigError, match="FRAMEKEEP_LINKS_KEYS is not set"):
        async with running(tmp_path, Extensions(), **closed):
            pass


async def test_a_dialect_cannot_take_the_path_of_an_api(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FRAMEKEEP_LINKS_MOUNTS: 'vision' is the path of an API"):
        async with running(tmp_path, Extensions(), LINKS_MOUNTS={"vision": "native"}):
            pass


async def test_a_source_is_added_by_its_scheme(tmp_path: Path) -> None:
    extensions = Extensions(sources={"drawn": DrawnSource})
    aliases = {"art": "drawn://scene"}
    async with running(tmp_path, extensions, SOURCES_ALIASES=aliases) as client:
        assert size(await client.get("/_/resize:30:20:fill/art:any")) == (30, 20)


async def test_a_store_replaces_the_disk(tmp_path: Path) -> None:
    store = DictStore()
    async with running(tmp_path, Extensions(store=store)) as client:
        link = "/_/resize:20/tag:spring/photos:portrait.jpg"
        answers = [await client.get(link) for _ in range(2)]
        assert [answer.headers["x-cache"] for answer in answers] == ["miss", "hit"]
        assert {kind for kind, _ in store.entries} == {"rendition", "original", "record"}
        purge = await client.post(
            "/admin/purge", headers={"Authorization": "Bearer admin"}, json={"tags": ["spring"]}
        )
        assert purge.json()["entries"]["rendition"] == 1
        assert (await client.get(link)).headers["x-cache"] == "miss"


async def test_a_cdn_is_told_of_purges(tmp_path: Path) -> None:
    cdn = RecordingCdn()
    async with running(tmp_path, Extensions(cdns=[cdn])) as client:
        purge = await client.post(
            "/admin/purge", headers={"Authorization": "Bearer admin"}, json={"tags": ["spring"]}
        )
        assert purge.json()["cdns"] == {"recording": "ok"}
        assert cdn.purged == ["spring"]


async def test_a_detector_decides_in_the_render_process(tmp_path: Path) -> None:
    link = "/_/info:1x4/photos:portrait.jpg"
    left_edge = DetectorSpec("left-edge", finds=("edges",), module="extension_examples")
    async with running(tmp_path, Extensions(detectors=[left_edge])) as client:
        info = (await client.get(link)).json()
        assert "animal" in {region["kind"] for region in info["focus"]}
        cropped = await client.get("/_/smart_crop:96:384:animal/photos:portrait.jpg")
        assert cropped.headers["x-focus"] == "animal"
    async with running(tmp_path, Extensions()) as client:  # the same cache without the detector
        info = (await client.get(link)).json()
        assert "animal" not in {region["kind"] for region in info["focus"]}


async def test_an_api_is_added(tmp_path: Path) -> None:
    async with running(tmp_path, Extensions(apis=[PING])) as client:
        assert (await client.get("/ping")).text == f"{len(OPERATIONS)} operations"
        assert 'handler="ping"' in (await client.get("/metrics")).text


async def test_an_added_api_gets_no_alias_that_is_not_listed(tmp_path: Path) -> None:
    async with running(tmp_path, Extensions(apis=[READER])) as client:
        refused = await client.get("/reader?photos:portrait.jpg")
        assert refused.text.startswith("source alias not allowed in APIs: 'photos'")
    async with running(tmp_path, Extensions(apis=[READER]), API_ALLOW_ALIASES="photos") as client:
        assert (await client.get("/reader?photos:portrait.jpg")).text == "jpeg"
