"""The event loop of an HTTP worker does nothing slow: its thread uses little CPU time.

CPU time is compared with that of the work itself, so a busy machine does not matter. Where the work
is too short for that, the functions that the thread calls are looked at.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FunctionType

import httpx2 as httpx
import pytest
from memory_store import MemoryStore

from proxy.app import create_app
from proxy.cache.freshness import FreshnessConfig
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.origin_cache import FetchedOriginal, OriginCache
from proxy.cache.renditions import RenditionCache
from proxy.config import load
from proxy.geometry import Size
from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.originals import Original, Upload, digest
from proxy.runtime.singleflight import SingleFlight
from proxy.smartcrop.placement import place_crops
from proxy.smartcrop.subject import Subject
from proxy.sources.http import HttpSource
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy

pytestmark = pytest.mark.anyio

PHOTOGRAPHS = Path(__file__).parent / "photographs"
RATIOS = [Size(width, height) for width in (2, 3, 5, 7) for height in (11, 13, 17, 19)]
KEY = "key-of-this-test"


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least CPU time of this thread, of a few tries."""
    times = []
    for _ in range(3):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    return min(times)


async def runs_in_loop(
    function: Callable[..., object], work: Callable[[], Awaitable[object]]
) -> bool:
    """Whether this thread calls the function during the work."""
    assert isinstance(function, FunctionType)
    called = set()
    sys.setprofile(lambda frame, _, __: called.add(frame.f_code))
    try:
        await work()
    finally:
        sys.setprofile(None)
    return function.__code__ in called


async def loop_cpu_seconds(work: Callable[[], Awaitable[object]]) -> float:
    """The least CPU time of the event loop, of a few tries."""
    times = []
    for _ in range(3):
        started = time.thread_time()
        await work()
        times.append(time.thread_time() - started)
    return min(times)


async def test_crops_are_placed_outside_the_event_loop(tmp_path: Path) -> None:
    settings = load(
        {
            "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
            "FRAMEKEEP_SOURCES_ALIASES": json.dumps({"photos": f"file://{PHOTOGRAPHS}"}),
            "FRAMEKEEP_API_KEYS": KEY,
            "FRAMEKEEP_CACHE_DIR": str(tmp_path),
            "FRAMEKEEP_RENDER_PROCESSES": "1",
        }
    ).settings
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as http,
    ):

        async def info(*ratios: Size) -> httpx.Response:
            response = await http.get(
                "/_/" + ":".join(("info", *map(str, ratios))) + "/photos:portrait.jpg"
            )
            assert response.status_code == 200
            return response

        async def smart_crops(ratios: str) -> None:
            response = await http.post(
                "/computervision/imageanalysis:analyze",
                params={
                    "api-version": "2024-02-01",
                    "features": "smartCrops",
                    "smartcrops-aspect-ratios": ratios,
                },
                content=(PHOTOGRAPHS / "portrait.jpg").read_bytes(),
                headers={
                    "ocp-apim-subscription-key": KEY,
                    "content-type": "application/octet-stream",
                },
            )
            assert response.status_code == 200

        assert not await runs_in_loop(place_crops, lambda: info(*RATIOS))
        many = ",".join(str(0.75 + step / 16) for step in range(16))
        assert not await runs_in_loop(place_crops, lambda: smart_crops(many))


async def test_what_runs_in_the_event_loop_is_found() -> None:
    async def place() -> None:
        place_crops(Subject(()), Size(9, 9), RATIOS)

    assert await runs_in_loop(place_crops, place)
    assert not await runs_in_loop(place_crops, lambda: asyncio.to_thread(asyncio.run, place()))


async def test_large_results_are_hashed_outside_the_event_loop() -> None:
    cache = MemoryCacheLayer(MemoryStore(2**30), 0)
    source = HttpSource(HttpClient(SsrfPolicy()), Limits())
    origins = OriginCache(source, cache, SingleFlight(), FreshnessConfig())
    renditions = RenditionCache(cache, origins)
    upload = Upload.from_bytes(b"original")
    record = (await origins.get_state(upload)).record
    assert record is not None
    original = FetchedOriginal(Original(upload.body, upload.digest), record)
    rendition = Rendition(os.urandom(2**25), "png", Size(1, 1))

    async def put() -> None:
        await renditions.put(
            "key", rendition, [upload], [original], tags=(), cost=0.0, started_at=0.0
        )

    assert await loop_cpu_seconds(put) < cpu_seconds(lambda: digest(rendition.body)) / 2
