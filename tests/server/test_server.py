"""The server from outside: it is started as a program, called over sockets, and signaled."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import httpx2
import msgspec
import pytest
from render_processes import descendants, http_workers, wait_exited, wait_until

from proxy.server.config import ServerConfig
from proxy.server.listener import backlog_length, listen, stop_accepting
from proxy.server.worker import HEARTBEAT_BUSY, SIGNAL_EXIT

pytestmark = pytest.mark.anyio

AS_NOBODY = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"),
    # The interpreter and this tree may be readable for root only.
    *(f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps", "bounding-set")),
)
"""Runs a program as a user who may read all files, and has no other privilege."""


@pytest.fixture(params=["own user", "nobody"])
def run_as(request: pytest.FixtureRequest) -> Collection[str]:
    """What a command begins with to run as this user."""
    if request.param == "own user":
        return ()
    if os.geteuid() != 0:
        pytest.skip("the suite is not run by root: its servers have no privilege in any case")
    assert shutil.which("setpriv"), "setpriv, of util-linux, is missing"
    return AS_NOBODY


class Server:
    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, timeout=60, trust_env=False)

    async def get(self, path: str) -> httpx2.Response:
        """On a connection of its own."""
        async with self.client() as client:
            return await client.get(path)

    async def workers(self, count: int) -> set[int]:
        """The first ``count`` workers that respond."""
        found: set[int] = set()
        while len(found) < count:
            found.add(int((await self.get("/")).text))
        return found


async def start(
    config: ServerConfig,
    app: str = "app",
    *,
    descriptors: Collection[int] = (),
    run_as: Collection[str] = (),
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *run_as,
        *(sys.executable, "-m", "server_apps", msgspec.json.encode(config).decode(), app),
        *map(str, descriptors),
        pass_fds=tuple(descriptors),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@asynccontextmanager
async def running_server(
    workers: int = 1,
    *,
    drain_seconds: float = 30,
    worker_timeout_seconds: float = 20,
    run_as: Collection[str] = (),
) -> AsyncIterator[Server]:
    config = ServerConfig(
        port=0,
        workers=workers,
        drain_seconds=drain_seconds,
        worker_timeout_seconds=worker_timeout_seconds,
    )
    process = await start(config, run_as=run_as)
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        yield Server(process, url)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


async def test_a_killed_worker_is_replaced_and_others_respond_meanwhile() -> None:
    async with running_server(2) as server:
        first, second = await server.workers(2)
        os.kill(first, signal.SIGKILL)
        assert len(await server.workers(2) - {first}) >= 1
        while first in (now := await server.workers(2)):
            pass
        assert second in now


async def test_a_worker_whose_event_loop_hangs_is_replaced() -> None:
    async with running_server(worker_timeout_seconds=2) as server:
        (before,) = await server.workers(1)
        with pytest.raises(httpx2.RemoteProtocolError):
            await server.get("/hang")
        assert before not in await server.workers(1)


async def test_after_sigterm_it_is_not_ready_finishes_its_requests_and_exits_with_0(
    run_as: Collection[str],
) -> None:
    async with running_server(run_as=run_as) as server, server.client() as client:
        slow = asyncio.create_task(client.get("/slow"))
        assert (await server.get("/ready")).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        while (ready := await server.get("/ready")).status_code == 200:
            pass
        assert ready.status_code == 503
        assert (await server.get("/release")).headers["connection"] == "close"
        assert (await slow).status_code == 200
        assert await server.process.wait() == 0


async def test_a_worker_that_finishes_its_requests_still_sends_heartbeats() -> None:
    heartbeat_read, heartbeat_write = os.pipe()
    supervisor_read, supervisor_write = os.pipe()
    with listen("127.0.0.1", 0) as listener:
        descriptors = (listener.fileno(), heartbeat_write, supervisor_read)
        worker = await start(ServerConfig(), descriptors=descriptors)
        os.close(heartbeat_write)
        os.close(supervisor_read)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(str(worker.pid).encode())  # now it has read the second request too
        worker.send_signal(SIGNAL_EXIT)
        os.set_blocking(heartbeat_read, False)
        with contextlib.suppress(BlockingIOError):
            os.read(heartbeat_read, 4096)
        os.set_blocking(heartbeat_read, True)
        heartbeats = [await asyncio.to_thread(os.read, heartbeat_read, 1) for _ in range(3)]
        worker.kill()
        await worker.wait()
        writer.close()
    assert heartbeats == [HEARTBEAT_BUSY] * 3
    os.close(heartbeat_read)
    os.close(supervisor_write)


@asynccontextmanager
async def load(server: Server) -> AsyncIterator[list[int]]:
    """Clients that send requests until new connections are refused; none of these may fail.

    Yields the pids of the workers that responded, one for each response.
    """
    responded: list[int] = []
    first = asyncio.Event()
    address = server.url.removeprefix("http://").split(":")

    async def send_requests() -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection(*address)
            except ConnectionRefusedError:
                return
            last = False
            with contextlib.closing(writer):
                while not last:
                    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    responded.append(int(await reader.readexactly(int(length))))
                    last = b"connection: close" in head.lower()
                    first.set()

    async with asyncio.TaskGroup() as clients:
        for _ in range(16):
            clients.create_task(send_requests())
        await first.wait()
        yield responded


async def test_no_request_is_dropped_when_it_stops_under_load(run_as: Collection[str]) -> None:
    async with running_server(2, drain_seconds=2, run_as=run_as) as server:
        async with load(server) as responded:
            server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0
        assert len(responded) > 16


async def test_new_connections_are_refused_while_the_backlog_and_handshakes_are_kept() -> None:
    with listen("127.0.0.1", 0) as listener, contextlib.ExitStack() as stack:
        address = listener.getsockname()
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(2)]
        await wait_until(lambda: backlog_length(listener) == 2)
        in_handshake = stack.enter_context(socket.socket())
        # The last packet of its handshake is sent with the request.
        in_handshake.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        in_handshake.connect(address)
        clients.append(in_handshake)
        stop_accepting(listener)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        for client in clients:
            client.sendall(b"request")
        await wait_until(lambda: backlog_length(listener) == 3)
        for client in clients:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(7) == b"request"
                connection.sendall(b"response")
                assert client.recv(8) == b"response"
        assert backlog_length(listener) == 0


@pytest.mark.parametrize(
    "when", ["at once", "a new worker starts", "a new worker responds", "half way"]
)
async def test_no_request_is_dropped_when_it_stops_during_a_reload(
    when: str, run_as: Collection[str]
) -> None:
    async with running_server(2, drain_seconds=2, run_as=run_as) as server:
        before = await server.workers(2)
        async with load(server) as responded:
            server.process.send_signal(signal.SIGHUP)
            match when:
                case "a new worker starts":
                    await wait_until(lambda: http_workers(server.process.pid) - before)
                case "a new worker responds":
                    await wait_until(lambda: set(responded) - before)
                case "half way":
                    await asyncio.wait(
                        [asyncio.ensure_future(wait_exited(worker)) for worker in before],
                        return_when=asyncio.FIRST_COMPLETED,
                    )
            server.process.send_signal(signal.SIGTERM)
        _, errors = await server.process.communicate()
        assert server.process.returncode == 0
        assert b"Traceback" not in errors, errors.decode()


async def test_no_request_fails_during_a_reload(run_as: Collection[str]) -> None:
    async with running_server(2, run_as=run_as) as server:
        before = await server.workers(2)
        reloaded = asyncio.Event()

        async def send_requests() -> None:
            while not reloaded.is_set():
                assert (await server.get("/")).status_code == 200

        clients = [asyncio.create_task(send_requests()) for _ in range(4)]
        server.process.send_signal(signal.SIGHUP)
        for worker in before:
            await wait_exited(worker)
        after = await server.workers(2)
        reloaded.set()
        await asyncio.gather(*clients)
        assert not before & after


async def test_all_processes_end_when_the_supervisor_is_killed() -> None:
    async with running_server(2, drain_seconds=0) as server:
        children: set[int] = set()
        while len(children) < 4:  # two workers, the fork server, a render process
            children = await descendants(server.process.pid)
        server.process.kill()
        for child in children:
            await wait_exited(child)


@pytest.mark.parametrize(("app", "status"), [("misconfigured", 2), ("failing", 1)])
async def test_it_exits_when_no_worker_can_be_started(app: str, status: int) -> None:
    process = await start(ServerConfig(port=0), app)
    _, errors = await process.communicate()
    assert process.returncode == status
    expected = {"misconfigured": b"FRAMEKEEP_EXAMPLE", "failing": b"there is no app"}
    assert expected[app] in errors
