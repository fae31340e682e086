"""The shared cache on S3, Google Cloud Storage and Azure Blob Storage: real servers on loopback."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from cache.suite import body_of
from cloud_emulators import (
    ACCOUNT,
    AZURE_CREDENTIALS,
    AZURITE,
    FAKE_GCS,
    as_gcs,
    azure_server,
    for_fake_gcs,
    gcs_credentials,
    gcs_server,
)
from fault_proxy import FaultProxy
from render_processes import MAX_WAIT_SECONDS
from s3_server import CREDENTIALS, RCLONE, s3_server
from shared_cache import open_machine

from proxy.cache.bucket import Bucket
from proxy.cache.purge_objects import PURGE_FOLDER
from proxy.cache.store import ByTag, Entry

pytestmark = pytest.mark.anyio

CLOUDS = [
    pytest.param("s3", marks=pytest.mark.skipif(RCLONE is None, reason="rclone is not installed")),
    pytest.param(
        "gs",
        marks=pytest.mark.skipif(
            not FAKE_GCS.exists(),
            reason="fake-gcs-server is not installed; scripts/install-bucket-emulators",
        ),
    ),
    pytest.param(
        "az",
        marks=pytest.mark.skipif(
            not AZURITE.exists(),
            reason="Azurite is not installed; scripts/install-bucket-emulators",
        ),
    ),
]


@pytest.fixture(scope="module", params=CLOUDS)
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The scheme of a cloud, and the address of its server."""
    root = tmp_path_factory.mktemp(request.param)
    (root / "shared").mkdir()
    serve = {"s3": s3_server, "gs": gcs_server, "az": azure_server}[request.param]
    with serve(root if request.param != "gs" else root / "shared") as address:
        yield request.param, address


@pytest.fixture
async def url(
    cloud: tuple[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[str]:
    """The URL of a folder of this test in the bucket."""
    scheme, address = cloud
    folder = re.sub("[^a-z0-9]+", "-", request.node.name.lower())
    if scheme == "gs":
        async with FaultProxy(address, rewrite=for_fake_gcs, amend=as_gcs) as proxy:
            for name, value in gcs_credentials(proxy.url).items():
                monkeypatch.setenv(name, value)
            yield f"gs://shared/{folder}"
        return
    for name, value in (CREDENTIALS if scheme == "s3" else AZURE_CREDENTIALS).items():
        monkeypatch.setenv(name, value)
    options = f"account_name={ACCOUNT}" if scheme == "az" else "region=eu-central-1"
    yield f"{scheme}://shared/{folder}?{options}&endpoint={address}"


machine = partial(open_machine, keys=("11" * 32,))


async def test_objects_are_put_replaced_listed_and_deleted(url: str) -> None:
    bucket = Bucket(url, timeout_seconds=10)
    assert await bucket.get("v4/a") is None
    assert await bucket.list("v4") == {}
    await bucket.put("v4/purges/a", b"one")
    await bucket.put("v4/purges/a", b"two")
    await bucket.put("v4/purges/b", bytes(range(256)) * 1000)
    await bucket.put("v4/other/c", b"")
    found = await bucket.get("v4/purges/a")
    assert found is not None
    assert found.data == b"two"
    assert abs(found.written_at - time.time()) < 3600
    listed = await bucket.list("v4/purges")
    assert listed.keys() == {"v4/purges/a", "v4/purges/b"}
    assert int(listed["v4/purges/a"]) == int(found.written_at)
    await bucket.delete(["v4/purges/a", "v4/purges/b"])
    assert await bucket.list("v4/purges") == {}
    empty = await bucket.get("v4/other/c")
    assert empty is not None
    assert empty.data == b""


async def test_machines_share_entries_and_purges(url: str) -> None:
    async with machine(url) as one, machine(url) as other:
        for key in ("a", "b"):
            await one.put("rendition", key, Entry(key.encode() * 9999, tags=(f"tag:{key}",)))
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            await one.wait_written()
        assert not one.shared_counts.lost_writes
        for key in ("a", "b"):
            assert body_of(await other.get("rendition", key)) == key.encode() * 9999
        assert (await one.purge(ByTag("tag:a")))["rendition"] == 1
        assert await other._purges.sync()
        for store in (one, other):
            assert await store.get("rendition", "a") is None
            assert await store.get("rendition", "b") is not None


async def test_older_purges_are_joined_into_one_object(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.cache.purge_sync.COMPACT_OBJECTS", 3)
    monkeypatch.setattr("proxy.cache.purge_sync._KEEP_SECONDS", -10.0)
    async with machine(url) as one:
        for number in range(3):
            await one.purge(ByTag(f"tag:{number}"))
        await one._purges.sync()
        await one._purges.compact()
        listed = await one._bucket.list(PURGE_FOLDER)
        assert [name for name in listed if "/batch-" not in name] == []
        assert len(listed) == 1
    async with machine(url) as fresh:
        assert await fresh._purges.selects(["tag:2"], 0.0)
        assert not await fresh._purges.selects(["tag:3"], 0.0)
