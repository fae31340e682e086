"""What fails too often is not used for a while, then tried out by one call at a time."""

import asyncio

import pytest
from cache.suite import Clock
from hypothesis import given
from hypothesis import strategies as st
from render_processes import wait_until

from proxy.cache.failure_rate_breaker import (
    FAILURE_SHARE,
    MIN_FAILURES,
    PROBES,
    WINDOW_CALLS,
    FailureRateBreaker,
)

pytestmark = pytest.mark.anyio


class Failed(Exception):
    """The service has not done what it was asked to."""


def breaker_of(clock: Clock | None = None) -> FailureRateBreaker:
    return FailureRateBreaker("bucket", 60, (Failed,), clock=clock or Clock())


def call(breaker: FailureRateBreaker, *, fails: bool) -> None:
    with breaker.call():
        if fails:
            raise Failed


def calls(breaker: FailureRateBreaker, *outcomes: bool) -> None:
    for fails in outcomes:
        if fails:
            with pytest.raises(Failed):
                call(breaker, fails=True)
        else:
            call(breaker, fails=False)


async def probe(breaker: FailureRateBreaker, *, fails: bool = False) -> None:
    async with breaker.patient_call():
        if fails:
            raise Failed("again")


def open_breaker(clock: Clock) -> FailureRateBreaker:
    breaker = breaker_of(clock)
    calls(breaker, *[True] * MIN_FAILURES)
    assert breaker.state == "open"
    return breaker


def test_one_failure_changes_nothing() -> None:
    breaker = breaker_of()
    calls(breaker, True)
    assert breaker.allows()
    assert (breaker.state, breaker.error, breaker.skipped) == ("closed", "", 0)


def test_failures_alone_open_it_and_calls_are_skipped() -> None:
    breaker = breaker_of()
    calls(breaker, *[True] * (MIN_FAILURES - 1))
    assert breaker.allows()
    calls(breaker, True)
    assert not breaker.allows()
    assert (breaker.state, breaker.error, breaker.skipped) == ("open", "Failed", 1)


@given(st.lists(st.booleans(), max_size=60))
def test_it_opens_exactly_when_the_share_of_the_last_calls_is_reached(outcomes: list[bool]) -> None:
    breaker = breaker_of()
    made: list[bool] = []
    for fails in outcomes:
        calls(breaker, fails)
        made.append(fails)
        last = made[-WINDOW_CALLS:]
        reached = sum(last) >= max(MIN_FAILURES, FAILURE_SHARE * len(last))
        # Only a failure opens it: what leaves the window may raise the share.
        assert bool(breaker.error) == (reached and fails)
        if breaker.error:
            return


def test_what_is_no_failure_of_the_service_does_not_count() -> None:
    breaker = breaker_of()
    for _ in range(WINDOW_CALLS):
        with pytest.raises(KeyError), breaker.call():
            raise KeyError
    assert breaker.allows()


async def test_some_successful_probes_close_it() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 61
    for _ in range(PROBES):
        assert breaker.state == "half_open"
        assert not breaker.allows()  # no request tries it out
        await probe(breaker)
    assert breaker.allows()
    calls(breaker, *[True] * (MIN_FAILURES - 1))
    assert breaker.allows()  # what failed before is forgotten


async def test_a_probe_that_fails_opens_it_again() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 61
    await probe(breaker)
    with pytest.raises(Failed):
        await probe(breaker, fails=True)
    assert (breaker.state, breaker.error) == ("open", "Failed: again")
    clock.now += 61
    for _ in range(PROBES):
        await probe(breaker)
    assert breaker.state == "closed"


async def test_calls_that_began_before_it_opened_change_nothing() -> None:
    clock = Clock()
    breaker = breaker_of(clock)
    with breaker.call():
        calls(breaker, *[True] * MIN_FAILURES)
    clock.now += 61
    calls(breaker, *[False] * PROBES)
    assert breaker.state == "half_open"


async def test_one_call_at_a_time_tries_it_out_and_the_others_wait() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 61
    running, answered = 0, asyncio.Event()

    async def patient() -> None:
        nonlocal running
        async with breaker.patient_call():
            running += 1
            await answered.wait()

    waiting = [asyncio.create_task(patient()) for _ in range(10)]
    await wait_until(lambda: running == 1)
    await asyncio.sleep(0)
    assert running == 1
    answered.set()
    await asyncio.gather(*waiting)
    assert running == 10
    assert breaker.state == "closed"


async def test_a_probe_that_is_cancelled_leaves_its_place_to_another() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    breaker.probe_soon()
    began = asyncio.Event()

    async def hang() -> None:
        async with breaker.patient_call():
            began.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await began.wait()
    other = asyncio.create_task(probe(breaker))
    hanging.cancel()
    await other
    assert breaker.state == "half_open"


async def test_who_waits_for_it_to_open_is_told() -> None:
    breaker = breaker_of()
    waiting = asyncio.create_task(breaker.wait_open())
    await asyncio.sleep(0)
    calls(breaker, *[True] * MIN_FAILURES)
    await waiting
