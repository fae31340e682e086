"""``framekeep serve``: one supervisor, its HTTP workers, and the render processes of the machine.

The supervisor opens the listening socket, holds it, and serves nothing itself:

1. A worker that dies is replaced. One whose event loop hangs is killed, then replaced.
2. SIGTERM: readiness turns red and responses close their connections, then current requests are
   finished. SIGINT: the same without the wait for clients to leave. The exit status is 0.
3. SIGHUP: workers are replaced one after the other, each leaving when its successor is ready, and
   the render processes as well. No connection is refused meanwhile.
4. Workers finish and exit when their supervisor is gone, however that ended.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from proxy.errors import ConfigError
from proxy.render.child_process import ForkedProcess, wait_exit
from proxy.render.manager import RenderProcessManager
from proxy.server.config import ServerConfig
from proxy.server.listener import backlog_length, listen, stop_accepting
from proxy.server.worker import (
    FIRST_REQUEST_SECONDS,
    HEARTBEAT_IDLE,
    SIGNAL_DRAIN,
    SIGNAL_EXIT,
    SIGNAL_REPLACED,
    AppFactory,
    run,
)
from proxy.telemetry.metrics import MetricsFiles

logger = logging.getLogger("framekeep.server.supervisor")

_START_TIMEOUT_SECONDS = 60.0
"""From the start of a worker to its first heartbeat."""

_HANDSHAKE_SECONDS = 0.25
"""For TCP handshakes that have begun to end: a round trip around the world."""

_BACKLOG_TIMEOUT_SECONDS = 1.0
"""For workers to accept the connections in the backlog."""

_BACKLOG_POLL_SECONDS = 0.01

_ABORT_SECONDS = 2.0
"""For a worker to print where it hangs, or to exit once its time is over."""

_SHORT_LIFE_SECONDS = 5.0
"""A worker that died sooner may do so again at once: the next one starts after a backoff."""

_MIN_BACKOFF_SECONDS = 0.1
_MAX_BACKOFF_SECONDS = 5.0


def serve(
    config: ServerConfig,
    render_processes: RenderProcessManager,
    *,
    make_app: AppFactory,
    on_ready: Callable[[str], None] | None = None,
    runtime_dir: Path | None = None,
) -> int:
    """Serve until a signal stops it; the exit status. Must be called in a process of one thread.

    ``on_ready`` is called with the server's URL when the first worker is ready. The metrics of
    workers are in ``runtime_dir``, by default the temporary directory of the system.
    """
    supervisor = Supervisor(
        config,
        render_processes,
        make_app=make_app,
        on_ready=on_ready,
        runtime_dir=runtime_dir,
    )
    return asyncio.run(supervisor.run())


class WorkerHandle:
    """A worker process, with the pipe of its heartbeat and the pipe that ends it with us."""

    def __init__(
        self,
        make_app: AppFactory,
        config: ServerConfig,
        listener_fd: int,
        render_dir: Path,
        metrics_files: MetricsFiles,
    ) -> None:
        self._heartbeat_read, heartbeat_write = os.pipe()
        supervisor_read, self._supervisor_write = os.pipe()
        os.set_blocking(self._heartbeat_read, False)
        descriptors = {
            "listener_fd": listener_fd,
            "heartbeat_fd": heartbeat_write,
            "supervisor_fd": supervisor_read,
        }
        target = partial(
            run,
            make_app,
            config,
            render_dir=render_dir,
            metrics_files=metrics_files,
            **descriptors,
        )
        self.process = ForkedProcess(target, pass_fds=descriptors.values())
        self.metrics_files = metrics_files
        self.status = 0
        os.close(heartbeat_write)
        os.close(supervisor_read)
        self.idle = asyncio.Event()
        self.ready = asyncio.Event()
        self.exited = asyncio.Event()
        self.started_at = self._last_heartbeat = asyncio.get_running_loop().time()

    async def supervise(self, heartbeat_timeout: float) -> None:
        """Wait until it exits; kill it if its heartbeat stops for so many seconds."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._heartbeat_read, self._on_heartbeat)
        watchdog = loop.create_task(self._kill_if_hanging(heartbeat_timeout))
        self.status = await wait_exit(self.process)
        watchdog.cancel()
        loop.remove_reader(self._heartbeat_read)
        os.close(self._heartbeat_read)
        os.close(self._supervisor_write)
        self.exited.set()

    async def request_drain(self, number: int, timeout_seconds: float) -> None:
        """Signal it to close connections; wait until none is open, or the timeout has passed."""
        self.idle.clear()
        self.signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await _wait_any(self.idle, self.exited)

    def signal(self, number: int) -> None:
        if not self.exited.is_set():
            self.process.send_signal(number)

    async def wait_ready(self) -> bool:
        """Wait until it is ready (true) or has exited."""
        await _wait_any(self.ready, self.exited)
        return not self.exited.is_set()

    def _on_heartbeat(self) -> None:
        loop = asyncio.get_running_loop()
        if heartbeats := os.read(self._heartbeat_read, 4096):
            if heartbeats.endswith(HEARTBEAT_IDLE):
                self.idle.set()
            self._last_heartbeat = loop.time()
            self.ready.set()
        else:
            loop.remove_reader(self._heartbeat_read)

    async def _kill_if_hanging(self, heartbeat_timeout: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            timeout = heartbeat_timeout if self.ready.is_set() else _START_TIMEOUT_SECONDS
            rest = self._last_heartbeat + timeout - loop.time()
            if rest <= 0:
                break
            await asyncio.sleep(min(rest, heartbeat_timeout))
        logger.error("worker %d hangs: no heartbeat for %g s; killing", self.process.pid, timeout)
        self.signal(signal.SIGABRT)  # it prints where it hangs
        await asyncio.sleep(_ABORT_SECONDS)
        self.signal(signal.SIGKILL)


class Supervisor:
    def __init__(
        self,
        config: ServerConfig,
        render_processes: RenderProcessManager,
        *,
        make_app: AppFactory,
        on_ready: Callable[[str], None] | None = None,
        runtime_dir: Path | None = None,
    ) -> None:
        """See `serve`."""
        self._config = config
        self._render_processes = render_processes
        self._make_app = make_app
        self._on_ready = on_ready
        self._runtime_dir = runtime_dir
        self._slots: dict[int, WorkerHandle] = {}
        self._workers: set[WorkerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._drain_seconds = 0.0

    async def run(self) -> int:
        """Serve until a signal comes, or no worker can be started; the exit status.

        Raises ConfigError if the listening socket cannot be opened.
        """
        gc.freeze()  # keeps these objects shared: the collectors of workers skip them
        loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[int] = loop.create_future()
        try:
            self._listener = listen(self._config.host, self._config.port)
        except OSError as error:
            names = "FRAMEKEEP_SERVER_HOST, FRAMEKEEP_SERVER_PORT"
            raise ConfigError(f"{names}: {error.strerror}") from error
        loop.add_signal_handler(signal.SIGTERM, self._stop, self._config.drain_seconds)
        loop.add_signal_handler(signal.SIGINT, self._stop, 0.0)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn_task(self._reload()))
        with TemporaryDirectory(prefix="framekeep-metrics-", dir=self._runtime_dir) as metrics_dir:
            self._metrics_dir = Path(metrics_dir)
            async with self._render_processes:
                for slot in range(self._config.workers):
                    self._spawn_task(self._supervise_slot(slot, self._start_worker()))
                status = await self._stopped
                await self._drain()
                self._listener.close()
                await self._stop_workers(self._workers)
                while self._tasks:
                    await asyncio.wait(self._tasks)
        return status

    def _start_worker(self) -> WorkerHandle:
        numbers = {worker.metrics_files.worker for worker in self._workers}
        number = next(number for number in count() if number not in numbers)
        worker = WorkerHandle(
            self._make_app,
            self._config,
            self._listener.fileno(),
            self._render_processes.directory,
            MetricsFiles(self._metrics_dir, number),
        )
        self._workers.add(worker)
        self._spawn_task(self._supervise_worker(worker))
        return worker

    async def _supervise_worker(self, worker: WorkerHandle) -> None:
        await worker.supervise(self._config.worker_timeout_seconds)
        worker.metrics_files.remove_gauges()
        self._workers.discard(worker)

    async def _supervise_slot(self, slot: int, worker: WorkerHandle) -> None:
        """Keep a worker in this slot, until it is replaced by a reload or the server stops."""
        backoff = 0.0
        while True:
            self._slots[slot] = worker
            if await worker.wait_ready() and self._on_ready is not None:
                self._on_ready(self.url)
                self._on_ready = None
            await worker.exited.wait()
            if self._stopped.done() or self._slots[slot] is not worker:
                return
            logger.error("worker %d exited with %d", worker.process.pid, worker.status)
            if not worker.ready.is_set() and self._on_ready is not None:
                self._stopped.set_result(max(worker.status, 1))  # no worker was ever ready
                return
            lifetime = asyncio.get_running_loop().time() - worker.started_at
            backoff = (
                min(_MAX_BACKOFF_SECONDS, backoff * 2 or _MIN_BACKOFF_SECONDS)
                if lifetime < _SHORT_LIFE_SECONDS
                else 0.0
            )
            await asyncio.sleep(backoff)
            if self._stopped.done():
                return
            worker = self._start_worker()

    async def _reload(self) -> None:
        """Replace each process by a new one, which is ready before the old one leaves."""
        async with self._reloading:
            self._render_processes.reload()
            for slot in sorted(self._slots):
                if self._stopped.done():  # a worker that starts now would miss the drain
                    return
                new = self._start_worker()
                if not await new.wait_ready():
                    if not self._stopped.done():
                        logger.error("reload failed: the new worker did not start; keeping the old")
                    return
                old, self._slots[slot] = self._slots[slot], new
                self._spawn_task(self._supervise_slot(slot, new))
                await old.request_drain(SIGNAL_REPLACED, self._config.drain_seconds)
                await self._stop_workers([old])

    def _stop(self, drain_seconds: float) -> None:
        if not self._stopped.done():
            self._drain_seconds = drain_seconds
            self._stopped.set_result(0)

    async def _drain(self) -> None:
        """Let clients leave, then refuse new connections and have the backlog accepted."""
        drains = (
            worker.request_drain(SIGNAL_DRAIN, self._drain_seconds) for worker in self._workers
        )
        await asyncio.gather(*drains)
        stop_accepting(self._listener)
        await asyncio.sleep(_HANDSHAKE_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BACKLOG_TIMEOUT_SECONDS):
                while backlog_length(self._listener):  # noqa: ASYNC110 - the kernel has no event
                    await asyncio.sleep(_BACKLOG_POLL_SECONDS)

    async def _stop_workers(self, workers: Iterable[WorkerHandle]) -> None:
        """Have workers finish their requests and exit; kill those that take too long."""
        exits = [asyncio.ensure_future(worker.exited.wait()) for worker in workers]
        for worker in workers:
            worker.signal(SIGNAL_EXIT)
        if exits:
            timeout = FIRST_REQUEST_SECONDS + self._config.shutdown_timeout_seconds + _ABORT_SECONDS
            await asyncio.wait(exits, timeout=timeout)
        for worker in workers:
            worker.signal(signal.SIGKILL)

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _spawn_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _wait_any(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
