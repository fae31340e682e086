"""Servers on loopback that originals come from: one that behaves, one that does not."""

import asyncio
import itertools
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
class Asked:
    """One request as it came in; names of headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass
class Origin:
    """A real HTTP server: it answers what it was told to, and remembers what it was asked."""

    asked: list[Asked] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    _handlers: dict[str, Handler] = field(default_factory=dict)
    _port: int = 0

    def serve(
        self,
        path: str,
        body: bytes = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Answer so from now on; gives the URL."""

        async def answer(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=status, body=body, headers=headers)

        return self.handle(path, answer)

    def handle(self, path: str, handler: Handler) -> str:
        """Let the handler answer from now on; gives the URL."""
        self._handlers[path] = handler
        return self.url(path)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{'https' if self.tls else 'http'}://{host}:{self._port}{path}"

    def count(self, path: str) -> int:
        """How often this path was asked for, with its query."""
        return sum(asked.target == path for asked in self.asked)

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
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

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.method, request.raw_path, headers))
        handler = self._handlers.get(request.raw_path)
        return web.Response(status=404) if handler is None else await handler(request)


_NUMBERS = itertools.count()

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FaultOrigin:
    """A listener that says whatever bytes it was given, and counts who connected."""

    talk: Talk
    connections: int = 0
    host: str = "127.0.0.1"
    number: int = field(default_factory=partial(next, _NUMBERS))

    @classmethod
    def breaking(cls, *parts: bytes) -> Self:
        """Read a request, say these parts, then break the connection off."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
            # Without lingering the kernel says "reset" instead of "end".
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            writer.transport.abort()

        return cls(talk)

    @classmethod
    def repeating(cls, start: bytes, part: bytes) -> Self:
        """Read a request, say the start, then the part again and again."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(start)
            while True:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)

        return cls(talk)

    @classmethod
    def saying(cls, *parts: bytes, stay: bool = False) -> Self:
        """Read a request, say these parts, then close; or stay silent until the other side goes."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
            if stay:
                await reader.read()

        return cls(talk)

    def url(self, path: str = "") -> str:
        """No other origin's, unless there is a path: ports come back, and servers remember."""
        path = path or f"/{self.number}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{path}"

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, self.host, 0)
        self._talks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side had enough
        except RuntimeError:  # as uvloop says of writing to what is closed
            if not writer.is_closing():
                raise
        finally:
            self._talks.discard(task)
            writer.close()
