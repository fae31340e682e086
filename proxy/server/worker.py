"""One HTTP worker, forked by `proxy.server.supervisor`.

It serves on a socket that it inherits, and sends a heartbeat twice a second to show that its event
loop runs. It is stopped in two steps: first each response closes its connection, so that clients
leave by themselves; then it accepts no more connections, finishes its requests and exits.
"""

import asyncio
import faulthandler
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

from proxy.compat.uvicorn import Config, Server
from proxy.errors import ConfigError
from proxy.render.libc import set_process_name
from proxy.render.malloc import release_freed_memory, retain_freed_memory
from proxy.server.accept_balance import AcceptBalance, ConnectionCounts
from proxy.server.config import ServerConfig
from proxy.server.connection_limit import ConnectionLimit, connections_within
from proxy.server.http_protocol import CHECK_SECONDS, TimeoutHttpProtocol
from proxy.telemetry.metrics import MetricsFiles

SIGNAL_DRAIN, SIGNAL_REPLACED, SIGNAL_EXIT = signal.SIGTERM, signal.SIGUSR2, signal.SIGINT
"""Become not ready and close connections after their response; the same, but stay ready, because
another worker has taken over; finish and exit."""

HEARTBEAT_BUSY, HEARTBEAT_IDLE = b"b", b"i"
"""What a worker writes to its heartbeat pipe, with and without open connections."""

FIRST_REQUEST_SECONDS = 2.0
"""How long a worker that exits waits for the first request on a connection that is just made."""

PROCESS_NAME = "framekeep-http"
"""The name of the process in `ps`."""

_EXIT_DELAY_SECONDS = 5.0
"""If `SIGNAL_EXIT` is later than expected by more than this, the worker exits without it."""

_DRAIN_POLL_SECONDS = 0.01

_IDLE_TICKS = 2
"""Ticks without a request after which garbage is collected and freed memory released."""

AppFactory = Callable[[Callable[[], bool], Path], Any]
"""Makes the app of a worker. It is given a function that says whether the server is stopping, and
the folder with the sockets of the render processes."""


_GC_THRESHOLDS = (700, 1000, 1000)
"""10 and 10 by default. While 500 requests wait, a collection of the middle generation takes 20 to
75 ms, and hits wait for it (`bench/spike.py`): an idle worker collects instead. Requests leave no
cycles behind, not even those that fail: `proxy.runtime.tracebacks`."""


class Worker(Server):
    """uvicorn's server with heartbeat, timeouts and a shutdown in two steps."""

    def __init__(
        self,
        app: Any,
        config: ServerConfig,
        *,
        stopping: asyncio.Event,
        heartbeat_fd: int,
        supervisor_fd: int,
        descriptors: int,
        balance: AcceptBalance,
    ) -> None:
        """``stopping`` is set as soon as no more requests should be sent to this server.

        ``heartbeat_fd`` is written to. ``supervisor_fd`` becomes readable when the supervisor has
        exited. ``descriptors`` is the limit of file descriptors of this process; ``balance`` is
        that of its connections.
        """
        connection_limit = ConnectionLimit(
            connections_within(descriptors, config.max_connections),
            getattr(app, "health_paths", ()),
            balance,
        )
        protocol = partial(
            TimeoutHttpProtocol,
            read_timeout_seconds=config.read_timeout_seconds,
            write_timeout_seconds=config.write_timeout_seconds,
            min_body_bytes_per_second=config.min_body_bytes_per_second,
            fast_path=getattr(app, "fast_path", None),
            connection_limit=connection_limit,
        )
        super().__init__(
            Config(
                app,
                http=protocol,  # type: ignore[arg-type]
                ws="none",
                loop="uvloop",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=config.keep_alive_seconds,
                timeout_graceful_shutdown=config.shutdown_timeout_seconds,
            )
        )
        self._balance = balance
        self._stopping = stopping
        self._exit = asyncio.Event()
        self._exit_timeout = config.drain_seconds + _EXIT_DELAY_SECONDS
        self._close_connections = False
        self._idle_ticks = 0
        self._heartbeat_fd = heartbeat_fd
        self._supervisor_fd = supervisor_fd

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals on the event loop, and do not raise them again at the end."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(SIGNAL_DRAIN, self._on_drain)
        loop.add_signal_handler(SIGNAL_REPLACED, self._on_replaced)
        loop.add_signal_handler(SIGNAL_EXIT, self._exit.set)
        loop.add_reader(self._supervisor_fd, self._on_supervisor_exit)
        yield

    def _on_drain(self) -> None:
        self._stopping.set()
        self._on_replaced()

    def _on_replaced(self) -> None:
        self._close_connections = True
        self._tick()
        asyncio.get_running_loop().call_later(self._exit_timeout, self._exit.set)

    def _on_supervisor_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._supervisor_fd)
        self._stopping.set()
        self._exit.set()

    async def main_loop(self) -> None:
        """Serve until it is time to exit; uvicorn then finishes the requests."""
        self._balance.start(len(self.server_state.connections))
        self._run_ticks()
        await self._exit.wait()
        await self._drain_accepted()

    def _run_ticks(self) -> None:
        """Tick until the process exits: a worker that finishes its requests is alive too."""
        self._tick()
        asyncio.get_running_loop().call_later(CHECK_SECONDS, self._run_ticks)

    async def _drain_accepted(self) -> None:
        """Accept no more connections, and wait for the first request on those accepted last."""
        for server in self.servers:
            server.close()
        self._balance.stop()
        waiting = True  # the last connections are reported one turn of the loop later
        while waiting:
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
            since = asyncio.get_running_loop().time() - FIRST_REQUEST_SECONDS
            waiting = any(
                connection.is_awaiting_first_request(since) for connection in self._connections()
            )

    def _connections(self) -> list[TimeoutHttpProtocol]:
        return list(self.server_state.connections)  # type: ignore[arg-type]

    def _tick(self) -> None:
        """Update the default headers, check timeouts, release memory, send a heartbeat."""
        headers = [(b"date", formatdate(usegmt=True).encode())]
        if self._close_connections:
            headers.append((b"connection", b"close"))
        self.server_state.default_headers[:] = headers  # in place: for current requests too
        connections = self._connections()
        now = asyncio.get_running_loop().time()
        for connection in connections:
            connection.check_timeouts(now)
        self._idle_ticks = 0 if self.server_state.tasks else self._idle_ticks + 1
        if self._idle_ticks == _IDLE_TICKS:
            gc.collect()
            release_freed_memory()
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._heartbeat_fd, HEARTBEAT_BUSY if connections else HEARTBEAT_IDLE)


def run(
    make_app: AppFactory,
    config: ServerConfig,
    *,
    listener_fd: int,
    heartbeat_fd: int,
    supervisor_fd: int,
    render_dir: Path,
    metrics_files: MetricsFiles,
    connection_counts: ConnectionCounts,
) -> int:
    """Run a worker in this process; the exit status.

    For the descriptors see `Worker`; ``render_dir`` has the sockets of the render processes.
    """
    set_process_name(PROCESS_NAME)
    faulthandler.enable()  # on SIGABRT it prints where the worker hangs
    retain_freed_memory()
    gc.set_threshold(*_GC_THRESHOLDS)
    os.set_blocking(heartbeat_fd, False)
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))

    metrics_files.use()
    stopping = asyncio.Event()
    try:
        app = make_app(stopping.is_set, render_dir)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    worker = Worker(
        app,
        config,
        stopping=stopping,
        heartbeat_fd=heartbeat_fd,
        supervisor_fd=supervisor_fd,
        descriptors=hard_limit,
        balance=AcceptBalance(connection_counts, metrics_files.worker),
    )
    worker.run([socket.socket(fileno=listener_fd)])
    return 0
