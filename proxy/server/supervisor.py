"""``framekeep serve``: one supervisor, HTTP workers, and the machine's render processes.

The supervisor opens the port, holds it, and serves nothing itself:

1. A worker that dies is replaced; one whose loop no longer turns is ended, then replaced.
2. SIGTERM: readiness turns red, answers say goodbye, then what is in hand is finished. SIGINT: the
   same at once. It ends with 0.
3. SIGHUP: each worker is replaced by a new one, one after the other, the old one leaving when the
   new one is ready; render processes as well. No connection is refused meanwhile.
4. Workers end in good order when their supervisor is gone, however that ended.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path

from proxy.errors import ConfigError
from proxy.render.child_process import Child, ended
from proxy.render.manager import Renderers
from proxy.server.config import ENTERING_SECONDS, IDLE, LEAVE, RETIRE, STOP, ServerConfig
from proxy.server.listener import in_line, let_nobody_in, listen
from proxy.server.worker import MakeApp, run

log = logging.getLogger("framekeep.server")

_START_SECONDS = 60.0
"""Longest time from a worker's start to its first sign of life."""

_LINE_SECONDS = 1.0
"""How long workers have, at most, to let in who stands in line."""

_HANDSHAKE_SECONDS = 0.1
"""How long a client has to get into line that had begun to connect."""

_ABORT_SECONDS = 2.0
"""How long a worker may take to say where it hangs, or to end once its time is up."""

_SHORT_LIFE = 5.0
_LONGEST_PAUSE = 5.0
"""Seconds: a worker that lived shorter may do so again, so the next one has to wait a while."""


def serve(
    server: ServerConfig,
    renderers: Renderers,
    *,
    make_app: MakeApp,
    ready: Callable[[str], None] | None = None,
) -> int:
    """Serve until asked to stop; the exit status. For a process of one thread: it is forked.

    ``ready`` is called with the server's address as soon as the first worker answers.
    """
    return asyncio.run(Supervisor(server, renderers, make_app=make_app, ready=ready).run())


class _Worker:
    """A worker process: its sign of life comes through one pipe, ours goes through another."""

    def __init__(
        self, make_app: MakeApp, settings: ServerConfig, listener: int, renderers: Path
    ) -> None:
        self._beat, beating = os.pipe()
        owner, self._hold = os.pipe()
        os.set_blocking(self._beat, False)
        given = {"listener": listener, "beat": beating, "owner": owner}
        work = partial(run, make_app, settings, renderers=renderers, **given)
        self.process = Child(work, keep=given.values())
        self.status = 0
        os.close(beating)
        os.close(owner)
        self.idle = asyncio.Event()
        self.ready = asyncio.Event()
        self.gone = asyncio.Event()
        self.began = self._last = asyncio.get_running_loop().time()

    async def tend(self, hang_seconds: float) -> None:
        """Until it is gone; it is ended if it shows no sign of life."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._beat, self._hear)
        watch = loop.create_task(self._watch(hang_seconds))
        self.status = await ended(self.process)
        watch.cancel()
        loop.remove_reader(self._beat)
        os.close(self._beat)
        os.close(self._hold)
        self.gone.set()

    async def farewell(self, number: int, seconds: float) -> None:
        """Tell it that it will leave; wait until its clients have gone, or that time is over."""
        self.idle.clear()
        self.signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _either(self.idle, self.gone)

    def signal(self, number: int) -> None:
        if not self.gone.is_set():
            self.process.send_signal(number)

    async def settled(self) -> bool:
        """Wait until it is ready (true) or gone."""
        await _either(self.ready, self.gone)
        return not self.gone.is_set()

    def _hear(self) -> None:
        loop = asyncio.get_running_loop()
        if sign := os.read(self._beat, 4096):
            if sign.endswith(IDLE):
                self.idle.set()
            self._last = loop.time()
            self.ready.set()
        else:
            loop.remove_reader(self._beat)

    async def _watch(self, hang_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            patience = hang_seconds if self.ready.is_set() else _START_SECONDS
            rest = self._last + patience - loop.time()
            if rest <= 0:
                break
            await asyncio.sleep(min(rest, hang_seconds))
        log.error("worker %d does not respond; it is ended", self.process.pid)
        self.signal(signal.SIGABRT)  # so that it says where it hangs
        await asyncio.sleep(_ABORT_SECONDS)
        self.signal(signal.SIGKILL)


class Supervisor:
    def __init__(
        self,
        server: ServerConfig,
        renderers: Renderers,
        *,
        make_app: MakeApp,
        ready: Callable[[str], None] | None = None,
    ) -> None:
        """See `serve`."""
        self._server = server
        self._renderers = renderers
        self._make_app = make_app
        self._announce = ready
        self._slots: dict[int, _Worker] = {}
        self._alive: set[_Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewing = asyncio.Lock()
        self._drain_seconds = 0.0

    async def run(self) -> int:
        """Serve until a signal comes, or no worker can be started; the exit status.

        Raises ConfigError where nobody can listen at that address.
        """
        gc.freeze()  # what is here by now stays shared: the collectors of workers leave it alone
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[int] = loop.create_future()
        try:
            self._listener = listen(self._server.host, self._server.port)
        except OSError as error:
            where = "FRAMEKEEP_SERVER_HOST, FRAMEKEEP_SERVER_PORT"
            raise ConfigError(f"{where}: {error.strerror}") from error
        loop.add_signal_handler(signal.SIGTERM, self._stop, self._server.drain_seconds)
        loop.add_signal_handler(signal.SIGINT, self._stop, 0.0)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._go(self._renew()))
        async with self._renderers:
            for slot in range(self._server.workers):
                self._go(self._keep(slot, self._start()))
            status = await self._over
            await self._drain()
            await self._end()
        return status

    def _start(self) -> _Worker:
        worker = _Worker(
            self._make_app, self._server, self._listener.fileno(), self._renderers.directory
        )
        self._alive.add(worker)
        self._go(self._tend(worker))
        return worker

    async def _tend(self, worker: _Worker) -> None:
        await worker.tend(self._server.worker_timeout_seconds)
        self._alive.discard(worker)

    async def _keep(self, slot: int, worker: _Worker) -> None:
        """Have a worker in this slot, until this one was replaced on purpose."""
        pause = 0.0
        while True:
            self._slots[slot] = worker
            if await worker.settled() and self._announce is not None:
                self._announce(self.address)
                self._announce = None
            await worker.gone.wait()
            if self._over.done() or self._slots[slot] is not worker:
                return
            log.error("worker %d ended with %d", worker.process.pid, worker.status)
            if not worker.ready.is_set() and self._announce is not None:
                self._over.set_result(max(worker.status, 1))  # no worker has ever been ready
                return
            lived = asyncio.get_running_loop().time() - worker.began
            pause = min(_LONGEST_PAUSE, pause * 2 or 0.1) if lived < _SHORT_LIFE else 0.0
            await asyncio.sleep(pause)
            if self._over.done():
                return
            worker = self._start()

    async def _renew(self) -> None:
        """Replace every process by a fresh one that is ready before the old one leaves."""
        async with self._renewing:
            self._renderers.renew()
            for slot in sorted(self._slots):
                if self._over.done():  # who starts now would not be told that all of us leave
                    return
                fresh = self._start()
                if not await fresh.settled():
                    if not self._over.done():
                        log.error("the new worker did not start; the old ones stay")
                    return
                old, self._slots[slot] = self._slots[slot], fresh
                self._go(self._keep(slot, fresh))
                await old.farewell(RETIRE, self._server.drain_seconds)
                await self._leave([old])

    def _stop(self, drain_seconds: float) -> None:
        if not self._over.done():
            self._drain_seconds = drain_seconds
            self._over.set_result(0)

    async def _drain(self) -> None:
        """Say that no more requests should come, and wait until none does."""
        seconds = self._drain_seconds
        await asyncio.gather(*(worker.farewell(STOP, seconds) for worker in self._alive))
        let_nobody_in(self._listener)
        await asyncio.sleep(_HANDSHAKE_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINE_SECONDS):
                while in_line(self._listener):  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(_HANDSHAKE_SECONDS / 10)

    async def _end(self) -> None:
        self._listener.close()
        await self._leave(self._alive)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _leave(self, workers: Iterable[_Worker]) -> None:
        """Have the workers leave; what they have in hand has its time."""
        gone = [asyncio.ensure_future(worker.gone.wait()) for worker in workers]
        for worker in workers:
            worker.signal(LEAVE)
        if gone:
            seconds = ENTERING_SECONDS + self._server.shutdown_timeout_seconds + _ABORT_SECONDS
            await asyncio.wait(gone, timeout=seconds)
        for worker in workers:
            worker.signal(signal.SIGKILL)

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _go(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
