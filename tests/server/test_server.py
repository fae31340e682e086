"""The server from outside: it is started as a program, asked over sockets, and signalled."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import httpx2
import msgspec
import pytest
from render_processes import descendants, ended, http_workers, until

from proxy.server.config import BUSY, LEAVE, ServerConfig
from proxy.server.listener import in_line, let_nobody_in, listen

pytestmark = pytest.mark.anyio


class Server:
    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.address = address

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.address, timeout=60, trust_env=False)

    async def get(self, path: str) -> httpx2.Response:
        """On a connection of its own."""
        async with self.client() as client:
            return await client.get(path)

    async def workers(self, count: int) -> set[int]:
        """The first so many workers that answer."""
        found: set[int] = set()
        while len(found) < count:
            found.add(int((await self.get("/")).text))
        return found


async def started(
    settings: ServerConfig, app: str = "app", given: Collection[int] = ()
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server_apps", msgspec.json.encode(settings).decode(), app),
        *map(str, given),
        pass_fds=tuple(given),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@asynccontextmanager
async def serving(
    workers: int = 1, *, drain_seconds: float = 30, hang_seconds: float = 20
) -> AsyncIterator[Server]:
    process = await started(
        ServerConfig(
            port=0, workers=workers, drain_seconds=drain_seconds, worker_timeout_seconds=hang_seconds
        )
    )
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        yield Server(process, address)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


async def test_a_killed_worker_is_replaced_and_others_answer_meanwhile() -> None:
    async with serving(2) as server:
        first, second = await server.workers(2)
        os.kill(first, signal.SIGKILL)
        assert len(await server.workers(2) - {first}) >= 1
        while first in (now := await server.workers(2)):
            pass
        assert second in now


async def test_a_worker_whose_loop_hangs_is_replaced() -> None:
    async with serving(hang_seconds=2) as server:
        (before,) = await server.workers(1)
        with pytest.raises(httpx2.RemoteProtocolError):
            await server.get("/hang")
        assert before not in await server.workers(1)


async def test_asked_to_end_it_is_not_ready_then_finishes_what_is_in_hand_and_ends_with_0() -> None:
    async with serving() as server, server.client() as client:
        slow = asyncio.create_task(client.get("/slow"))
        assert (await server.get("/ready")).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        while (ready := await server.get("/ready")).status_code == 200:
            pass
        assert ready.status_code == 503
        assert (await server.get("/go")).headers["connection"] == "close"
        assert (await slow).status_code == 200
        assert await server.process.wait() == 0


async def test_a_worker_that_finishes_what_is_in_hand_still_shows_that_it_is_alive() -> None:
    beat, beating = os.pipe()
    owner, hold = os.pipe()
    with listen("127.0.0.1", 0) as listener:
        worker = await started(ServerConfig(), given=(listener.fileno(), beating, owner))
        os.close(beating)
        os.close(owner)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(str(worker.pid).encode())  # now it has read the second request too
        worker.send_signal(LEAVE)
        os.set_blocking(beat, False)
        with contextlib.suppress(BlockingIOError):
            os.read(beat, 4096)
        os.set_blocking(beat, True)
        signs = [await asyncio.to_thread(os.read, beat, 1) for _ in range(3)]
        worker.kill()
        await worker.wait()
        writer.close()
    assert signs == [BUSY] * 3
    os.close(beat)
    os.close(hold)


@asynccontextmanager
async def loaded(server: Server) -> AsyncIterator[list[int]]:
    """Clients that keep their connections until they are told, then find the door shut.

    Gives the workers that answered them, an entry for each answer.
    """
    answered: list[int] = []
    busy = asyncio.Event()
    address = server.address.removeprefix("http://").split(":")

    async def ask() -> None:
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
                    answered.append(int(await reader.readexactly(int(length))))
                    last = b"connection: close" in head.lower()
                    busy.set()

    async with asyncio.TaskGroup() as clients:
        for _ in range(16):
            clients.create_task(ask())
        await busy.wait()
        yield answered


async def test_no_request_is_dropped_when_it_ends_under_load() -> None:
    async with serving(2, drain_seconds=2) as server:
        async with loaded(server) as answered:
            server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0
        assert len(answered) > 16


async def test_nobody_is_let_in_any_more_and_who_stands_in_line_stays() -> None:
    with listen("127.0.0.1", 0) as listener, contextlib.ExitStack() as clients:
        early = [clients.enter_context(socket.create_connection(listener.getsockname()))]
        early.append(clients.enter_context(socket.create_connection(listener.getsockname())))
        await until(lambda: in_line(listener) == 2)
        let_nobody_in(listener)
        late = clients.enter_context(socket.socket())
        late.setblocking(False)
        assert late.connect_ex(listener.getsockname()) == errno.EINPROGRESS
        for client in early:
            served, _ = listener.accept()
            with served:
                client.sendall(b"asked")
                assert served.recv(5) == b"asked"
                served.sendall(b"told")
                assert client.recv(4) == b"told"
        assert in_line(listener) == 0


@pytest.mark.parametrize("when", ["at once", "a new worker starts", "a new worker answers", "half"])
async def test_no_request_is_dropped_when_it_ends_while_it_is_renewed(when: str) -> None:
    async with serving(2, drain_seconds=2) as server:
        before = await server.workers(2)
        async with loaded(server) as answered:
            server.process.send_signal(signal.SIGHUP)
            match when:
                case "a new worker starts":
                    await until(lambda: http_workers(server.process.pid) - before)
                case "a new worker answers":
                    await until(lambda: set(answered) - before)
                case "half":
                    await asyncio.wait(
                        [asyncio.ensure_future(ended(worker)) for worker in before],
                        return_when=asyncio.FIRST_COMPLETED,
                    )
            server.process.send_signal(signal.SIGTERM)
        _, said = await server.process.communicate()
        assert server.process.returncode == 0
        assert b"Traceback" not in said, said.decode()


async def test_renewed_under_load_no_request_fails() -> None:
    async with serving(2) as server:
        before = await server.workers(2)
        renewed = asyncio.Event()

        async def ask() -> None:
            while not renewed.is_set():
                assert (await server.get("/")).status_code == 200

        clients = [asyncio.create_task(ask()) for _ in range(4)]
        server.process.send_signal(signal.SIGHUP)
        for worker in before:
            await ended(worker)
        after = await server.workers(2)
        renewed.set()
        await asyncio.gather(*clients)
        assert not before & after


async def test_everything_ends_when_the_supervisor_is_killed() -> None:
    async with serving(2, drain_seconds=0) as server:
        children: set[int] = set()
        while len(children) < 4:  # two workers, the fork server, a renderer
            children = await descendants(server.process.pid)
        server.process.kill()
        for child in children:
            await ended(child)


@pytest.mark.parametrize(("app", "status"), [("refused", 2), ("failing", 1)])
async def test_it_ends_when_no_worker_can_be_started(app: str, status: int) -> None:
    process = await started(ServerConfig(port=0), app)
    _, said = await process.communicate()
    assert process.returncode == status
    assert {"refused": b"FRAMEKEEP_EXAMPLE", "failing": b"there is no app"}[app] in said
