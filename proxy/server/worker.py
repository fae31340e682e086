"""One HTTP worker, forked by `proxy.server.supervisor`.

It serves on a socket that it was given, and shows twice a second that its loop still turns. It is
told to leave in two steps: first each answer becomes the last on its connection, so that clients
go by themselves; then, when nobody can be surprised by it, it finishes what is left and ends.
"""

import asyncio
import faulthandler
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from proxy.errors import ConfigError
from proxy.render.malloc import give_back, keep_pages
from proxy.server.config import BUSY, ENTERING_SECONDS, IDLE, LEAVE, RETIRE, STOP, ServerConfig
from proxy.server.http_protocol import CHECK_SECONDS, Protocol

_FORGOTTEN_SECONDS = 5.0
"""How much later than expected the word to leave may come; then the worker leaves without."""

_LOOK_SECONDS = 0.01
"""How often it looks, when it leaves, whether somebody has still not asked."""

_REST = 2
"""Turns without a request in hand after which memory is given back."""

NAME = "framekeep-http"
"""What `ps` shows as the name of a worker's command."""

MakeApp = Callable[[Callable[[], bool], Path], Any]
"""Makes the app of a worker: given one that tells whether the worker is about to leave, and the
folder of the machine's render processes."""


class Worker(uvicorn.Server):
    """uvicorn's server, with our life cycle around its own."""

    def __init__(
        self, app: Any, settings: ServerConfig, stopping: asyncio.Event, beat: int, owner: int
    ) -> None:
        """``stopping`` is set as soon as no more requests should be sent here.

        ``beat`` is a descriptor to write signs of life to; ``owner`` is one that ends with whoever
        started us.
        """
        protocol = partial(
            Protocol,
            receive_seconds=settings.read_timeout_seconds,
            send_seconds=settings.write_timeout_seconds,
            at_hand=getattr(app, "at_hand", None),
        )
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,  # type: ignore[arg-type]
                ws="none",
                loop="uvloop",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=settings.max_connections,
                timeout_keep_alive=settings.keep_alive_seconds,
                timeout_graceful_shutdown=settings.shutdown_timeout_seconds,
            )
        )
        self._stopping = stopping
        self._farewell = False
        self._leaving = asyncio.Event()
        self._patience = settings.drain_seconds + _FORGOTTEN_SECONDS
        self._rested = 0
        self._beat = beat
        self._owner = owner

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to signals on the loop, and do not die of them afterwards."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(STOP, self._stop)
        loop.add_signal_handler(RETIRE, self._retire)
        loop.add_signal_handler(LEAVE, self._leaving.set)
        loop.add_reader(self._owner, self._lose_owner)
        yield

    def _stop(self) -> None:
        self._stopping.set()
        self._retire()

    def _retire(self) -> None:
        self._farewell = True
        self._turn()
        asyncio.get_running_loop().call_later(self._patience, self._leaving.set)

    def _lose_owner(self) -> None:
        asyncio.get_running_loop().remove_reader(self._owner)
        self._stopping.set()
        self._leaving.set()

    async def main_loop(self) -> None:
        """Serve until it is time to leave; what is in hand then is finished by uvicorn."""
        self._go_on()
        await self._leaving.wait()
        await self._let_nobody_else_in()

    def _go_on(self) -> None:
        """Turn until the end: a worker that finishes what is in hand is alive as well."""
        self._turn()
        asyncio.get_running_loop().call_later(CHECK_SECONDS, self._go_on)

    async def _let_nobody_else_in(self) -> None:
        """Take no more connections, and hear out who came in just before."""
        for server in self.servers:
            server.close()
        entered = True  # who was let in last shows a turn of the loop later
        while entered:
            await asyncio.sleep(_LOOK_SECONDS)
            since = asyncio.get_running_loop().time() - ENTERING_SECONDS
            connections = self.server_state.connections
            entered = any(one.is_entering(since) for one in connections)  # type: ignore[union-attr]

    def _turn(self) -> None:
        """What is due twice a second."""
        headers = [(b"date", formatdate(usegmt=True).encode())]
        if self._farewell:
            headers.append((b"connection", b"close"))
        self.server_state.default_headers[:] = headers  # in place: for answers under way too
        connections = list(self.server_state.connections)
        now = asyncio.get_running_loop().time()
        for connection in connections:
            connection.check(now)  # type: ignore[union-attr]
        self._rested = 0 if self.server_state.tasks else self._rested + 1
        if self._rested == _REST:
            give_back()
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._beat, BUSY if connections else IDLE)


def run(
    make_app: MakeApp,
    settings: ServerConfig,
    *,
    listener: int,
    beat: int,
    owner: int,
    renderers: Path,
) -> int:
    """Be a worker, from the first to the last; the exit status.

    ``listener``, ``beat`` and ``owner`` are descriptors, see `Worker`; ``renderers`` is the folder
    of the machine's render processes.
    """
    Path("/proc/self/comm").write_text(NAME)
    faulthandler.enable()  # on SIGABRT, it says where it hangs
    keep_pages()
    os.set_blocking(beat, False)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    stopping = asyncio.Event()
    try:
        app = make_app(stopping.is_set, renderers)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    worker = Worker(app, settings, stopping, beat, owner)
    worker.run([socket.socket(fileno=listener)])
    return 0
