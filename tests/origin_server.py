"""Origin servers on loopback: a correct one, and one that sends any bytes."""

import asyncio
import itertools
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it was received; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass
class OriginServer:
    """A real HTTP server that records the requests; unknown paths are 404."""

    requests: list[RecordedRequest] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    _handlers: dict[str, Handler] = field(default_factory=dict)
    _bodies: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    _port: int = 0

    def serve(
        self,
        path: str,
        body: bytes = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Serve this response at the path from now on; returns the URL.

        Raises:
            AssertionError: another test serves other bytes at this path; a server that both tests
                share would still have the first in its cache.
        """
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        owner, earlier = self._bodies.setdefault(path, (test, body))
        assert owner == test or earlier == body, f"{owner} serves other bytes at {path}"
        self._bodies[path] = (owner, body)

        async def respond(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=status, body=body, headers=headers)

        return self.handle(path, respond)

    def handle(self, path: str, handler: Handler) -> str:
        """Let the handler respond at the path from now on; returns the URL."""
        self._handlers[path] = handler
        return self.url(path)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{'https' if self.tls else 'http'}://{host}:{self._port}{path}"

    def count(self, path: str) -> int:
        """How often the path was requested; it includes the query."""
        return sum(request.target == path for request in self.requests)

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._respond), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(RecordedRequest(request.method, request.raw_path, headers))
        handler = self._handlers.get(request.raw_path)
        return web.Response(status=404) if handler is None else await handler(request)


_SERIAL = itertools.count()

ConnectionHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FaultyOrigin:
    """A server that sends the bytes it was given, and counts connections."""

    handle: ConnectionHandler
    connections: int = 0
    host: str = "127.0.0.1"
    number: int = field(default_factory=partial(next, _SERIAL))

    @classmethod
    def resetting(cls, *parts: bytes) -> Self:
        """Read a request, send the parts, then reset the connection."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
            # With a linger time of 0 the kernel sends RST instead of FIN.
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            writer.transport.abort()

        return cls(handle)

    @classmethod
    def repeating(cls, start: bytes, part: bytes) -> Self:
        """Read a request, send the start, then the part again and again."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(start)
            while True:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)

        return cls(handle)

    @classmethod
    def sending(cls, *parts: bytes, keep_open: bool = False) -> Self:
        """Read a request and send the parts; then close, or wait until the client closes."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
            if keep_open:
                await reader.read()

        return cls(handle)

    def url(self, path: str = "") -> str:
        """Unique without a path: ports are used again, and servers cache by URL."""
        path = path or f"/{self.number}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{path}"

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._on_connection, self.host, 0)
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client closed the connection
        except RuntimeError:  # uvloop raises it when a closed transport is written to
            if not writer.is_closing():
                raise
        finally:
            self._tasks.discard(task)
            writer.close()
