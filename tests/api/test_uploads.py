"""Where request bodies lie while their calls wait."""

import asyncio
import contextlib
import errno
import gc
import os
from collections.abc import Iterator
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


async def receive(held: Uploads, body: bytes) -> SharedBuffer:
    async with held.accept(request(body), "", 10_000_000) as room:
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
    held = uploads(tmp_path, memory=100)
    async with held.accept(request(bytes(60)), "", 1000) as room:
        assert lies_in_memory(await room.receive(request(bytes(60)), 1000))
        assert not lies_in_memory(await receive(held, bytes(60)))
        assert lies_in_memory(await room.store(b"found in the body"))
    assert lies_in_memory(await receive(held, bytes(100)))


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
    async with held.accept(request(bytes(900_000)), "", 1_000_000):  # takes the memory
        waiting = asyncio.create_task(receive(held, body))
        await wait_until(lambda: held.memory._waiters)
    stored = await waiting
    assert stored.read() == body
    assert stored.digest == SharedBuffer.from_bytes(body).digest
    assert held.memory.used_bytes == 0


async def test_uploads_wait_for_memory_where_the_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    held = uploads(tmp_path / "file", max_bytes=10_000, memory=1000)
    async with held.accept(request(bytes(600)), "", 1000):
        waiting = [asyncio.create_task(receive(held, bytes(600))) for _ in range(2)]
        await wait_until(lambda: len(held.memory._waiters) == 2)
    assert all(map(lies_in_memory, await asyncio.gather(*waiting)))


async def hold(
    held: Uploads, length: str | None, done: asyncio.Event, order: list[str | None]
) -> None:
    async with held.accept(request(length=length), "", 100):
        order.append(length)
        await done.wait()


async def run_tasks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_first_come_first_served(tmp_path: Path) -> None:
    held, done, order = uploads(tmp_path, 100), asyncio.Event(), list[str | None]()
    tasks = [
        asyncio.create_task(hold(held, length, done, order)) for length in ("60", "70", "30", "10")
    ]
    await run_tasks()
    assert order == ["60"]  # 30 would fit, but then 70 could wait without end
    done.set()
    await asyncio.gather(*tasks)
    assert order == ["60", "70", "30", "10"]


@pytest.mark.parametrize("length", ["", "x", "9" * 30, "٣"])
async def test_an_unknown_length_takes_room_for_the_largest_body(
    tmp_path: Path, length: str
) -> None:
    held = uploads(tmp_path, 100, deadline_seconds=0.001)
    async with held.accept(request(length=length), "", 100):
        with pytest.raises(Overloaded):
            async with held.accept(request(length="1"), "", 100):
                raise AssertionError


async def test_a_body_larger_than_all_room_takes_all_of_it(tmp_path: Path) -> None:
    async with uploads(tmp_path, 10).accept(request(length="1000"), "", 5000):
        pass


async def test_a_cancelled_waiter_lets_the_next_one_pass(tmp_path: Path) -> None:
    held, done, order = uploads(tmp_path, 100), asyncio.Event(), list[str | None]()
    first = asyncio.create_task(hold(held, "90", done, order))
    await run_tasks()
    second = asyncio.create_task(hold(held, "80", done, order))
    third = asyncio.create_task(hold(held, "5", done, order))
    await run_tasks()
    assert order == ["90"]
    second.cancel()
    await run_tasks()
    assert order == ["90", "5"]
    done.set()
    await asyncio.gather(first, third)
    async with held.accept(request(length="100"), "", 100):
        pass


@pytest.mark.parametrize("turns", range(4))
async def test_a_waiter_may_be_cancelled_in_the_moment_of_a_release(
    tmp_path: Path, turns: int
) -> None:
    held, done, order = uploads(tmp_path, 100), asyncio.Event(), list[str | None]()
    first = asyncio.create_task(hold(held, "100", done, order))
    await run_tasks()
    second = asyncio.create_task(hold(held, "100", done, order))
    await run_tasks()
    done.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    await first
    async with held.accept(request(length="100"), "", 100):
        pass


async def test_a_waiter_is_refused_at_the_deadline(tmp_path: Path) -> None:
    held = uploads(tmp_path, 100, deadline_seconds=0.001)
    async with held.accept(request(length="100"), "", 100):
        with pytest.raises(Overloaded, match="FRAMEKEEP_API_MAX_INFLIGHT_UPLOAD_BYTES") as caught:
            async with held.accept(request(length="1"), "", 100):
                raise AssertionError
    assert caught.value.retry_after == 5
    async with held.accept(request(length="100"), "", 100):
        pass


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
