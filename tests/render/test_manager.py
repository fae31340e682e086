"""How render processes come and go."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from render_processes import ended, pid_of, running, until
from renderer_tasks import CHURN, GROW, LEAK, SIZE

from proxy.render.process import ABOUT
from proxy.render.protocol import RenderConfig, cores

pytestmark = pytest.mark.anyio

MEGABYTE = 1024 * 1024


async def test_a_renderer_that_has_done_its_number_is_replaced_and_no_job_is_lost() -> None:
    async with running(recycle_jobs=3) as (pool, _):
        pids = [await pid_of(pool) for _ in range(9)]
        assert len(set(pids)) == 3
        assert pool.counts["crashed"] == 0


async def test_renderers_stand_back_behind_who_asks_them() -> None:
    async with running() as (pool, _):
        pid = await pid_of(pool)
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, own + RenderConfig().nice)
        assert os.getsid(pid) != os.getsid(0)
        group = Path(f"/proc/{pid}/autogroup")
        if group.exists() and os.geteuid() == 0:  # others may have been told to come again
            assert group.read_text().endswith(f"nice {RenderConfig().nice}\n")


async def test_a_renderer_that_has_grown_is_replaced_after_its_job() -> None:
    async with running(recycle_bytes=16 * MEGABYTE) as (pool, _):
        before = await pid_of(pool)
        assert await pool.run(LEAK, 64 * MEGABYTE) == before
        assert await pid_of(pool) != before


async def test_memory_that_was_given_back_is_no_growth() -> None:
    async with running(recycle_bytes=16 * MEGABYTE) as (pool, _):
        before = await pid_of(pool)
        await pool.run(GROW, 64 * MEGABYTE)
        about = await pool.run(ABOUT, None)
        assert about.pid == before
        assert about.grown < 16 * MEGABYTE


async def test_memory_is_reused_under_load_and_given_back_at_rest() -> None:
    async with running() as (pool, _):
        assert await pool.run(CHURN, 24 * MEGABYTE) == 25
        about = await pool.run(ABOUT, None)
        assert about.grown > 16 * MEGABYTE
        before = held(about.pid)
        await until(lambda: held(about.pid) < before - 12 * MEGABYTE)


def held(pid: int) -> int:
    """Memory of a process's own, in bytes."""
    _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")


OWNER = """
import asyncio, sys
from pathlib import Path
from render_processes import pid_of, running
async def main():
    async with running(2) as (pool, renderers):
        pids = {renderers.process.pid}
        while len(pids) < 3:
            pids.add(await pid_of(pool))
        print(renderers.directory, *pids, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_all_end_with_their_owner_however_that_ends() -> None:
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
        await ended(pid)
    assert not Path(directory).exists()


async def test_renderers_leave_signals_to_their_owner() -> None:
    """A service manager signals every process of a service; work in hand goes on all the same."""
    async with running() as (pool, renderers):
        pid = await pid_of(pool)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
            os.kill(renderers.process.pid, number)
        assert await pool.run(SIZE, 1) == [1]
        assert await pid_of(pool) == pid


def test_there_is_a_core() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
