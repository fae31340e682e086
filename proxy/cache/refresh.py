"""Background refresh: work that a stale answer starts and that no client waits for."""

import asyncio
import logging
from collections.abc import Coroutine

from proxy.errors import ProxyError

log = logging.getLogger("framekeep.cache.refresh")

_MAX_TASKS = 256


class BackgroundRefresh:
    """At most one task per key, and a bound on all of them.

    What is not started because of the bound is started by a later request that finds it stale.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, key: str, work: Coroutine[None, None, object]) -> None:
        if key in self._tasks or len(self._tasks) >= _MAX_TASKS:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(_log_errors(work))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def close(self) -> None:
        """Cancel what is running."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _log_errors(work: Coroutine[None, None, object]) -> None:
    try:
        await work
    except ProxyError as error:
        log.info("background refresh failed: %s %s", error, error.detail)
