"""Originals in a folder."""

import asyncio
import contextlib
import gc
import hashlib
import os
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.errors import (
    InvalidSource,
    SourceFailed,
    SourceForbidden,
    SourceNotFound,
    SourceTimedOut,
    SourceTooLarge,
)
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginMetadata, SourceRef, Upload, Validators
from proxy.sources.file import FileSource

pytestmark = pytest.mark.anyio

BODY = b"picture " * 100


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    (root / "users").mkdir(parents=True)
    (root / "users" / "42 é%20.jpg").write_bytes(BODY)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return root


@pytest.fixture
async def source(root: Path) -> AsyncIterator[FileSource]:
    source = FileSource(root, Limits(max_source_bytes=1000))
    yield source
    await source.close()


async def test_a_file_is_fetched(source: FileSource) -> None:
    original = await source.fetch(SourceRef("media:users/42 é%20.jpg"))
    assert isinstance(original, Original)
    assert original.body.read() == BODY
    assert original.digest == hashlib.sha256(BODY).hexdigest()
    assert original.metadata.ttl is None


async def test_an_unchanged_file_is_not_modified(source: FileSource, root: Path) -> None:
    path = root / "a.jpg"
    path.write_bytes(BODY)
    os.utime(path, (0, 0))
    first = await source.fetch(SourceRef("media:a.jpg"))
    assert isinstance(first, Original)
    assert first.metadata.validators.last_modified == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert await source.fetch(SourceRef("media:a.jpg"), first.metadata.validators) == NotModified(
        OriginMetadata(first.metadata.validators)
    )
    path.write_bytes(BODY[::-1])
    os.utime(path, (0, 0))
    again = await source.fetch(SourceRef("media:a.jpg"), first.metadata.validators)
    assert isinstance(again, Original)
    assert again.body.read() == BODY[::-1]


async def test_an_original_does_not_change_with_its_file(source: FileSource, root: Path) -> None:
    original = await source.fetch(SourceRef("media:users/42 é%20.jpg"))
    assert isinstance(original, Original)
    (root / "users" / "42 é%20.jpg").write_bytes(b"")
    assert bytes(original.body.view()) == BODY


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/a.jpg", "users/", "users//a.jpg", ".", "..", "../secret.jpg", "./a.jpg"),
        *("users/../../secret.jpg", "users/..", ".env", "users/.git/config", "...", "a\x00.jpg"),
        *("a\nb", "a\x7f", "\ud800", "a\u202eb", "a" * 256, "a/" * 2048 + "a", "/etc/passwd"),
        "é" * 128,
    ],
)
async def test_paths_out_of_the_root_are_invalid(source: FileSource, path: str) -> None:
    with pytest.raises(InvalidSource, match="path"):
        await source.fetch(SourceRef(f"media:{path}"))


@pytest.mark.parametrize(
    "path", ["none.jpg", "users/none.jpg", "none/a.jpg", "users/42 é%20.jpg/a"]
)
async def test_a_missing_file_is_not_found(source: FileSource, path: str) -> None:
    with pytest.raises(SourceNotFound):
        await source.fetch(SourceRef(f"media:{path}"))


async def test_symbolic_links_are_not_followed(source: FileSource, root: Path) -> None:
    (root / "out.jpg").symlink_to(root.parent / "secret.jpg")
    (root / "up").symlink_to(root.parent)
    (root / "in.jpg").symlink_to(root / "users" / "42 é%20.jpg")
    for path in ("out.jpg", "in.jpg"):
        with pytest.raises(SourceForbidden, match="regular file"):
            await source.fetch(SourceRef(f"media:{path}"))
    with pytest.raises(SourceNotFound, match="links are not followed"):
        await source.fetch(SourceRef("media:up/secret.jpg"))


async def test_the_root_may_be_a_symbolic_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    source = FileSource(tmp_path / "link", Limits())
    assert isinstance(await source.fetch(SourceRef("m:users/42 é%20.jpg")), Original)
    await source.close()


async def test_only_regular_files_are_originals(source: FileSource, root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket.jpg"))
        for path in ("pipe.jpg", "socket.jpg", "users"):
            with pytest.raises(SourceForbidden, match="regular file"):
                await source.fetch(SourceRef(f"media:{path}"))


async def test_the_size_limit_is_exact(source: FileSource, root: Path) -> None:
    (root / "most.jpg").write_bytes(bytes(1000))
    (root / "more.jpg").write_bytes(bytes(1001))
    original = await source.fetch(SourceRef("media:most.jpg"))
    assert isinstance(original, Original)
    assert len(original.body) == 1000
    with pytest.raises(SourceTooLarge, match="larger than 1000 bytes"):
        await source.fetch(SourceRef("media:more.jpg"))


async def test_a_missing_root_is_not_found(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "none", Limits())
    with pytest.raises(SourceNotFound):
        await source.fetch(SourceRef("media:a.jpg"))
    await source.close()


class ModifiedDuringRead(FileSource):
    """A file that is written to while it is read."""

    def _copy(self, descriptor: int, status: os.stat_result) -> Original:
        original = super()._copy(descriptor, status)
        with (self._root / "a.jpg").open("ab") as file:
            file.write(b"more")
        return original


async def test_a_file_that_changes_while_it_is_read_is_an_error(root: Path) -> None:
    (root / "a.jpg").write_bytes(BODY)
    source = ModifiedDuringRead(root, Limits())
    with pytest.raises(SourceFailed, match="changed while it was read"):
        await source.fetch(SourceRef("media:a.jpg"))
    await source.close()


class Hanging(FileSource):
    """A disk that does not respond until the test lets it."""

    proceed = threading.Event()

    def _read(
        self, segments: tuple[str, ...], validators: Validators | None
    ) -> Original | NotModified:
        self.proceed.wait()
        return super()._read(segments, validators)


async def test_a_disk_that_hangs_ends_in_a_timeout(root: Path) -> None:
    source = Hanging(root, Limits(fetch_timeout_seconds=0.05), threads=1)
    try:
        with pytest.raises(SourceTimedOut):
            await source.fetch(SourceRef("media:users/42 é%20.jpg"))
    finally:
        source.proceed.set()
        await source.close()


def open_files(root: Path) -> list[Path]:
    """What this process has open in the folder; other threads may open and close other files."""
    gc.collect()  # exceptions keep their frames until then
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(descriptor.readlink())
    return sorted(path for path in found if path.is_relative_to(root.resolve()))


async def test_no_descriptor_leaks(source: FileSource, root: Path) -> None:
    (root / "link.jpg").symlink_to(root)
    await source.fetch(SourceRef("media:users/42 é%20.jpg"))
    before = open_files(root)
    for path in ("users/42 é%20.jpg", "link.jpg", "none/a.jpg", "users", "users/none.jpg"):
        await asyncio.gather(source.fetch(SourceRef(f"media:{path}")), return_exceptions=True)
    assert open_files(root) == before


async def test_uploads_and_headers_are_invalid(source: FileSource) -> None:
    with pytest.raises(InvalidSource):
        await source.fetch(Upload.from_bytes(BODY))
    with pytest.raises(InvalidSource):
        await source.fetch(SourceRef("media:a.jpg", headers=(("x-key", "1"),)))
