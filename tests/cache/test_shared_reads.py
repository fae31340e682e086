"""How often a request looks into the bucket that machines share."""

from collections.abc import AsyncIterator
from pathlib import Path

import photos
import pytest
from memory_bucket import MemoryBucket
from origin_server import OriginServer
from service_fixture import ServiceHarness

from proxy.cache.config import SharedCacheConfig
from proxy.cache.shared import SharedCache
from proxy.cache.store import Cache
from proxy.image_request import ImageRequest
from proxy.operations.plan import Plan
from proxy.operations.smart_crop import SmartCrop
from proxy.originals import SourceRef

pytestmark = pytest.mark.anyio

IMAGE = photos.encode_scene("PNG", 60, 40)


class Machine(ServiceHarness):
    def __init__(self, folder: Path, bucket: MemoryBucket) -> None:
        self._bucket = bucket
        super().__init__(folder, add_layer=self._add_bucket)

    def _add_bucket(self, local: Cache) -> Cache:
        config = SharedCacheConfig(url="s3://none?region=eu-central-1", purge_poll_seconds=3600)
        self._shared = SharedCache(local, config, bucket=self._bucket, clock=self.clock)
        return self._shared

    async def open(self) -> None:
        self._shared.start()
        await self._shared._has_tried.wait()

    async def smart_crop(self, url: str, width: int) -> str:
        request = ImageRequest(SourceRef(url), Plan((SmartCrop(width, 20),)))
        state = (await self.service.get_or_render(request)).state
        await self._shared.wait_written()
        return state


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
async def machines(tmp_path: Path, bucket: MemoryBucket) -> AsyncIterator[list[Machine]]:
    machines = [Machine(tmp_path / name, bucket) for name in "ab"]
    for machine in machines:
        await machine.open()
    yield machines
    for machine in machines:
        await machine.close()


async def test_a_request_for_an_image_that_nobody_has_made_is_one_read(
    machines: list[Machine], bucket: MemoryBucket, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", IMAGE)
    assert (await machines[0].get(url)).state == "miss"
    assert bucket.reads == {"rendition": 1}
    assert (await machines[0].get(url, width=30)).state == "miss"
    assert bucket.reads == {"rendition": 2}
    assert (await machines[0].get(url)).state == "hit"
    assert bucket.reads == {"rendition": 2}


async def test_a_subject_that_is_to_be_detected_is_looked_up_once(
    machines: list[Machine], bucket: MemoryBucket, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", IMAGE)
    one, other = machines
    assert await one.smart_crop(url, 20) == "miss"
    assert bucket.reads == {"rendition": 1, "detection": 1}
    assert await other.smart_crop(url, 30) == "miss"
    assert bucket.reads == {"rendition": 2, "detection": 2}
    assert (one.pool.render_count, other.pool.render_count) == (1, 1)


async def test_an_image_of_another_machine_is_read_with_its_record(
    machines: list[Machine], bucket: MemoryBucket, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", IMAGE, headers={"cache-control": "max-age=1000"})
    one, other = machines
    await one.smart_crop(url, 20)
    bucket.reads.clear()
    assert await other.smart_crop(url, 20) == "hit"
    assert bucket.reads == {"rendition": 1, "record": 1}
    assert origin.count("/a.png") == 1
    assert other.pool.render_count == 0
