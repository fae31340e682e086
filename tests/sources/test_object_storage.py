"""Originals in a bucket, from a real S3 server."""

import hashlib

import pytest
from origin_server import FaultyOrigin
from s3_server import CREDENTIALS, S3Server

from proxy.errors import InvalidSource, SourceFailed, SourceNotFound, SourceTimedOut, SourceTooLarge
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginMetadata, SourceRef, Upload, Validators
from proxy.sources.config import SourceConfig
from proxy.sources.object_storage import ObjectStorageSource
from proxy.sources.router import SourceRouter

BODY = b"picture " * 100_000

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def bucket(rclone: S3Server) -> str:
    """The URL of a bucket with `media/users/a b%20é.jpg` in it."""
    folder = rclone.folder / "pictures" / "media" / "users"
    folder.mkdir(parents=True)
    (folder / "a b%20é.jpg").write_bytes(BODY)
    return f"s3://pictures/media?region=eu-central-1&endpoint={rclone.address}"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def source(bucket: str, limits: Limits | None = None) -> ObjectStorageSource:
    return ObjectStorageSource(
        bucket, limits or Limits(fetch_timeout_seconds=60), connect_timeout_seconds=60
    )


async def test_an_object_is_fetched(bucket: str) -> None:
    sources = SourceRouter.from_config(SourceConfig(aliases={"shop": bucket}), Limits())
    original = await sources.fetch(SourceRef("shop:users/a b%20é.jpg"))
    assert isinstance(original, Original)
    assert original.body.read() == BODY
    assert original.digest == hashlib.sha256(BODY).hexdigest()
    assert original.metadata.validators.etag
    assert original.metadata.validators.last_modified.endswith(" GMT")
    await sources.close()


async def test_an_unchanged_object_is_not_modified(bucket: str) -> None:
    original = await source(bucket).fetch(SourceRef("shop:users/a b%20é.jpg"))
    assert isinstance(original, Original)
    known = original.metadata.validators
    again = await source(bucket).fetch(SourceRef("shop:users/a b%20é.jpg"), known)
    assert again == NotModified(OriginMetadata(known))
    other = await source(bucket).fetch(SourceRef("shop:users/a b%20é.jpg"), Validators('"old"'))
    assert isinstance(other, Original)


async def test_a_missing_object_is_not_found(bucket: str) -> None:
    with pytest.raises(SourceNotFound, match="object not found"):
        await source(bucket).fetch(SourceRef("shop:users/none.jpg"))


@pytest.mark.parametrize("path", ["", "/a", "../secret", "a/../../b", "a//b", ".hidden"])
async def test_paths_out_of_the_prefix_are_invalid(bucket: str, path: str) -> None:
    with pytest.raises(InvalidSource, match="path"):
        await source(bucket).fetch(SourceRef(f"shop:{path}"))


async def test_wrong_credentials_are_an_error(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guess")
    with pytest.raises(SourceFailed, match="denied access"):
        await source(bucket).fetch(SourceRef("shop:users/a b%20é.jpg"))


async def test_the_size_limit_is_exact(bucket: str) -> None:
    ref = SourceRef("shop:users/a b%20é.jpg")
    assert isinstance(
        await source(bucket, Limits(max_source_bytes=len(BODY), fetch_timeout_seconds=60)).fetch(
            ref
        ),
        Original,
    )
    with pytest.raises(SourceTooLarge):
        await source(
            bucket, Limits(max_source_bytes=len(BODY) - 1, fetch_timeout_seconds=60)
        ).fetch(ref)


def bucket_at(origin: FaultyOrigin) -> str:
    return f"s3://pictures/media?region=eu-central-1&endpoint=http://127.0.0.1:{origin.port}"


async def test_a_missing_response_is_a_timeout() -> None:
    async with FaultyOrigin.sending(keep_open=True) as origin:
        with pytest.raises(SourceTimedOut):
            await source(bucket_at(origin), Limits(fetch_timeout_seconds=0.2)).fetch(
                SourceRef("shop:a.jpg")
            )


async def test_a_truncated_response_is_an_error() -> None:
    head = b"HTTP/1.1 200 OK\r\nETag: x\r\nLast-Modified: Thu, 01 Jan 2026 11:00:00 GMT\r\n"
    async with FaultyOrigin.sending(head + b"Content-Length: 9\r\n\r\nhello") as origin:
        with pytest.raises((SourceFailed, SourceTimedOut)):
            await source(bucket_at(origin), Limits(fetch_timeout_seconds=0.5)).fetch(
                SourceRef("shop:a.jpg")
            )


async def test_a_closed_port_is_an_error() -> None:
    async with FaultyOrigin.sending() as origin:
        location = bucket_at(origin)
    with pytest.raises((SourceFailed, SourceTimedOut)):
        await source(location, Limits(fetch_timeout_seconds=0.5)).fetch(SourceRef("shop:a.jpg"))


async def test_uploads_and_headers_are_invalid(bucket: str) -> None:
    with pytest.raises(InvalidSource):
        await source(bucket).fetch(Upload.from_bytes(BODY))
    with pytest.raises(InvalidSource):
        await source(bucket).fetch(SourceRef("shop:a.jpg", headers=(("x-key", "1"),)))
