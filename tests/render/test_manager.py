"""How render processes are replaced, and when they end."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from render_processes import next_pid, render_processes, wait_exited, wait_until
from renderer_tasks import ALLOCATE_LARGE, ALLOCATE_SMALL, LEAK, SIZES

from proxy.render.config import RenderConfig
from proxy.render.process import PING

pytestmark = pytest.mark.anyio

MEGABYTE = 1024 * 1024


async def test_a_process_is_replaced_after_its_maximum_of_tasks_and_no_task_is_lost() -> None:
    async with render_processes(max_tasks=3) as (pool, _):
        pids = [await next_pid(pool) for _ in range(9)]
        assert len(set(pids)) == 3
        assert pool.outcomes["crashed"] == 0


async def test_render_processes_have_a_nice_value_in_a_session_of_their_own() -> None:
    async with render_processes() as (pool, _):
        pid = await next_pid(pool)
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, own + RenderConfig().nice)
        assert os.getsid(pid) != os.getsid(0)
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists() and os.geteuid() == 0:  # the kernel limits how often others may write it
            assert group.read_text().endswith(f"nice {RenderConfig().nice}\n")


async def test_a_process_whose_memory_has_grown_is_replaced_after_its_task() -> None:
    async with render_processes(max_growth_bytes=16 * MEGABYTE) as (pool, _):
        before = await next_pid(pool)
        assert await pool.run(LEAK, 64 * MEGABYTE) == before
        assert await next_pid(pool) != before


async def test_freed_memory_does_not_count_as_growth() -> None:
    async with render_processes(max_growth_bytes=16 * MEGABYTE) as (pool, _):
        before = await next_pid(pool)
        await pool.run(ALLOCATE_SMALL, 64 * MEGABYTE)
        info = await pool.run(PING, None)
        assert info.pid == before
        assert info.memory_growth_bytes < 16 * MEGABYTE


async def test_freed_memory_is_reused_under_load_and_released_when_idle() -> None:
    async with render_processes() as (pool, _):
        assert await pool.run(ALLOCATE_LARGE, 24 * MEGABYTE) == 25
        info = await pool.run(PING, None)
        assert info.memory_growth_bytes > 16 * MEGABYTE
        before = private_bytes(info.pid)
        await wait_until(lambda: private_bytes(info.pid) < before - 12 * MEGABYTE)


def private_bytes(pid: int) -> int:
    _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")


OWNER = """
import asyncio, sys
from pathlib import Path
from render_processes import next_pid, render_processes
async def main():
    async with render_processes(2) as (pool, manager):
        pids = {manager.fork_server.pid}
        while len(pids) < 3:
            pids.add(await next_pid(pool))
        print(manager.directory, *pids, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_all_processes_end_when_their_owner_is_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, stdout=subprocess.PIPE, env=environment
    )
    try:
        assert owner.stdout is not None
        directory, *pids = (await owner.stdout.readline()).decode().split()
    finally:
        owner.kill()
        await owner.communicate()
    assert len(pids) == 3
    for pid in map(int, pids):
        await wait_exited(pid)
    assert not Path(directory).exists()


async def test_render_processes_ignore_signals_for_their_owner() -> None:
    """A service manager signals every process of a service; running tasks go on all the same."""
    async with render_processes() as (pool, manager):
        pid = await next_pid(pool)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
            os.kill(manager.fork_server.pid, number)
        assert await pool.run(SIZES, 1) == [1]
        assert await next_pid(pool) == pid
