"""Run background tasks: nobody awaits them, so here their failures are logged, counted and healed.

Every task of this package that no request waits for is started here. There are three ways:

1. `repeat`: a step that must happen again and again, for as long as the process lives.
2. `restart`: work that must be running until it returns.
3. `run`: work that is done once.

What fails is logged with its traceback and counted by task. The first two are tried again, after a
time that doubles with each failure in a row; until the next success the task is in `failing`, from
where readiness and metrics take it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import Context
from typing import Any

from proxy.runtime.tracebacks import release_tracebacks

logger = logging.getLogger("framekeep.telemetry.background")

_MIN_BACKOFF_SECONDS = 0.1
_MAX_BACKOFF_SECONDS = 10.0


class TaskFailed(Exception):
    """The work cannot go on; the message is sufficient, so no traceback is logged."""


class BackgroundTasks:
    """The background tasks of one process, by name; tasks that do the same share a name.

    ``failures`` counts by name what has failed since the start.
    """

    def __init__(
        self,
        *,
        min_backoff_seconds: float = _MIN_BACKOFF_SECONDS,
        max_backoff_seconds: float = _MAX_BACKOFF_SECONDS,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_change`` is called after each change of ``failing``."""
        self._min_backoff_seconds = min_backoff_seconds
        self._max_backoff_seconds = max_backoff_seconds
        self._on_change = on_change
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing: dict[object, tuple[str, str]] = {}
        self.failures: Counter[str] = Counter()

    @property
    def failing(self) -> Mapping[str, str]:
        """The names of the tasks that wait for another try, with the reason."""
        return dict(self._failing.values())

    def repeat(
        self, name: str, step: Callable[[], Awaitable[object]], *, every_seconds: float = 0.0
    ) -> asyncio.Task[None]:
        """Do the step again and again, with a pause after each, until the task is cancelled."""

        async def steps(succeeded: Callable[[], None]) -> None:
            while True:
                await step()
                succeeded()
                await asyncio.sleep(every_seconds)

        return self._start(self._supervise(name, steps))

    def restart(self, name: str, work: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
        """Run the work until it returns; start it again where it raises.

        It counts as well again once it has run for as long as the longest pause between two tries.
        """

        async def observed(succeeded: Callable[[], None]) -> None:
            timer = asyncio.get_running_loop().call_later(self._max_backoff_seconds, succeeded)
            try:
                await work()
            finally:
                timer.cancel()

        return self._start(self._supervise(name, observed))

    def run(
        self,
        name: str,
        work: Coroutine[Any, Any, object],
        *,
        context: Context | None = None,
    ) -> asyncio.Task[None]:
        """Run the work once. Without a ``context`` it has a copy of the caller's."""
        return self._start(self._run_once(name, work), context)

    async def close(self) -> None:
        """Cancel every task, and wait until all have ended."""
        await cancel(*self._tasks)

    def record_failure(self, name: str, error: BaseException, *, consequence: str = "") -> None:
        """Log and count a failure. Must be called in the handler of the exception."""
        self.failures[name] += 1
        reason = describe(error)
        traceback = None if isinstance(error, TaskFailed) else error
        logger.error(
            "background task failed (task=%s): %s%s", name, reason, consequence, exc_info=traceback
        )
        release_tracebacks(error)

    def _start(
        self, work: Coroutine[Any, Any, None], context: Context | None = None
    ) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run_once(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            self.record_failure(name, error)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - nobody else would learn of it
            self.record_failure(name, error)

    async def _supervise(
        self, name: str, work: Callable[[Callable[[], None]], Awaitable[None]]
    ) -> None:
        place, backoff = object(), 0.0

        def succeeded() -> None:
            nonlocal backoff
            backoff = 0.0
            if self._failing.pop(place, None):
                logger.warning("background task recovered (task=%s)", name)
                self._on_change()

        try:
            while True:
                try:
                    await work(succeeded)
                    return succeeded()
                except asyncio.CancelledError as error:
                    if _is_cancelled():
                        raise
                    failure: BaseException = error
                except (KeyboardInterrupt, SystemExit, GeneratorExit):
                    raise
                except BaseException as error:  # noqa: BLE001 - a panic of a Rust library is no Exception
                    failure = error
                backoff = min(self._max_backoff_seconds, backoff * 2 or self._min_backoff_seconds)
                self.record_failure(name, failure, consequence=f"; next try in {backoff:g} s")
                self._failing[place] = name, describe(failure)
                self._on_change()
                await asyncio.sleep(backoff)
        finally:
            self._failing.pop(place, None)


async def cancel(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def describe(error: BaseException) -> str:
    """One line that describes the error."""
    if isinstance(error, TaskFailed):
        return str(error)
    return f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")


def _is_cancelled() -> bool:
    """Whether a CancelledError was meant for this task, not for something that it awaits."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
