"""Originals in a bucket, from a real S3 server."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from origin_server import FaultyOrigin

from proxy.errors import InvalidSource, SourceFailed, SourceNotFound, SourceTimedOut, SourceTooLarge
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginMetadata, SourceRef, Upload, Validators
from proxy.sources.config import SourceConfig
from proxy.sources.object_storage import ObjectStorageSource
from proxy.sources.router import SourceRouter

BODY = b"picture " * 100_000
RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(RCLONE is None, reason="rclone, which serves S3 here, is not installed"),
]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bucket with `media/users/a b%20é.jpg` in it."""
    root = tmp_path_factory.mktemp("s3")
    folder = root / "pictures" / "media" / "users"
    folder.mkdir(parents=True)
    (folder / "a b%20é.jpg").write_bytes(BODY)
    assert RCLONE is not None
    with subprocess.Popen(
        [RCLONE, "serve", "s3", "--addr=127.0.0.1:0", "--auth-key=reader,key-of-reader", str(root)],
        stderr=subprocess.PIPE,
        env={"RCLONE_CONFIG": os.devnull, "HOME": str(root)},
        text=True,
    ) as server:
        assert server.stderr is not None
        found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in server.stderr)
        address = next(match[0] for match in found if match)
        try:
            yield f"s3://pictures/media?region=eu-central-1&endpoint={address}"
        finally:
            server.terminate()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key-of-reader")


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
