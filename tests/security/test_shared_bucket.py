"""What somebody who can write to the shared bucket, but has no key, can do: nothing."""

import os
from collections.abc import Callable
from functools import partial

import pytest
from cache.suite import Clock, body_of
from s3_server import S3Server
from shared_cache import open_machine

from proxy.cache.config import SharedCacheConfig
from proxy.cache.envelope import Envelope
from proxy.cache.purge_objects import PurgeCodec, PurgeRow, new_batch_name, new_purge_name
from proxy.cache.shared import SharedCache
from proxy.cache.shared_objects import EntryCodec, ObjectSigner, entry_name
from proxy.cache.store import All, ByTag, Entry
from proxy.config import load
from proxy.errors import ConfigError

pytestmark = pytest.mark.anyio

KEY, NEW_KEY = "11" * 32, "22" * 32


machine = partial(open_machine, keys=(KEY,))


async def put(store: SharedCache, key: str, entry: Entry) -> None:
    await store.put("rendition", key, entry)
    await store.wait_written()


PLANTED = Entry(b"planted", head=b"head")


@pytest.mark.parametrize("keys", [(), (NEW_KEY,)], ids=["not signed", "another key"])
async def test_a_planted_entry_is_not_used(bucket: str, keys: tuple[str, ...]) -> None:
    clock = Clock()
    async with machine(bucket, clock) as store:
        planted = EntryCodec(ObjectSigner(keys)).encode("rendition", "key-1", PLANTED, 0.0)
        await store._bucket.put(entry_name("rendition", "key-1"), planted)
        assert await store.get("rendition", "key-1") is None
        store._misses.clear()
        assert await store.get("rendition", "key-1") is None
        assert store._background.failures["shared_cache_reader"] == 1  # once for each object


async def test_without_keys_it_would_be_used(bucket: str) -> None:
    """So the test above can fail."""
    async with machine(bucket, Clock(), keys=()) as store:
        planted = EntryCodec(ObjectSigner(())).encode("rendition", "key-1", PLANTED, 0.0)
        await store._bucket.put(entry_name("rendition", "key-1"), planted)
        assert body_of(await store.get("rendition", "key-1")) == b"planted"


async def test_an_entry_is_used_under_its_own_key_only(bucket: str) -> None:
    async with machine(bucket, Clock()) as one, machine(bucket, Clock()) as other:
        await put(one, "key-1", Entry(b"one"))
        found = await one._bucket.get(entry_name("rendition", "key-1"))
        assert found is not None
        await one._bucket.put(entry_name("rendition", "key-2"), found.data)
        await one._bucket.put(entry_name("record", "key-1"), found.data)
        assert await other.get("rendition", "key-2") is None
        assert await other.get("record", "key-1") is None
        assert body_of(await other.get("rendition", "key-1")) == b"one"


@pytest.mark.parametrize("at", [0, 31, 32, 35, 36, 60, -1])
async def test_a_changed_byte_is_noticed_wherever_it_is(bucket: str, at: int) -> None:
    async with machine(bucket, Clock()) as one, machine(bucket, Clock()) as other:
        await put(one, "key-1", Entry(os.urandom(100), head=b"head", tags=("tag:a",)))
        found = await one._bucket.get(entry_name("rendition", "key-1"))
        assert found is not None
        changed = bytearray(found.data)
        changed[at] ^= 1
        await one._bucket.put(entry_name("rendition", "key-1"), bytes(changed))
        assert await other.get("rendition", "key-1") is None


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 36, 67, 68])
async def test_a_short_object_is_a_miss(bucket: str, size: int) -> None:
    async with machine(bucket, Clock()) as store:
        await store._bucket.put(entry_name("rendition", "key-1"), bytes(size))
        assert await store.get("rendition", "key-1") is None


@pytest.mark.parametrize("head", [b"", b"1234567"])
async def test_an_entry_with_a_short_head_is_a_miss(bucket: str, head: bytes) -> None:
    """Without keys, so that it is the head that is refused."""
    async with machine(bucket, Clock(), keys=()) as store:
        envelope = Envelope.wrap("rendition", "key-1", Entry(b"body", head=head)).encode()
        await store._bucket.put(entry_name("rendition", "key-1"), bytes(32) + envelope + b"body")
        assert await store.get("rendition", "key-1") is None


async def test_keys_are_replaced_one_after_the_other(bucket: str) -> None:
    clock = Clock()
    async with (
        machine(bucket, clock) as old,
        machine(bucket, clock, keys=(KEY, NEW_KEY)) as ready,
        machine(bucket, clock, keys=(NEW_KEY, KEY)) as signing,
        machine(bucket, clock, keys=(NEW_KEY,)) as new,
    ):
        await put(old, "by-old", Entry(b"old"))
        await put(signing, "by-new", Entry(b"new"))
        for store in (ready, signing):
            assert body_of(await store.get("rendition", "by-old")) == b"old"
        for store in (ready, new):
            assert body_of(await store.get("rendition", "by-new")) == b"new"
        assert await new.get("rendition", "by-old") is None
        assert await old.get("rendition", "by-new") is None


@pytest.mark.parametrize("new_name", [new_purge_name, new_batch_name])
async def test_a_planted_purge_is_ignored_and_counted(
    bucket: str, new_name: Callable[[], str]
) -> None:
    clock = Clock()
    async with machine(bucket, clock) as store:
        await store.put("rendition", "key-1", Entry(b"1"))
        name = new_name()
        purge = PurgeCodec(ObjectSigner(())).encode(name, [PurgeRow(All(), soft=False)])
        for _ in range(2):
            await store._bucket.put(name, purge)
            await store._purges.sync()
            assert await store.get("rendition", "key-1") is not None
        assert store._background.failures["purge_listener"] == 1


async def test_names_that_cannot_be_listed_do_not_end_the_purges(bucket: str, s3: S3Server) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        await one.purge(ByTag("tag:first"))
        ((purges),) = s3.folder.glob(f"shared/{bucket[12:].partition('?')[0]}/v4/purges")
        (purges / "a\x01b").write_bytes(b"")
        (purges / "..c").write_bytes(b"")
        await other.put("rendition", "key-1", Entry(b"1", tags=("tag:a",)))
        await one.purge(ByTag("tag:a"))
        await other._purges.sync()
        assert await other._local.get("rendition", "key-1") is None


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"FRAMEKEEP_SHARED_CACHE_KEYS": KEY},
        {"FRAMEKEEP_SHARED_CACHE_ALLOW_UNSIGNED": "true"},
    ],
)
def test_a_bucket_without_keys_is_shared_only_where_that_is_allowed(
    settings: dict[str, str],
) -> None:
    loaded = load(
        {
            "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
            "FRAMEKEEP_SHARED_CACHE_URL": "s3://bucket",
            **settings,
        }
    ).settings
    if settings:
        loaded.validate()
    else:
        with pytest.raises(ConfigError, match="FRAMEKEEP_SHARED_CACHE_KEYS is not set"):
            loaded.validate()


def test_keys_are_secret_and_bounded() -> None:
    assert KEY not in repr(SharedCacheConfig(keys=(KEY,)))
    for key in ("11" * 15, "zz" * 32, "11" * 129):
        with pytest.raises(ConfigError, match="FRAMEKEEP_SHARED_CACHE_KEYS"):
            load({"FRAMEKEEP_SHARED_CACHE_KEYS": key})
