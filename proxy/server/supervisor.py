"""``framekeep serve``: one supervisor, its HTTP workers, and the render processes of the machine.

The supervisor opens the listening socket, holds it, and serves nothing itself:

1. A worker that dies is replaced. One whose event loop hangs is killed, then replaced. A worker
   that cannot be started now is started later.
2. SIGTERM: /health/ready returns 503 and responses close their connections, then current requests
   are finished. SIGINT: the same without the wait for clients to leave. The exit status is 0.
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
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from pathlib import Path

from proxy.cache.config import CLOSE_SECONDS
from proxy.errors import ConfigError
from proxy.render.child_process import ForkedProcess, wait_exit
from proxy.render.manager import RenderProcessManager
from proxy.runtime.background import BackgroundTasks, TaskFailed
from proxy.runtime.components import OK, ComponentStatus, StatusFile
from proxy.server.accept_balance import ConnectionCounts
from proxy.server.components import WORKERS
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

_SLOT_TASK = "worker"


def serve(
    config: ServerConfig,
    render_processes: RenderProcessManager,
    *,
    make_app: AppFactory,
    on_ready: Callable[[str], None] | None = None,
) -> int:
    """Serve until a signal stops it; the exit status. Must be called in a process of one thread.

    ``on_ready`` is called with the server's URL when the first worker is ready.
    """
    supervisor = Supervisor(
        config,
        render_processes,
        make_app=make_app,
        on_ready=on_ready,
    )
    return asyncio.run(supervisor.run())


class WorkerHandle:
    """A worker process, with the pipe of its heartbeat and the pipe that ends it with us."""

    def __init__(
        self,
        make_app: AppFactory,
        config: ServerConfig,
        *,
        listener_fd: int,
        render_dir: Path,
        metrics_files: MetricsFiles,
        connection_counts: ConnectionCounts,
    ) -> None:
        """Start the process. Raises OSError."""
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
            connection_counts=connection_counts,
            **descriptors,
        )
        try:
            self.process = ForkedProcess(target, pass_fds=descriptors.values())
        except OSError:
            os.close(self._heartbeat_read)
            os.close(self._supervisor_write)
            raise
        finally:
            os.close(heartbeat_write)
            os.close(supervisor_read)
        self.metrics_files = metrics_files
        self.status = 0
        self.idle = asyncio.Event()
        self.ready = asyncio.Event()
        self.exited = asyncio.Event()
        self._last_heartbeat = asyncio.get_running_loop().time()

    async def supervise(self, heartbeat_timeout: float, background: BackgroundTasks) -> None:
        """Wait until it exits; kill it if its heartbeat stops for ``heartbeat_timeout`` seconds."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._heartbeat_read, self._on_heartbeat)
        watchdog = background.run("worker_watchdog", self._kill_if_hanging(heartbeat_timeout))
        try:
            self.status = await wait_exit(self.process)
        finally:
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
    ) -> None:
        """See `serve`."""
        self._config = config
        self._render_processes = render_processes
        self._metrics_dir = render_processes.directory / "metrics"
        self._make_app = make_app
        self._on_ready = on_ready
        self._connection_counts = ConnectionCounts(config.worker_count)
        self._slots: dict[int, WorkerHandle] = {}
        self._workers: set[WorkerHandle] = set()
        self._background = BackgroundTasks(on_change=self._report_status)
        self._slot_tasks: dict[int, asyncio.Task[None]] = {}
        self._unfinished: set[asyncio.Task[None]] = set()
        self._reported = OK
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
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        async with self._render_processes:
            self._metrics_dir.mkdir(mode=0o700)
            for slot in range(self._config.worker_count):
                self._supervise_slot(slot)
            status = await self._stopped
            await self._drain()
            self._listener.close()
            await self._stop_workers(self._workers)
            while self._unfinished:
                await asyncio.wait(self._unfinished)
            await self._background.close()
        return status

    def _start_worker(self) -> WorkerHandle:
        """Start a worker. Raises OSError."""
        numbers = {worker.metrics_files.worker for worker in self._workers}
        number = next(number for number in count() if number not in numbers)
        worker = WorkerHandle(
            self._make_app,
            self._config,
            listener_fd=self._listener.fileno(),
            render_dir=self._render_processes.directory,
            metrics_files=MetricsFiles(self._metrics_dir, number),
            connection_counts=self._connection_counts,
        )
        self._workers.add(worker)
        work = partial(self._supervise_worker, worker)
        self._finish(self._background.restart("worker_exit", work))
        return worker

    async def _supervise_worker(self, worker: WorkerHandle) -> None:
        if not worker.exited.is_set():
            await worker.supervise(self._config.worker_timeout_seconds, self._background)
        self._workers.discard(worker)
        self._connection_counts.remove(worker.metrics_files.worker)
        worker.metrics_files.remove_gauges()

    def _supervise_slot(self, slot: int) -> None:
        """Keep a worker in this slot from now on, in place of who did so before."""
        if slot in self._slot_tasks:
            self._slot_tasks[slot].cancel()
        work = partial(self._run_worker_in_slot, slot)
        self._slot_tasks[slot] = self._background.restart(_SLOT_TASK, work)

    async def _run_worker_in_slot(self, slot: int) -> None:
        """Start a worker if the slot has none; raise TaskFailed if it exits unexpectedly.

        Returns when the server stops.
        """
        worker = self._slots.get(slot)
        if worker is None or worker.exited.is_set():
            if self._stopped.done():
                return
            worker = self._slots[slot] = self._start_worker()
        if await worker.wait_ready():
            if self._on_ready is not None:
                self._on_ready(self.url)
                self._on_ready = None
            self._report_status()
        await worker.exited.wait()
        if self._stopped.done():
            return
        if not worker.ready.is_set() and self._on_ready is not None:
            logger.error("worker %d exited with %d", worker.process.pid, worker.status)
            self._stopped.set_result(max(worker.status, 1))  # no worker was ever ready
            return
        raise TaskFailed(f"worker {worker.process.pid} exited with {worker.status}")

    def _report_status(self) -> None:
        """Report which workers are missing; those that run read it."""
        ready = sum(
            worker.ready.is_set() and not worker.exited.is_set() for worker in self._slots.values()
        )
        failure = self._background.failing.get(_SLOT_TASK)
        status = OK
        if failure is not None and ready < self._config.worker_count:
            text = f"{ready} of {self._config.worker_count} HTTP workers running: {failure}"
            status = ComponentStatus("degraded", text)
        if status == self._reported:
            return
        try:
            StatusFile(self._render_processes.directory, WORKERS).write(status)
        except OSError as error:
            logger.warning("status of HTTP workers not reported: %s", error)
        self._reported = status

    def _on_reload(self) -> None:
        self._finish(self._background.run("reload", self._reload()))

    async def _reload(self) -> None:
        """Replace each process by a new one, which is ready before the old one leaves.

        Raises OSError where one cannot be started; those that are not replaced go on.
        """
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
                self._supervise_slot(slot)
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
            timeout = (
                FIRST_REQUEST_SECONDS
                + self._config.shutdown_timeout_seconds
                + CLOSE_SECONDS
                + _ABORT_SECONDS
            )
            await asyncio.wait(exits, timeout=timeout)
        for worker in workers:
            worker.signal(signal.SIGKILL)

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _finish(self, task: asyncio.Task[None]) -> None:
        """Let the server exit only after this task has ended."""
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)


async def _wait_any(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
