"""Render processes for tests, and ways to wait for what happens to processes."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.buffers import SharedBuffer
from proxy.render.config import RenderConfig
from proxy.render.manager import RenderProcessManager
from proxy.render.pool import RenderPool
from proxy.render.process import PING
from proxy.server.worker import PROCESS_NAME


@asynccontextmanager
async def render_processes(
    processes: int = 1,
    *,
    max_result_bytes: int = 64_000_000,
    max_tasks: int = 1000,
    max_growth_bytes: int = 256 * 1024 * 1024,
) -> AsyncIterator[tuple[RenderPool, RenderProcessManager]]:
    config = RenderConfig(
        processes=processes,
        max_tasks_per_process=max_tasks,
        max_memory_growth_bytes=max_growth_bytes,
    )
    async with RenderProcessManager(config, handlers="renderer_tasks", task_seconds=600) as manager:
        pool = RenderPool(
            manager.directory,
            process_count=processes,
            max_result_bytes=max_result_bytes,
            wall_seconds=600,
        )
        yield pool, manager


def closed_gate() -> SharedBuffer:
    """A buffer that a test may write to, unlike others: a task waits for its first byte."""
    descriptor = os.memfd_create("gate", os.MFD_CLOEXEC)
    os.write(descriptor, bytes(2))
    return SharedBuffer(descriptor)


MAX_WAIT_SECONDS = 100
"""After that a test fails: what it waits for does not come any more."""


async def wait_until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(MAX_WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - no event exists for such conditions
            await asyncio.sleep(0)


async def wait_exited(pid: int) -> None:
    """Wait for the end of a process, also of one that is not a child of this one.

    One that does not end is killed, and fails the test.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    exited = asyncio.Event()
    asyncio.get_running_loop().add_reader(pidfd, exited.set)
    try:
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            await exited.wait()
    except TimeoutError:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        raise AssertionError(f"process {pid} has not ended") from None
    finally:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)


async def next_pid(pool: RenderPool) -> int:
    """The render process that took the next task."""
    return (await pool.run(PING, None)).pid


async def descendants(pid: int) -> set[int]:
    """The children of a process, and theirs."""
    found: set[int] = set()
    # Threads and processes may end meanwhile.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in list(Path(f"/proc/{pid}/task").iterdir()):
            children: list[str] = []
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children = (task / "children").read_text().split()
            for child in map(int, children):
                found |= {child} | await descendants(child)
    return found


def command_line(pid: int) -> str:
    """The arguments of a process, with NUL between them; empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def http_workers(supervisor: int) -> set[int]:
    """The HTTP workers of a server, also those that are not ready yet."""
    task = Path(f"/proc/{supervisor}/task/{supervisor}")
    found = set()
    for child in map(int, (task / "children").read_text().split()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            if Path(f"/proc/{child}/comm").read_text() == f"{PROCESS_NAME}\n":
                found.add(child)
    return found
