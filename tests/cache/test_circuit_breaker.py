"""A store that does not answer is not used for a while."""

import threading
from concurrent.futures import Future

import pytest

from proxy.cache.circuit_breaker import CircuitBreaker
from proxy.cache.io_threads import DiskBusy, IoThreads

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_is_closed_at_first() -> None:
    breaker = CircuitBreaker("disk", 5)
    assert breaker.allows()
    assert (breaker.error, breaker.skipped) == ("", 0)


def test_it_stays_open_for_a_while() -> None:
    clock = Clock()
    breaker = CircuitBreaker("disk", 5, clock=clock)
    breaker.open("no answer")
    assert not breaker.allows()
    assert (breaker.error, breaker.skipped) == ("no answer", 1)
    clock.now += 4.9
    assert not breaker.allows()
    clock.now += 0.2
    assert breaker.allows()
    assert breaker.error == ""


def test_it_stays_open_until_the_calls_that_were_given_up_have_ended() -> None:
    clock = Clock()
    breaker = CircuitBreaker("disk", 5, clock=clock)
    hanging: list[Future[None]] = [Future(), Future()]
    for call in hanging:
        breaker.open("no answer", call)
    clock.now += 1000
    assert not breaker.allows()
    hanging[0].set_result(None)
    assert not breaker.allows()
    hanging[1].set_exception(OSError("input/output error"))  # an answer, too
    assert breaker.allows()


async def test_callers_that_wait_are_released_when_it_opens() -> None:
    breaker = CircuitBreaker("disk", 5)
    opened = breaker.opened()
    breaker.open("no answer")
    await opened
    assert not breaker.opened().done()


async def test_a_call_that_hangs_opens_it_for_all_threads() -> None:
    breaker = CircuitBreaker("disk", 0)
    first = IoThreads("first", breaker, threads=1, queue=10, timeout_seconds=0.05)
    second = IoThreads("second", breaker, threads=1, queue=10, timeout_seconds=60)
    answered = threading.Event()
    with pytest.raises(DiskBusy, match=r"disk timeout exceeded after 0\.05 s"):
        await first.run(answered.wait)
    for threads in (first, second):
        with pytest.raises(DiskBusy):
            await threads.run(int)
        with pytest.raises(DiskBusy):
            await threads.run_behind(int, wait_seconds=60)
    assert breaker.skipped == 4
    assert not first.close(timeout_seconds=0)
    answered.set()
    assert first.close(timeout_seconds=60)
    assert await second.run(int) == 0
    assert second.close(timeout_seconds=60)


async def test_a_call_that_only_waited_in_a_queue_does_not_open_it() -> None:
    breaker = CircuitBreaker("disk", 60)
    threads = IoThreads("one", breaker, threads=1, queue=10, timeout_seconds=0.05)
    answered = threading.Event()
    await threads.run_behind(answered.wait, wait_seconds=0)
    with pytest.raises(DiskBusy):
        await threads.run(int)
    answered.set()
    assert threads.close(timeout_seconds=60)


async def test_a_call_behind_the_caller_goes_on() -> None:
    breaker = CircuitBreaker("disk", 60)
    threads = IoThreads("one", breaker, threads=1, queue=10, timeout_seconds=60)
    started, answered, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        answered.wait()
        done.set()

    await threads.run_behind(work, wait_seconds=0)
    assert not done.is_set()
    answered.set()
    assert threads.close(timeout_seconds=60)
    assert done.is_set()
    assert not breaker.error


async def test_nobody_waits_for_a_disk_that_is_slow_already() -> None:
    threads = IoThreads("one", CircuitBreaker("disk", 1), threads=1, queue=9, timeout_seconds=600)
    answered = threading.Event()
    await threads.run_behind(answered.wait, wait_seconds=0)
    await threads.run_behind(int, wait_seconds=300)
    answered.set()
    assert threads.close(timeout_seconds=60)


async def test_an_error_is_raised_if_the_caller_still_waits() -> None:
    threads = IoThreads("one", CircuitBreaker("disk", 1), threads=1, queue=1, timeout_seconds=60)

    def fail() -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - any will do
        await threads.run_behind(fail, wait_seconds=60)
    assert threads.close(timeout_seconds=60)
