"""Code that has taken over a render process can do nothing that outlives it, and reach nobody else.

Each attack runs in a real render process. The guard that stops it is named in `SECURITY.md`.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from attack_tasks import (
    BREAK_SOCKETS,
    CHANGE,
    CHATTER,
    LOOK_UP,
    NEVER_END,
    REPLIES,
    TAKE_MEMORY,
    Forge,
)
from extension_examples import DictStore
from live_server import GENEROUS_TIMEOUTS
from render_processes import MAX_WAIT_SECONDS, http_workers, wait_exited, wait_until

from proxy.api.http.uploads import Uploads
from proxy.app import Extensions, create_app
from proxy.buffers import OutputBuffer, SharedBuffer
from proxy.cache.files import BodyFiles
from proxy.config import load
from proxy.errors import DeadlineExceeded, RenderFailed
from proxy.render.config import RenderConfig
from proxy.render.manager import RenderProcessManager
from proxy.render.pool import RenderPool
from proxy.render.process import PING

pytestmark = pytest.mark.anyio

MEGABYTE = 1 << 20
PHOTOGRAPHS = Path(__file__).parents[1] / "photographs"


@asynccontextmanager
async def attacked(
    *, task_seconds: float = 600, handlers: str = "attack_tasks", processes: int = 1
) -> AsyncIterator[tuple[RenderPool, RenderProcessManager]]:
    config = RenderConfig(processes=processes, max_memory_bytes=64 * MEGABYTE)
    async with RenderProcessManager(
        config, handlers=handlers, task_seconds=task_seconds
    ) as manager:
        pool = RenderPool(manager.directory, process_count=processes, wall_seconds=MAX_WAIT_SECONDS)
        yield pool, manager


async def require_guards(pool: RenderPool, *names: str) -> None:
    guards = (await pool.run(PING, None)).sandbox_guards
    for name in names:
        if guards[name] != "on":
            pytest.skip(f"this system has no {name}: {guards[name]}")


def pid_file() -> SharedBuffer:
    """A buffer that can be written to, for the pid of a process that never replies."""
    descriptor = os.memfd_create("pid", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, 9)
    return SharedBuffer(descriptor)


async def read_pid(buffer: SharedBuffer) -> int:
    await wait_until(lambda: buffer.read().strip(b"\0"))
    return int(buffer.read())


@pytest.mark.parametrize("kind", ["memory", "upload", "cached"])
async def test_an_original_cannot_be_changed(tmp_path: Path, kind: str) -> None:
    if kind == "memory":
        original = SharedBuffer.from_bytes(b"original")
    elif kind == "upload":
        writer = Uploads(tmp_path, max_bytes=1000, deadline_seconds=1).open_file()
        writer.write(b"original")
        original = writer.finish()
    else:
        files = BodyFiles(tmp_path)
        files.prepare(0)
        files.stage("ab/cd/body", b"original")
        files.commit("ab/cd/body")
        original = SharedBuffer(files.open("ab/cd/body"))
    async with attacked() as (pool, _):
        assert await pool.run(CHANGE, None, [original]) == []
    assert original.read() == b"original"


async def test_a_result_in_memory_cannot_be_changed_once_it_is_finished() -> None:
    output = OutputBuffer(8)
    async with attacked() as (pool, _):
        changed = await pool.run(CHANGE, None, [output])
        assert "write" in changed  # it is there to be written
        assert "append" not in changed
        finished = output.seal(4)
        assert await pool.run(CHANGE, None, [finished]) == []
    assert finished.read() == b"evil"


async def test_what_is_shared_with_other_processes_cannot_be_disturbed() -> None:
    async with attacked(processes=2) as (pool, _):
        await require_guards(pool, "seccomp")
        pids: set[int] = set()
        while len(pids) < 2:
            pids.add((await pool.run(PING, None)).pid)
            assert await pool.run(BREAK_SOCKETS, None) == 0
        assert (await pool.run(PING, None)).pid in pids


async def test_a_process_that_ignores_its_limits_is_killed() -> None:
    async with attacked(task_seconds=0) as (pool, _):
        pid_buffer = pid_file()
        with pytest.raises(RenderFailed):
            await pool.run(NEVER_END, None, [pid_buffer])
        await wait_exited(await read_pid(pid_buffer))
        assert (await pool.run(PING, None)).pid


async def test_a_process_that_ignores_its_limits_is_killed_by_the_worker_at_last() -> None:
    async with attacked() as (_, manager):
        pool = RenderPool(manager.directory, wall_seconds=0.5)
        pid_buffer = pid_file()
        with pytest.raises(DeadlineExceeded):
            await pool.run(NEVER_END, None, [pid_buffer])
        await wait_exited(await read_pid(pid_buffer))
        assert (await pool.run(PING, None)).pid


async def test_a_process_that_asks_for_more_than_one_task_is_killed() -> None:
    async with attacked(processes=1) as (pool, _):
        pid_buffer = pid_file()
        task = asyncio.create_task(pool.run(CHATTER, None, [pid_buffer]))
        await wait_exited(await read_pid(pid_buffer))
        task.cancel()
        await asyncio.wait([task])
        assert (await pool.run(PING, None)).pid


async def test_no_process_outlives_the_fork_server() -> None:
    async with attacked() as (pool, manager):
        await require_guards(pool, "privileges")
        pid_buffer = pid_file()
        task = asyncio.create_task(pool.run(NEVER_END, None, [pid_buffer]))
        pid = await read_pid(pid_buffer)
        os.kill(manager.fork_server.pid, signal.SIGKILL)
        await wait_exited(pid)
        task.cancel()
        await asyncio.wait([task])


async def test_no_process_outlives_the_service() -> None:
    async with attacked(task_seconds=0) as (pool, _):
        pid_buffer = pid_file()
        task = asyncio.create_task(pool.run(NEVER_END, None, [pid_buffer]))
        pid = await read_pid(pid_buffer)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    task.cancel()
    await asyncio.wait([task])


async def test_no_memory_escapes_the_limit() -> None:
    async with attacked() as (pool, _):
        await require_guards(pool, "limits", "seccomp")
        assert await pool.run(TAKE_MEMORY, None, [OutputBuffer(4096)]) == []


async def test_no_other_path_can_be_looked_up(tmp_path: Path) -> None:
    secret = tmp_path / "customer-4711.jpg"
    secret.touch()
    async with attacked() as (pool, _):
        await require_guards(pool, "root")
        for path in (str(secret), str(tmp_path), "/etc/passwd", f"/proc/{os.getpid()}", "/boot"):
            assert await pool.run(LOOK_UP, path) == []


@pytest.fixture(scope="module")
def ordinary_user() -> Sequence[str]:
    """What a command begins with, so that it runs without any privilege.

    The kernel protects processes of root from those without privileges in any case.
    """
    if os.geteuid() != 0:
        return ()
    assert shutil.which("setpriv"), "setpriv, of util-linux, is missing"
    command = (
        *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"),
        *("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"),
    )
    start_child = "import proxy, subprocess, sys; subprocess.check_call([sys.executable, '-c', ''])"
    can_run = [*command, sys.executable, "-c", start_child]
    if subprocess.run(can_run, capture_output=True, check=False).returncode:
        pytest.skip("an ordinary user cannot run this interpreter and this tree")
    return command


OWNER = """
import asyncio, os
from attack_tasks import READ
from proxy.render.config import RenderConfig
from proxy.render.manager import RenderProcessManager
from proxy.render.pool import RenderPool
from proxy.render.process import PING
async def main():
    manager = RenderProcessManager(RenderConfig(processes=1), handlers="attack_tasks_old_kernel")
    async with manager:
        pool = RenderPool(manager.directory)
        guards = (await pool.run(PING, None)).sandbox_guards
        assert guards["landlock"] == "Function not implemented"
        assert guards["privileges"] == "on"
        pids = (os.getpid(), manager.fork_server.pid)
        names = ("environ", "mem", "maps", "fd/0")
        secrets = [f"/proc/{pid}/{name}" for pid in pids for name in names]
        print(await pool.run(READ, [*secrets, "/proc/self/statm"]))
asyncio.run(main())
"""


async def run_for_output(*command: str) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    output, errors = await process.communicate()
    return output.decode(), errors.decode()


async def test_other_processes_cannot_be_read_where_the_kernel_has_no_landlock(
    ordinary_user: Sequence[str],
) -> None:
    output, errors = await run_for_output(*ordinary_user, sys.executable, "-c", OWNER)
    assert output == "['/proc/self/statm']\n", errors


async def test_the_supervisor_and_its_workers_cannot_be_read(ordinary_user: Sequence[str]) -> None:
    """By a process of the same user without privileges, as a render process is."""
    with tempfile.TemporaryDirectory() as cache:
        if ordinary_user:
            os.chown(cache, 65534, 65534)
        process = await asyncio.create_subprocess_exec(
            *(*ordinary_user, sys.executable, "-m", "proxy", "serve", "--dev", "--port=0"),
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "FRAMEKEEP_CACHE_DIR": cache,
            },
        )
        try:
            assert process.stdout is not None
            await process.stdout.readline()  # it is ready
            for pid in (process.pid, *http_workers(process.pid)):
                output, errors = await run_for_output(*ordinary_user, "cat", f"/proc/{pid}/environ")
                assert output == ""
                assert "denied" in errors
        finally:
            process.send_signal(signal.SIGINT)
            await process.communicate()


@pytest.mark.parametrize("reply", REPLIES)
async def test_a_forged_reply_is_not_believed(tmp_path: Path, reply: str) -> None:
    store = DictStore()
    environment = {
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_CACHE_DIR": str(tmp_path),
        "FRAMEKEEP_SOURCES_ALIASES": json.dumps({"photos": f"file://{PHOTOGRAPHS}"}),
        "FRAMEKEEP_RENDER_PROCESSES": "1",
        **GENEROUS_TIMEOUTS,
    }
    app = create_app(
        load(environment).settings, extensions=Extensions(operations=[Forge], store=store)
    )
    transport = httpx.ASGITransport(app=app)
    async with (
        app.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client,
        asyncio.timeout(MAX_WAIT_SECONDS),
    ):
        step = f"forge:{[*REPLIES].index(reply)}"
        forged = await client.get(f"/_/{step}/convert:png/photos:portrait.jpg")
        assert forged.status_code == 503
        assert forged.json()["type"].endswith("render-failed")
        assert {kind for kind, _ in store.entries} == {"original", "record"}
        honest = await client.get("/_/resize:20/photos:portrait.jpg")
        assert honest.status_code == 200
