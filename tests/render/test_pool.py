import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from render_processes import closed_gate, next_pid, render_processes, wait_exited, wait_until
from renderer_tasks import BLOCK, BLUR, BUG, BYTES, DIE, FAIL, PRIORITY, SIZES, SLEEP, WAIT

from proxy.buffers import SharedBuffer
from proxy.errors import DeadlineExceeded, InvalidOperation, Overloaded, RenderFailed
from proxy.render.pool import RenderPool
from proxy.runtime.caller import Caller, Deadline, serving

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


async def test_a_task_runs_in_another_process_on_mapped_buffers() -> None:
    async with render_processes() as (pool, _):
        buffers = [
            SharedBuffer.from_bytes(b"12345"),
            SharedBuffer.from_bytes(b""),
            SharedBuffer.from_bytes(bytes(3_000_000)),
        ]
        assert await pool.run(SIZES, 7, buffers) == [7, 5, 0, 3_000_000]
        assert await next_pid(pool) != os.getpid()


async def test_a_large_result_arrives_completely() -> None:
    async with render_processes() as (pool, _):
        assert await pool.run(BYTES, 20_000_000) == b"x" * 20_000_000


async def test_a_result_above_the_limit_is_not_read() -> None:
    async with render_processes(max_result_bytes=1000) as (pool, _):
        with pytest.raises(RenderFailed):
            await pool.run(BYTES, 1001)


async def test_an_error_of_the_task_is_raised_in_the_caller() -> None:
    async with render_processes() as (pool, _):
        with pytest.raises(InvalidOperation, match="width is wrong") as raised:
            await pool.run(FAIL, "width is wrong")
        assert raised.value.field == "width"
        assert raised.value.operation == 3
        assert raised.value.detail == "for the log"


async def test_a_bug_is_described_only_in_the_detail_and_not_retried() -> None:
    async with render_processes() as (pool, _):
        with pytest.raises(RenderFailed) as raised:
            await pool.run(BUG, None)
        assert "ZeroDivisionError" in raised.value.detail
        assert "ZeroDivisionError" not in str(raised.value)
        assert pool.outcomes["crashed"] == 0


async def test_a_process_that_dies_is_replaced_and_the_task_retried() -> None:
    async with render_processes() as (pool, _):
        first = await next_pid(pool)
        assert await pool.run(DIE, first) not in (first, os.getpid())
        assert pool.outcomes["crashed"] == 1


async def test_a_task_that_kills_two_processes_fails_and_others_go_on() -> None:
    async with render_processes(2) as (pool, _):
        with pytest.raises(RenderFailed):
            await pool.run(DIE, 0)
        assert pool.outcomes["crashed"] == 2
        assert await pool.run(SIZES, 1) == [1]


async def test_a_task_that_gets_no_cpu_time_ends_at_the_limit_of_the_clock() -> None:
    async with render_processes() as (_, manager):
        pool = RenderPool(manager.directory, wall_seconds=0.3)
        with pytest.raises(DeadlineExceeded, match=r"0\.3 s after .*RENDER_WALL_TIMEOUT"):
            await pool.run(SLEEP, 600)
        assert await pool.run(SIZES, 1) == [1]
        assert pool.outcomes["deadline"] == 1


async def test_a_render_that_is_kept_from_the_cpu_is_not_ended_by_its_cpu_time() -> None:
    async with render_processes() as (pool, _):
        assert await pool.run(SLEEP, 0.5, cpu_seconds=0.1) == 0.5


async def test_cpu_time_is_limited_where_a_call_blocks_the_interpreter() -> None:
    async with render_processes() as (pool, _):
        with pytest.raises(DeadlineExceeded, match="CPU"):
            await pool.run(BLOCK, 10**9, cpu_seconds=0.1)
        assert await pool.run(SIZES, 1) == [1]


async def test_the_deadline_holds_inside_a_call_of_libvips() -> None:
    async with render_processes() as (pool, _):
        with pytest.raises(DeadlineExceeded, match=r"0\.2 s of CPU .*LIMITS_RENDER_TIMEOUT"):
            await pool.run(BLUR, 100_000, cpu_seconds=0.2)
        assert await pool.run(SIZES, 1) == [1]


@asynccontextmanager
async def busy(pool: RenderPool) -> AsyncIterator[None]:
    """Its only process is busy during the block."""
    gate = closed_gate()
    first = asyncio.create_task(pool.run(WAIT, None, [gate]))
    await wait_until(lambda: pool.load.running == 1)
    yield
    os.pwrite(gate.descriptor, b"\1", 0)
    await first


async def run_for(pool: RenderPool, client: str, done: list[str]) -> None:
    with serving(Caller(client, Deadline())):
        await pool.run(SIZES, 1)
    done.append(client)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_any_number_of_tasks_waits_and_few_of_them_in_the_kernel() -> None:
    async with render_processes() as (pool, manager):
        async with busy(pool):
            tasks = [asyncio.create_task(pool.run(SIZES, number)) for number in range(500)]
            before = open_descriptors()
            await wait_until(lambda: pool.load.waiting == 500)
            assert open_descriptors() < before + 10  # a task that waits needs none
            assert len(pool._admission.queue("interactive")) == 499
            assert pool.load.queue_lengths == {"interactive": 500, "expensive": 0, "background": 0}
        assert await asyncio.gather(*tasks) == [[number] for number in range(500)]
        assert pool.load.waiting == 0
        assert manager.fork_server.poll() is None


async def test_clients_take_turns() -> None:
    async with render_processes() as (pool, _):
        done: list[str] = []
        async with busy(pool):
            tasks = [asyncio.create_task(run_for(pool, "many", done)) for _ in range(200)]
            await wait_until(lambda: pool.load.waiting == 200)
            tasks += [asyncio.create_task(run_for(pool, "few", done)) for _ in range(3)]
            await wait_until(lambda: pool.load.waiting == 203)
        await asyncio.gather(*tasks)
        last = max(position for position, client in enumerate(done) if client == "few")
        assert last < 12  # six turns, what was at the processes before, and some disorder


async def test_a_task_that_could_not_be_finished_in_time_is_refused_at_once() -> None:
    async with render_processes() as (pool, _):
        await asyncio.gather(*(pool.run(SIZES, 1) for _ in range(50)))  # measures the pace
        async with busy(pool):
            tasks = [asyncio.create_task(pool.run(SIZES, 1)) for _ in range(1000)]
            await wait_until(lambda: pool.load.waiting == 1000)
            seconds = pool.wait_seconds("interactive")
            assert seconds > 0
            with serving(Caller("", Deadline(seconds / 2))), pytest.raises(Overloaded) as raised:
                await pool.run(SIZES, 1)
            assert raised.value.retry_after >= 1
            assert pool.outcomes["rejected"] == 1
        await asyncio.gather(*tasks)


async def test_a_caller_that_leaves_the_queue_frees_its_buffers() -> None:
    async with render_processes() as (pool, _):
        async with busy(pool):
            buffer = SharedBuffer.from_bytes(b"upload")
            path = Path(f"/proc/self/fd/{buffer.descriptor}")
            waiting = [asyncio.create_task(pool.run(SIZES, 1)) for _ in range(5)]
            task = asyncio.create_task(pool.run(SIZES, 1, [buffer]))
            await wait_until(lambda: pool.load.waiting == 6)
            inode = path.stat().st_ino
            del buffer
            task.cancel()
            await asyncio.wait([task])
            del task
            await asyncio.sleep(0)  # until then the loop holds the task that woke this one
            gc.collect()
            assert not path.exists() or path.stat().st_ino != inode
            assert pool.load.waiting == 5
        await asyncio.gather(*waiting)


async def test_a_client_whose_tasks_crash_runs_only_where_nothing_else_waits() -> None:
    async with render_processes() as (pool, _):
        with serving(Caller("hostile", Deadline())):
            for _ in range(2):
                with pytest.raises(RenderFailed):
                    await pool.run(DIE, 0)
            assert await pool.run(PRIORITY, False) == "background"
        with serving(Caller("honest", Deadline())):
            assert await pool.run(PRIORITY, False) == "interactive"


async def test_a_task_that_was_cancelled_while_it_waited_is_not_started() -> None:
    async with render_processes() as (pool, _):
        gate = closed_gate()
        first = asyncio.create_task(pool.run(WAIT, None, [gate]))
        await wait_until(lambda: pool.load.running == 1)
        second = asyncio.create_task(pool.run(DIE, 0))
        await wait_until(lambda: pool.load.waiting == 1)
        second.cancel()
        await wait_until(second.done)
        os.pwrite(gate.descriptor, b"\1", 0)
        assert await first == await next_pid(pool)


async def test_a_task_whose_caller_was_cancelled_is_ended() -> None:
    async with render_processes() as (pool, _):
        pid, gate = await next_pid(pool), closed_gate()
        task = asyncio.create_task(pool.run(WAIT, None, [gate]))
        await wait_until(lambda: os.pread(gate.descriptor, 1, 1) == b"\1")
        task.cancel()
        await wait_exited(pid)
        assert await next_pid(pool) != pid
        assert pool.outcomes["cancelled"] == 1


async def test_an_expensive_task_moves_to_its_own_priority() -> None:
    async with render_processes(2) as (pool, _):
        assert await pool.run(PRIORITY, False) == "interactive"
        assert await pool.run(PRIORITY, True) == "expensive"
        assert await pool.run(PRIORITY, False, priority="background") == "background"


async def test_a_cheap_task_runs_while_all_others_are_expensive() -> None:
    async with render_processes(2) as (pool, _):
        gate = closed_gate()
        expensive = [
            asyncio.create_task(pool.run(WAIT, None, [gate], priority="expensive"))
            for _ in range(3)
        ]
        await wait_until(lambda: pool.load.running == 1)
        assert await pool.run(SIZES, 1) == [1]
        assert (pool.load.running, pool.load.waiting) == (1, 2)
        os.pwrite(gate.descriptor, b"\1", 0)
        await asyncio.gather(*expensive)


async def test_a_fork_server_that_dies_is_restarted_and_callers_notice_nothing() -> None:
    async with render_processes() as (pool, manager):
        before = await next_pid(pool)
        os.kill(manager.fork_server.pid, signal.SIGKILL)
        await wait_exited(before)
        assert await next_pid(pool) != before


async def test_no_process_is_left_after_it_stopped() -> None:
    async with render_processes(2) as (pool, manager):
        pids = {await next_pid(pool) for _ in range(8)}
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not manager.directory.exists()
    with pytest.raises(RenderFailed):
        await pool.run(SIZES, 1)
