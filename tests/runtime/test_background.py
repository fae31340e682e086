"""Background tasks: whatever fails is logged, counted, and tried again."""

import asyncio
import logging

import pytest

from proxy.runtime.background import BackgroundTasks, TaskFailed

pytestmark = pytest.mark.anyio


class Panic(BaseException):
    """What a library in Rust raises when it panics: it is no Exception."""


class Work:
    """Raises these errors one after the other, then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.succeeded = asyncio.Event()

    async def step(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        if self.succeeded.is_set():
            await asyncio.Event().wait()
        self.succeeded.set()


def tasks() -> BackgroundTasks:
    return BackgroundTasks(min_backoff_seconds=0.001, max_backoff_seconds=0.004)


@pytest.mark.parametrize(
    "error", [OSError("disk"), ZeroDivisionError(), asyncio.CancelledError(), Panic("at line 7")]
)
async def test_a_repeated_step_returns_after_any_failure(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    background, work = tasks(), Work(error, error, error)
    background.repeat("example", work.step)
    await work.succeeded.wait()
    assert background.failures == {"example": 3}
    assert "background task failed (task=example)" in caplog.text
    assert "Traceback" in caplog.text
    assert "recovered" in caplog.text
    assert not background.failing
    await background.close()


async def test_a_task_is_failing_until_its_next_success() -> None:
    changes: list[dict[str, str]] = []
    background = BackgroundTasks(
        min_backoff_seconds=0.001, on_change=lambda: changes.append(dict(background.failing))
    )
    work = Work(OSError("disk"))
    background.repeat("example", work.step)
    await work.succeeded.wait()
    await asyncio.sleep(0)
    assert changes == [{"example": "OSError: disk"}, {}]
    await background.close()


async def test_work_that_must_run_is_started_again_until_it_returns() -> None:
    background, work = tasks(), Work(OSError(), TaskFailed("it exited"))
    await background.restart("example", work.step)
    assert work.succeeded.is_set()
    assert background.failures == {"example": 2}
    assert not background.failing


async def test_a_failure_that_says_everything_is_logged_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    background = tasks()
    await background.restart("example", Work(TaskFailed("worker 7 exited with -9")).step)
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert record.getMessage().startswith(
        "background task failed (task=example): worker 7 exited with -9; next try in"
    )
    assert record.exc_info is None


async def test_work_that_is_done_once_is_counted_when_it_fails() -> None:
    background = tasks()
    await background.run("example", Work(ZeroDivisionError()).step())
    assert background.failures == {"example": 1}


async def test_a_task_that_is_cancelled_ends_and_has_not_failed() -> None:
    background = tasks()
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    task = background.repeat("example", wait)
    background.run("once", wait())
    await started.wait()
    await background.close()
    assert task.cancelled()
    assert not background.failures
