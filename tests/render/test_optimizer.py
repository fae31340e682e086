"""When a rendition is made once more, and when that is given up for a request."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from render_processes import wait_until

from proxy.render.config import OptimizationConfig
from proxy.render.optimizer import Optimizer, Outcome
from proxy.render.pool import RenderPool
from proxy.render.request_counts import RequestCounts
from proxy.runtime.background import BackgroundTasks

pytestmark = pytest.mark.anyio

KEY, OTHER = "ab" * 32, "cd" * 32


class Bench:
    """An optimizer with its pool, and a clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.pool = RenderPool(Path())
        self.now = 0.0
        self.stopping = False
        self.optimizer = Optimizer(
            OptimizationConfig("popular"),
            self.pool,
            RequestCounts(None),
            BackgroundTasks(),
            stopping=lambda: self.stopping,
            clock=lambda: self.now,
        )
        self.started = 0
        self.release = asyncio.Event()

    async def work(self) -> Outcome:
        self.started += 1
        await self.release.wait()
        return "improved"

    async def done(self) -> None:
        await wait_until(lambda: not len(self.optimizer))


async def test_a_key_is_due_at_its_third_request_and_not_while_it_waits() -> None:
    bench = Bench()
    assert [bench.optimizer.count_request(KEY) for _ in range(3)] == [False, False, True]
    bench.optimizer.start(KEY, bench.work)
    assert not bench.optimizer.count_request(KEY)
    assert not bench.optimizer.count_request(OTHER)
    bench.release.set()
    await bench.done()
    assert bench.optimizer.outcomes == {"improved": 1}


async def test_an_attempt_is_not_repeated_before_a_minute_then_two() -> None:
    bench = Bench()
    bench.release.set()
    for _ in range(2):
        bench.optimizer.count_request(KEY)
    for seconds in (60, 120, 240):
        assert bench.optimizer.count_request(KEY)
        bench.optimizer.start(KEY, bench.work)
        await bench.done()
        bench.now += seconds - 1
        assert not bench.optimizer.count_request(KEY)
        bench.now += 1


async def test_it_waits_while_a_render_process_works_for_a_request() -> None:
    bench = Bench()
    bench.release.set()
    with bench.pool.load.count_running():
        bench.optimizer.start(KEY, bench.work)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not bench.started
        assert len(bench.optimizer) == 1
    await bench.done()
    assert bench.optimizer.outcomes == {"improved": 1}


async def test_a_request_that_waits_interrupts_it() -> None:
    bench = Bench()
    bench.optimizer.start(KEY, bench.work)
    await wait_until(lambda: bench.started)
    with bench.pool.load.count_waiting("interactive"):
        await bench.done()
    assert bench.optimizer.outcomes == {"interrupted": 1}


async def test_what_nobody_waits_for_does_not_interrupt_it() -> None:
    bench = Bench()
    bench.optimizer.start(KEY, bench.work)
    await wait_until(lambda: bench.started)
    with bench.pool.load.count_waiting("background"), bench.pool.load.count_running():
        for _ in range(20):
            await asyncio.sleep(0)
        bench.release.set()
        await bench.done()
    assert bench.optimizer.outcomes == {"improved": 1}


async def test_a_worker_that_stops_cancels_what_runs_and_starts_nothing() -> None:
    bench = Bench()
    bench.optimizer.start(KEY, bench.work)
    bench.optimizer.start(OTHER, bench.work)
    await wait_until(lambda: bench.started)
    bench.stopping = True
    await bench.done()
    assert (bench.started, bench.optimizer.outcomes) == (1, {"interrupted": 1})
    assert not any(bench.optimizer.count_request(KEY) for _ in range(9))


async def test_closing_cancels_what_runs() -> None:
    bench = Bench()
    bench.optimizer.start(KEY, bench.work)
    await wait_until(lambda: bench.started)
    await bench.optimizer.close()
    await bench.done()


async def test_the_queue_is_bounded() -> None:
    bench = Bench()
    with bench.pool.load.count_running():
        for number in range(400):
            bench.optimizer.start(f"{number:064x}", bench.work)
        assert len(bench.optimizer) == 256
        assert bench.optimizer.outcomes == {"dropped": 144}
    await bench.optimizer.close()


@given(st.lists(st.sampled_from([KEY, OTHER]), max_size=20))
def test_requests_are_counted_by_key(keys: list[str]) -> None:
    counts = RequestCounts(None)
    for index, key in enumerate(keys):
        assert counts.add(key) == keys[: index + 1].count(key)


def test_workers_count_together(tmp_path: Path) -> None:
    one, other = (RequestCounts(tmp_path / "counts") for _ in range(2))
    assert [one.add(KEY), other.add(KEY), one.add(KEY)] == [1, 2, 3]


def test_a_count_ends_at_255() -> None:
    counts = RequestCounts(None)
    assert [counts.add(KEY) for _ in range(300)][-1] == 255
