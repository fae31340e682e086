"""Where request bodies lie while their calls wait."""

import asyncio
import contextlib
import errno
import gc
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from render_processes import wait_until
from starlette.requests import Request
from starlette.types import Message

from proxy.api.http.disconnect import ClientDisconnected
from proxy.api.http.uploads import UploadRoom, Uploads
from proxy.buffers import Buffer, SharedBuffer, SharedBufferWriter
from proxy.errors import Overloaded, SourceTooLarge

pytestmark = pytest.mark.anyio


def request(body: bytes = b"", *, length: str | None = None, complete: bool = True) -> Request:
    text = length if length is not None else str(len(body))
    messages: Iterator[Message] = iter(
        [
            {"type": "http.request", "body": body[:700_000], "more_body": True},
            {"type": "http.request", "body": body[700_000:], "more_body": not complete},
            {"type": "http.disconnect"},
        ]
    )

    async def receive() -> Message:
        return next(messages)

    headers = [(b"content-length", text.encode())] if text else []
    return Request({"type": "http", "headers": headers}, receive)


def uploads(
    folder: Path, max_bytes: int = 1000, memory: int = 0, deadline_seconds: float = 60
) -> Uploads:
    return Uploads(
        folder,
        max_bytes=max_bytes,
        deadline_seconds=deadline_seconds,
        max_memory_bytes=memory,
    )


def lies_in_memory(buffer: SharedBuffer) -> bool:
    path = Path(f"/proc/self/fd/{buffer.descriptor}").readlink()
    return str(path).startswith("/memfd:")


async def receive(held: Uploads, body: bytes, client: str = "") -> SharedBuffer:
    async with held.accept(request(body), client, 10_000_000) as room:
        return await room.receive(request(body), 10_000_000)


@pytest.mark.parametrize("size", [0, 1, 700_000, 1_500_000])
async def test_a_body_above_the_share_of_memory_lies_in_a_file_without_a_name(
    tmp_path: Path, size: int
) -> None:
    body = os.urandom(size)
    held = uploads(tmp_path, max_bytes=4_000_000, memory=-1)
    stored = await receive(held, body)
    assert stored.read() == body
    assert stored.digest == SharedBuffer.from_bytes(body).digest
    assert not lies_in_memory(stored)
    assert list(tmp_path.iterdir()) == []


async def test_a_body_lies_in_memory_as_long_as_there_is_a_share_of_it(tmp_path: Path) -> None:
    held = uploads(tmp_path, memory=200)
    async with held.accept(request(bytes(60)), "a", 1000) as room:
        assert lies_in_memory(await room.receive(request(bytes(60)), 1000))
        assert not lies_in_memory(await receive(held, bytes(60), "a"))
        assert lies_in_memory(await receive(held, bytes(60), "b"))
        assert lies_in_memory(await room.store(b"found in the body"))
    assert lies_in_memory(await receive(held, bytes(100), "a"))


async def test_a_body_moves_to_the_disk_where_memory_runs_out(tmp_path: Path) -> None:
    body = os.urandom(1_400_000)
    held = uploads(tmp_path, max_bytes=4_000_000, memory=4_000_000)
    other = held.memory.open("other")
    async with held.accept(request(body), "", 10_000_000) as room:
        assert other.try_take(2_000_000)
        assert held.memory.open("third").try_take(1_000_000)
        stored = await room.receive(request(body), 10_000_000)
        assert held.disk.used_bytes == len(body)
    assert not lies_in_memory(stored)
    assert stored.read() == body
    assert stored.digest == SharedBuffer.from_bytes(body).digest
    assert held.disk.used_bytes == 0


class FullDisk(SharedBufferWriter):
    """Takes some bytes, and then no more."""

    def write(self, chunk: Buffer) -> None:
        if self.size + len(chunk) > 300_000:
            super().write(memoryview(chunk)[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(chunk)


class UploadsOnFullDisk(Uploads):
    def open_file(self) -> SharedBufferWriter:
        return FullDisk()


async def test_a_body_moves_to_memory_where_the_disk_is_full(tmp_path: Path) -> None:
    body = os.urandom(1_000_000)
    held = UploadsOnFullDisk(
        tmp_path, max_bytes=4_000_000, deadline_seconds=60, max_memory_bytes=1_200_000
    )
    other = held.memory.open("other")
    await other.take(900_000)
    waiting = asyncio.create_task(receive(held, body))
    await wait_until(lambda: held.memory.waiting)
    other.release()
    stored = await waiting
    assert stored.read() == body
    assert stored.digest == SharedBuffer.from_bytes(body).digest
    assert held.memory.used_bytes == 0


async def test_uploads_wait_for_memory_where_the_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    held = uploads(tmp_path / "file", max_bytes=10_000, memory=1000)
    other = held.memory.open("other")
    await other.take(900)
    waiting = [asyncio.create_task(receive(held, bytes(600))) for _ in range(2)]
    await wait_until(lambda: held.memory.waiting == 2)
    other.release()
    assert all(map(lies_in_memory, await asyncio.gather(*waiting)))


async def test_a_body_takes_what_has_arrived_of_it(tmp_path: Path) -> None:
    """Not what it announces: slow bodies would take the room of all others."""
    held = uploads(tmp_path, 1000)
    async with AsyncExitStack() as stack:
        for _ in range(100):
            await stack.enter_async_context(held.accept(request(length="1000"), "slow", 1000))
        assert held.disk.used_bytes == 0
        assert (await receive(held, bytes(500), "fast")).size == 500


async def test_a_body_is_refused_at_the_deadline(tmp_path: Path) -> None:
    held = uploads(tmp_path, 100, deadline_seconds=0.001)
    other = held.disk.open("other")
    await other.take(90)
    with pytest.raises(Overloaded, match="FRAMEKEEP_API_MAX_INFLIGHT_UPLOAD_BYTES") as caught:
        await receive(held, bytes(20))
    assert caught.value.retry_after == 5
    other.release()
    await receive(held, bytes(20))


@pytest.mark.parametrize("memory", [0, 1000])
async def test_what_a_client_sent_before_it_hung_up_is_freed(tmp_path: Path, memory: int) -> None:
    def open_bodies() -> set[int]:
        """The inodes of open files of uploads; other threads may open and close other files."""
        inodes = set()
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.readlink().is_relative_to(tmp_path) or "original" in path.readlink().name:
                    inodes.add(path.stat().st_ino)
        return inodes

    held = uploads(tmp_path, memory=memory)
    gc.collect()
    before = open_bodies()
    with pytest.raises(ClientDisconnected):
        async with held.accept(request(bytes(500)), "", 1000) as room:
            await room.receive(request(bytes(500), complete=False), 1000)
    await asyncio.sleep(0)  # until then the loop holds the result that it woke this task with
    gc.collect()
    assert not open_bodies() - before
    async with held.accept(request(length="1000"), "", 1000):
        pass


async def test_a_body_that_is_longer_than_allowed_is_not_read(tmp_path: Path) -> None:
    async def receive_too_much(room: UploadRoom) -> None:
        await room.receive(request(bytes(20), length=""), 10)

    async with uploads(tmp_path, 100).accept(request(length="10"), "", 10) as room:
        with pytest.raises(SourceTooLarge):
            await receive_too_much(room)
