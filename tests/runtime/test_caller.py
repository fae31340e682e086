"""The deadline of a caller, and that of work which several callers wait for."""

import asyncio
import math

import pytest

from proxy.errors import Overloaded
from proxy.runtime.caller import Caller, Deadline, SharedDeadline, current_caller, serving

pytestmark = pytest.mark.anyio


def queue_error() -> Overloaded:
    return Overloaded("waiting in a queue")


def test_without_a_request_there_is_no_deadline() -> None:
    assert current_caller().deadline.remaining() == math.inf
    default = Caller("background", Deadline(5))
    assert current_caller(default) is default
    caller = Caller("a", Deadline(1))
    with serving(caller):
        assert current_caller(default) is caller
    assert current_caller(default) is default


def test_shared_work_has_the_time_of_its_most_patient_caller() -> None:
    shared = SharedDeadline()
    with shared.joined_by(Deadline(30)):
        assert shared.seconds == 30
        with shared.joined_by(Deadline(120)):
            assert shared.seconds == 120
            assert 119 < shared.remaining() <= 120
        assert shared.remaining() <= 30


async def wait_for_work(caller: Deadline, *works: SharedDeadline) -> None:
    """Wait for the first work, which waits for the second, and so on; the last is in a queue."""
    if not works:
        with caller.waiting(queue_error):
            await asyncio.Event().wait()
    work, *others = works
    task = asyncio.create_task(wait_for_work(work, *others))
    try:
        with work.joined_by(caller):
            await asyncio.wait([task])
    finally:
        task.cancel()


@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_the_error_names_the_wait_that_the_deadline_ended(depth: int) -> None:
    deadline = Deadline(0.05)
    with pytest.raises(TimeoutError):
        async with deadline.timeout():
            await wait_for_work(deadline, *(SharedDeadline() for _ in range(depth)))
    assert str(deadline.interrupted_wait()) == "waiting in a queue"


async def test_a_cancellation_before_the_deadline_is_no_interrupted_wait() -> None:
    deadline = Deadline(60)

    async def wait() -> None:
        with deadline.waiting(queue_error):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    assert str(deadline.current_wait()) == "waiting in a queue"
    task.cancel()
    await asyncio.wait([task])
    assert deadline.current_wait() is None
    assert deadline.interrupted_wait() is None


async def test_work_that_is_done_at_the_deadline_is_no_wait() -> None:
    deadline, work = Deadline(0.001), SharedDeadline()

    async def wait_for_work() -> None:
        with work.joined_by(deadline):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with deadline.timeout():
            await wait_for_work()
    assert deadline.interrupted_wait() is None
