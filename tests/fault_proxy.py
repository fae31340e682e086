"""A proxy on loopback before the server of a bucket, which does to requests what a test says."""

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Literal, NamedTuple, Self
from urllib.parse import urlsplit

Fault = Literal["hold", "unavailable", "reset", "lost answer", "half a body", "twice"]
"""What is done to a request:

- ``hold``: it is not answered before `FaultProxy.release` is set.
- ``unavailable``: it is answered with 503 SlowDown.
- ``reset``: its connection is reset before the server gets it, ``lost answer``: afterwards.
- ``half a body``: half of the answer is sent, then the connection is reset.
- ``twice``: the server gets it twice.
"""

_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked")


class ProxiedRequest(NamedTuple):
    """``path`` has no query."""

    method: str
    path: str


class FaultProxy:
    """``decide`` says for each request what is done to it; None: it is passed on.

    ``rewrite`` may change the target of a request on its way to the server, ``amend`` the answer.
    """

    def __init__(
        self,
        server: str,
        decide: Callable[[ProxiedRequest], Fault | None] = lambda _: None,
        rewrite: Callable[[str, str], str] = lambda _, target: target,
        amend: Callable[[str, bytes], bytes] = lambda _, answer: answer,
    ) -> None:
        self._server = urlsplit(server)
        self.decide = decide
        self._rewrite = rewrite
        self._amend = amend
        self.release = asyncio.Event()
        self.requests: Counter[ProxiedRequest] = Counter()
        self.faults: Counter[Fault] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has left
        except RuntimeError:  # uvloop raises it when a closed transport is written to
            if not writer.is_closing():
                raise
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Return whether the connection stays open."""
        head = await reader.readuntil(b"\r\n\r\n")
        body = await _read_body(reader, head)
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        request = ProxiedRequest(method, target.partition("?")[0])
        self.requests[request] += 1
        fault = self.decide(request)
        if fault is not None:
            self.faults[fault] += 1
        if fault == "hold":
            await self.release.wait()
        if fault == "reset":
            return _reset(writer)
        if fault == "unavailable":
            answer = _SLOW_DOWN
            status = b"HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\n"
            writer.write(b"%scontent-length: %d\r\n\r\n%s" % (status, len(answer), answer))
            await writer.drain()
            return True
        changed = f"{method} {self._rewrite(method, target)} HTTP/1.1".encode()
        sent = changed + b"\r\nconnection: close\r\n" + head.split(b"\r\n", 1)[1] + body
        for _ in range(2 if fault == "twice" else 1):
            answer = self._amend(method, await self._ask(sent))
        if fault == "lost answer":
            return _reset(writer)
        if fault == "half a body":
            writer.write(answer[: len(answer) - len(answer.partition(b"\r\n\r\n")[2]) // 2 - 1])
            await writer.drain()
            return _reset(writer)
        writer.write(answer)
        await writer.drain()
        return False  # its length may be said by its end

    async def _ask(self, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._server.hostname, self._server.port)
        try:
            writer.write(sent)
            return await reader.read(-1)
        finally:
            writer.close()


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The body as it is sent."""
    if found := _LENGTH.search(head):
        return await reader.readexactly(int(found[1]))
    body = b""
    if _CHUNKED.search(head):
        while not body.endswith(b"\r\n0\r\n\r\n") and body != b"0\r\n\r\n":
            body += await reader.readuntil(b"\r\n")
    return body


def _reset(writer: asyncio.StreamWriter) -> bool:
    """With a linger time of 0 the kernel sends RST instead of FIN."""
    option = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
    writer.transport.abort()
    return False
