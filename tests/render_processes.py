"""Render processes for tests, and ways to wait for what happens to them."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.render.manager import Renderers
from proxy.render.pool import Pool
from proxy.render.process import ABOUT
from proxy.render.protocol import RenderConfig
from proxy.server.worker import NAME


@asynccontextmanager
async def running(
    processes: int = 1,
    *,
    queue: int = 64,
    result_bytes: int = 64_000_000,
    recycle_jobs: int = 1000,
    recycle_bytes: int = 256 * 1024 * 1024,
) -> AsyncIterator[tuple[Pool, Renderers]]:
    settings = RenderConfig(
        processes=processes, max_tasks_per_process=recycle_jobs, max_memory_growth_bytes=recycle_bytes
    )
    async with Renderers(settings, works="renderer_tasks") as renderers:
        pool = Pool(renderers.directory, queue=queue, queue_seconds=30, result_bytes=result_bytes)
        yield pool, renderers


async def until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0)


async def ended(pid: int) -> None:
    """Wait for the end of a process, also of one that is not ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    event = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, event.set)
    await event.wait()
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)


async def pid_of(pool: Pool) -> int:
    """Which renderer is next."""
    return (await pool.run(ABOUT, None)).pid


async def descendants(pid: int) -> set[int]:
    """The processes that a process started, and those that they started."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found |= {child} | await descendants(child)
    return found


def http_workers(supervisor: int) -> set[int]:
    """The HTTP workers of a server, also those that do not answer yet."""
    task = Path(f"/proc/{supervisor}/task/{supervisor}")
    found = set()
    for child in map(int, (task / "children").read_text().split()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            if Path(f"/proc/{child}/comm").read_text() == f"{NAME}\n":
                found.add(child)
    return found
