"""What cannot be started for a while recovers automatically, and readiness reports it meanwhile.

The kernel refuses new processes here as it does on a busy machine: with RLIMIT_NPROC, and EAGAIN.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from render_processes import command_line, http_workers, wait_exited
from server.test_server import AS_NOBODY, Server, running_server

pytestmark = pytest.mark.anyio

ORDINARY_USER = AS_NOBODY if os.geteuid() == 0 else ()  # nothing limits the processes of root


@contextmanager
def no_new_processes(pid: int) -> Iterator[None]:
    """Let every fork of this process fail."""
    # The program, run as that user: root may have no right to change the limits of others.
    command = [*ORDINARY_USER, "prlimit", f"--pid={pid}"]
    hard = subprocess.check_output(
        [*command, "--nproc", "--noheadings", "--output=HARD"], text=True
    )
    subprocess.check_call([*command, "--nproc=1:"])
    try:
        yield
    finally:
        subprocess.check_call([*command, f"--nproc={hard.strip()}:"])


def children(pid: int) -> dict[int, str]:
    """The child processes, with their command lines."""
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child): command_line(int(child)).replace("\0", " ") for child in pids}


def fork_server(server: Server) -> int:
    found = children(server.process.pid).items()
    return next(pid for pid, command in found if "proxy.render.fork_server" in command)


async def wait_ready(server: Server, text: str) -> dict[str, str]:
    """Wait for this status; the lines of its components."""
    async with server.client() as client:
        while (body := (await client.get("/health/ready")).json())["status"] != text:
            pass
    components: dict[str, str] = body["components"]
    return components


async def test_workers_return_when_forks_have_failed() -> None:
    async with running_server(2, run_as=ORDINARY_USER) as server:
        await server.workers(2)
        killed, survivor = http_workers(server.process.pid)
        with no_new_processes(server.process.pid):
            os.kill(killed, signal.SIGKILL)
            components = await wait_ready(server, "degraded")
            assert components["workers"].startswith("degraded: 1 of 2 HTTP workers running: ")
            while "BlockingIOError" not in components["workers"]:
                components = await wait_ready(server, "degraded")
            assert http_workers(server.process.pid) == {survivor}
        await server.workers(2)
        await wait_ready(server, "ok")


async def test_the_last_worker_returns_too() -> None:
    async with running_server(1, run_as=ORDINARY_USER) as server:
        (killed,) = await server.workers(1)
        with no_new_processes(server.process.pid):
            os.kill(killed, signal.SIGKILL)
            await wait_exited(killed)
            while http_workers(server.process.pid):
                pass
        assert killed not in await server.workers(1)


async def test_a_fork_server_returns_when_it_could_not_be_started() -> None:
    async with running_server(1, run_as=ORDINARY_USER) as server:
        killed = fork_server(server)
        with no_new_processes(server.process.pid):
            os.kill(killed, signal.SIGKILL)
            components = await wait_ready(server, "down")
            while "BlockingIOError" not in components["render_processes"]:
                components = await wait_ready(server, "down")
            assert (await server.get("/health/live")).status_code == 200
        await wait_ready(server, "ok")
        assert children(fork_server(server))


async def test_render_processes_return_when_forks_have_failed() -> None:
    async with running_server(1, run_as=ORDINARY_USER) as server:
        parent = fork_server(server)
        while not (found := children(parent)):
            pass
        with no_new_processes(parent):
            os.kill(next(iter(found)), signal.SIGKILL)
            components = await wait_ready(server, "down")
            while "cannot be forked" not in components["render_processes"]:
                components = await wait_ready(server, "down")
        await wait_ready(server, "ok")
        assert children(parent).keys() - found.keys()
