"""Background refresh: work that a stale answer starts and that no client waits for."""

import asyncio
import logging
from collections.abc import Coroutine

from proxy.errors import ProxyError
from proxy.runtime.background import BackgroundTasks, cancel

log = logging.getLogger("framekeep.cache.refresh")

_MAX_TASKS = 256


class BackgroundRefresh:
    """At most one task per key, and a bound on all of them.

    What is not started because of the bound is started by a later request that finds it stale.
    """

    def __init__(self, background: BackgroundTasks | None = None) -> None:
        self._background = background or BackgroundTasks()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, key: str, work: Coroutine[None, None, object]) -> None:
        if key in self._tasks or len(self._tasks) >= _MAX_TASKS:
            work.close()
            return
        task = self._background.run("background_refresh", _log_errors(work))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def close(self) -> None:
        """Cancel what is running."""
        await cancel(*self._tasks.values())


async def _log_errors(work: Coroutine[None, None, object]) -> None:
    try:
        await work
    except ProxyError as error:
        log.info("background refresh failed: %s %s", error, error.detail)
