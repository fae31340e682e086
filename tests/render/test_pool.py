import asyncio
import os
import signal

import pytest
from render_processes import ended, pid_of, running, until
from renderer_tasks import BLUR, DIE, ECHO, FAULT, LANE, REFUSE, SIZE, WAIT

from proxy.buffers import SharedBuffer
from proxy.errors import DeadlineExceeded, InvalidOperation, Overloaded, RenderFailed
from proxy.render.pool import Pool

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


async def test_work_is_done_in_another_process_on_mapped_originals() -> None:
    async with running() as (pool, _):
        originals = [
            SharedBuffer.of(b"12345"),
            SharedBuffer.of(b""),
            SharedBuffer.of(bytes(3_000_000)),
        ]
        assert await pool.run(SIZE, 7, originals) == [7, 5, 0, 3_000_000]
        assert await pid_of(pool) != os.getpid()


async def test_a_large_answer_arrives_whole() -> None:
    async with running() as (pool, _):
        assert await pool.run(ECHO, 20_000_000) == b"x" * 20_000_000


async def test_an_answer_over_the_bound_is_not_taken() -> None:
    async with running(result_bytes=1000) as (pool, _):
        with pytest.raises(RenderFailed):
            await pool.run(ECHO, 1001)


async def test_what_the_work_raises_is_raised_here() -> None:
    async with running() as (pool, _):
        with pytest.raises(InvalidOperation, match="width is wrong") as caught:
            await pool.run(REFUSE, "width is wrong")
        assert caught.value.field == "width"
        assert caught.value.operation == 3
        assert caught.value.detail == "for the log"


async def test_a_fault_of_ours_is_told_in_the_log_only_and_not_tried_again() -> None:
    async with running() as (pool, _):
        with pytest.raises(RenderFailed) as caught:
            await pool.run(FAULT, None)
        assert "ZeroDivisionError" in caught.value.detail
        assert "ZeroDivisionError" not in str(caught.value)
        assert pool.counts["crashed"] == 0


async def test_a_renderer_that_dies_is_replaced_and_the_work_done_again() -> None:
    async with running() as (pool, _):
        first = await pid_of(pool)
        assert await pool.run(DIE, first) not in (first, os.getpid())
        assert pool.counts["crashed"] == 1


async def test_work_that_kills_twice_fails_and_others_go_on() -> None:
    async with running(2) as (pool, _):
        with pytest.raises(RenderFailed):
            await pool.run(DIE, 0)
        assert pool.counts["crashed"] == 2
        assert await pool.run(SIZE, 1) == [1]


async def test_the_deadline_holds_inside_a_call_of_libvips() -> None:
    async with running() as (pool, _):
        with pytest.raises(DeadlineExceeded, match=r"0\.2 seconds"):
            await pool.run(BLUR, 100_000, seconds=0.2)
        assert await pool.run(SIZE, 1) == [1]


async def test_a_full_queue_refuses_at_once() -> None:
    async with running(queue=1) as (pool, _):
        gate = SharedBuffer.of(b"\0")
        first = asyncio.create_task(pool.run(WAIT, None, [gate]))
        await until(lambda: pool.running == 1)
        second = asyncio.create_task(pool.run(SIZE, 2))
        await until(lambda: pool.waiting == 1)
        with pytest.raises(Overloaded) as caught:
            await pool.run(SIZE, 3)
        assert caught.value.retry_after >= 1
        os.pwrite(gate.descriptor, b"\1", 0)
        await first
        assert await second == [2]


async def test_who_waits_too_long_for_a_renderer_is_refused() -> None:
    async with running() as (pool, renderers):
        gate = SharedBuffer.of(b"\0")
        first = asyncio.create_task(pool.run(WAIT, None, [gate]))
        await until(lambda: pool.running == 1)
        with pytest.raises(Overloaded):
            await Pool(renderers.directory, queue_seconds=0.01).run(SIZE, 1)
        os.pwrite(gate.descriptor, b"\1", 0)
        await first


async def test_what_was_given_up_while_it_waited_is_not_begun() -> None:
    async with running() as (pool, _):
        gate = SharedBuffer.of(b"\0")
        first = asyncio.create_task(pool.run(WAIT, None, [gate]))
        await until(lambda: pool.running == 1)
        second = asyncio.create_task(pool.run(DIE, 0))
        await until(lambda: pool.waiting == 1)
        second.cancel()
        await until(second.done)
        os.pwrite(gate.descriptor, b"\1", 0)
        assert await first == await pid_of(pool)


async def test_work_that_nobody_waits_for_is_ended() -> None:
    async with running() as (pool, _):
        pid = await pid_of(pool)
        work = asyncio.create_task(pool.run(WAIT, None, [SharedBuffer.of(b"\0")]))
        await until(lambda: pool.running == 1)
        work.cancel()
        await ended(pid)
        assert await pid_of(pool) != pid
        assert pool.counts["abandoned"] == 1


async def test_dear_work_is_moved_to_its_own_lane() -> None:
    async with running(2) as (pool, _):
        assert await pool.run(LANE, False) == "live"
        assert await pool.run(LANE, True) == "heavy"
        assert await pool.run(LANE, False, lane="background") == "background"


async def test_cheap_work_is_done_while_dear_work_is_all_that_goes_on() -> None:
    async with running(2) as (pool, _):
        gate = SharedBuffer.of(b"\0")
        heavy = [asyncio.create_task(pool.run(WAIT, None, [gate], lane="heavy")) for _ in range(3)]
        await until(lambda: pool.running == 1)
        assert await pool.run(SIZE, 1) == [1]
        assert (pool.running, pool.waiting) == (1, 2)
        os.pwrite(gate.descriptor, b"\1", 0)
        await asyncio.gather(*heavy)


async def test_a_fork_server_that_dies_is_started_again_and_callers_notice_nothing() -> None:
    async with running() as (pool, renderers):
        before = await pid_of(pool)
        os.kill(renderers.process.pid, signal.SIGKILL)
        await ended(before)
        assert await pid_of(pool) != before


async def test_nothing_is_left_when_it_stops() -> None:
    async with running(2) as (pool, renderers):
        pids = {await pid_of(pool) for _ in range(8)}
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not renderers.directory.exists()
    with pytest.raises(RenderFailed):
        await pool.run(SIZE, 1)
