"""A read that takes longer than most is sent twice, and the first answer counts."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from cache.suite import Clock
from render_processes import wait_until

from proxy.cache.hedged_reads import MAX_SHARE, HedgedReads

pytestmark = pytest.mark.anyio

Read = Callable[[], Awaitable[int]]


class Reads:
    """Reads whose results a test sets, by their number."""

    def __init__(self) -> None:
        self.results: list[asyncio.Future[int]] = []

    async def __call__(self) -> int:
        self.results.append(asyncio.get_running_loop().create_future())
        return await self.results[-1]


def answers(*results: int | Exception) -> Read:
    left = list(results)

    async def read() -> int:
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    return read


async def test_a_read_that_is_answered_is_sent_once() -> None:
    hedged = HedgedReads(60)
    assert await hedged.do(answers(1)) == 1
    assert not hedged.outcomes


@pytest.mark.parametrize(("answered", "outcome"), [(0, "lost"), (1, "won")])
async def test_a_slow_read_is_sent_again_and_the_first_answer_counts(
    answered: int, outcome: str
) -> None:
    hedged, reads = HedgedReads(0), Reads()
    reading = asyncio.create_task(hedged.do(reads))
    await wait_until(lambda: len(reads.results) == 2)
    reads.results[answered].set_result(7)
    assert await reading == 7
    assert reads.results[1 - answered].cancelled()
    assert hedged.outcomes == {outcome: 1}


async def test_a_read_that_fails_is_sent_again_at_once() -> None:
    hedged = HedgedReads(60)
    assert await hedged.do(answers(OSError(), 2)) == 2
    assert hedged.outcomes == {"won": 1}


async def test_where_both_fail_the_error_is_that_of_the_last() -> None:
    hedged = HedgedReads(60)
    with pytest.raises(OSError, match="second"):
        await hedged.do(answers(OSError("first"), OSError("second")))


async def test_a_caller_that_leaves_ends_both_reads() -> None:
    hedged, reads = HedgedReads(0), Reads()
    reading = asyncio.create_task(hedged.do(reads))
    await wait_until(lambda: len(reads.results) == 2)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert all(result.cancelled() for result in reads.results)


async def test_few_reads_are_sent_twice_however_many_fail() -> None:
    hedged = HedgedReads(60)
    made = 0

    async def fail() -> int:
        nonlocal made
        made += 1
        raise OSError

    for _ in range(1000):
        with pytest.raises(OSError):  # noqa: PT011 - any will do
            await hedged.do(fail)
    assert made - 1000 <= 10 + MAX_SHARE * 1000


async def test_the_delay_is_the_time_that_nearly_all_reads_take() -> None:
    clock = Clock()
    hedged = HedgedReads(0.2, clock=clock)
    assert hedged.delay_seconds == 0.2

    async def read_in(seconds: float) -> int:
        async def read() -> int:
            clock.now += seconds
            return 1

        return await hedged.do(read)

    for number in range(100):
        await read_in(0.02 if number % 20 else 9.0)
    assert 0.02 <= hedged.delay_seconds <= 0.2
    for _ in range(100):
        await read_in(0.02)
    assert 0.02 <= hedged.delay_seconds < 0.03
    for _ in range(100):
        await read_in(9.0)
    assert hedged.delay_seconds == 0.2
