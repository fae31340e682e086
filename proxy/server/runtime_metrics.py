"""How a worker is, noted once a second: what waits, what runs, its memory, a late event loop."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from proxy.render.pool import Pool
from proxy.telemetry.metrics import Telemetry

_SECONDS = 1.0


@asynccontextmanager
async def telling(telemetry: Telemetry, pool: Pool) -> AsyncIterator[None]:
    """Tell as long as the block lasts."""
    task = asyncio.create_task(_tell(telemetry, pool))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        tell(telemetry, pool)


async def _tell(telemetry: Telemetry, pool: Pool) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _SECONDS
        await asyncio.sleep(_SECONDS)
        tell(telemetry, pool, late=loop.time() - due)


def tell(telemetry: Telemetry, pool: Pool, late: float = 0.0) -> None:
    """Note how things are; ``late`` is by how many seconds the loop kept us waiting."""
    telemetry.copy("renders", pool.counts)
    telemetry.set("renders_waiting", pool.waiting)
    telemetry.set("renders_running", pool.running)
    telemetry.set("requests_running", telemetry.running)
    telemetry.set("loop_late_seconds", max(0.0, late))
    pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    telemetry.set("worker_resident_bytes", pages * os.sysconf("SC_PAGESIZE"))
