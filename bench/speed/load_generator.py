"""A closed-loop load generator: each connection sends a request when it has the last response.

Every response is checked: its status, and its body byte for byte where the bytes are known (from
the first response to a link, which is decoded and checked as an image). Where a server may render a
rendition in several ways, unexpected bodies are returned to the caller, who checks them.
The loop is plain epoll in processes of its own, so that the load generator takes as little CPU as
possible: about as much as wrk, and the same for every server.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.synchronize import Event

PATIENCE_SECONDS = 120
"""How long a response may take. Servers have the same patience: all run on one machine, and nothing
shall fail only because it is slow."""

_CLEAN_PROCESSES = multiprocessing.get_context("forkserver")
"""Not forks of this process: it has threads, and a fork can hang at a lock that one of them had."""

_CHUNK_BYTES = 256 * 1024
_HEAD_END = b"\r\n\r\n"


class WrongResponse(Exception):
    """A response is not the one that was expected."""


@dataclass(frozen=True)
class Request:
    """A request, and what is expected of its response.

    ``body`` is the expected body; None where only its length can be checked. ``group`` names the
    group that its time belongs to. ``spec`` is the number of the image spec where other bodies may
    be right, too.
    """

    data: bytes
    status: int = 200
    body: bytes | None = None
    group: str = ""
    spec: int | None = None


@dataclass
class LoadResult:
    """Seconds of each response, by the group of its request, and of the whole run.

    ``unexpected_bodies`` have the number of their image spec.
    """

    groups: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wall_seconds: float = 0.0
    unexpected_bodies: set[tuple[int, bytes]] = field(default_factory=set)

    @property
    def all(self) -> list[float]:
        return [seconds for group in self.groups.values() for seconds in group]


def get_request(path: str, port: int, *headers: str) -> bytes:
    """A GET request as bytes."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: image/*", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def send_once(
    port: int, request: Request, *, timeout_seconds: float = PATIENCE_SECONDS
) -> tuple[int, bytes, bytes]:
    """Send one request; returns status, head and body of the response."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds) as connection:
        connection.sendall(request.data)
        data = b""
        while True:
            head_end = data.find(_HEAD_END)
            if head_end >= 0:
                end = head_end + 4 + _content_length(data[: head_end + 2])
                if len(data) >= end:
                    return int(data[9:12]), data[:head_end], data[head_end + 4 : end]
            chunk = connection.recv(_CHUNK_BYTES)
            if not chunk:
                raise WrongResponse(f"connection closed after {data[:200]!r}")
            data += chunk


def generate_load(
    port: int,
    requests: Sequence[Request],
    *,
    connections: int,
    processes: int = 1,
    seconds: float | None = None,
) -> LoadResult:
    """Send all requests once, in order; or again and again for ``seconds``.

    The connections are divided among the processes. Raises WrongResponse.
    """
    processes = min(processes, connections)
    if processes == 1:
        return _run(port, requests, connections, seconds)
    each = connections // processes
    shares = [requests[number::processes] for number in range(processes)]
    running = [_pool(processes).submit(_run, port, share, each, seconds) for share in shares]
    parts = [one.result() for one in running]
    merged = LoadResult(wall_seconds=max(part.wall_seconds for part in parts))
    for part in parts:
        merged.unexpected_bodies |= part.unexpected_bodies
        for name, values in part.groups.items():
            merged.groups[name] += values
    return merged


@contextmanager
def load_beside(port: int, requests: Sequence[Request], *, connections: int) -> Iterator[None]:
    """While the block runs, a process of its own sends these requests; there must be enough."""
    began = _CLEAN_PROCESSES.Event()
    process = _CLEAN_PROCESSES.Process(target=_begin, args=(began, port, requests, connections))
    process.start()
    try:
        began.wait(PATIENCE_SECONDS)
        yield
    finally:
        process.terminate()
        process.join()


def _begin(began: Event, port: int, requests: Sequence[Request], connections: int) -> None:
    began.set()
    _run(port, requests, connections, None)


@cache
def _pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, _CLEAN_PROCESSES)


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request: Request
        self.sent_at = 0.0
        self._received = b""
        self._expected_length = 0

    def send(self, request: Request) -> None:
        self.request, self._received, self._expected_length = request, b"", 0
        self.sent_at = time.perf_counter()
        self.socket.send(request.data)

    def receive(self) -> bool:
        """Read what has arrived; true when the response is complete and right."""
        chunk = self.socket.recv(_CHUNK_BYTES)
        if not chunk:
            raise WrongResponse(f"connection closed after {self.request.data[:120]!r}")
        data = self._received = self._received + chunk if self._received else chunk
        if not self._expected_length:
            head_end = data.find(_HEAD_END)
            if head_end < 0:
                return False
            self._expected_length = head_end + 4 + _content_length(data[: head_end + 2])
        if len(data) < self._expected_length:
            return False
        if (status := int(data[9:12])) != self.request.status:
            target = self.request.data.split(b" ")[1].decode()
            raise WrongResponse(f"{target} got {status}: {self.body()[:400]!r}")
        is_wrong = self.request.spec is None and not self.is_expected()
        if len(data) > self._expected_length or is_wrong:
            raise WrongResponse(f"{self.request.data[:160]!r} got another body")
        return True

    def is_expected(self) -> bool:
        return self.request.body is None or self._received.endswith(self.request.body)

    def body(self) -> bytes:
        return self._received[self._received.find(_HEAD_END) + 4 :]


def _content_length(head: bytes) -> int:
    """The length of the body; ``head`` includes the end of its last line."""
    if head[9:12] in (b"304", b"204"):
        return 0
    lower = head.lower()
    start = lower.find(b"\r\ncontent-length:")
    if start < 0:
        raise WrongResponse(f"response without Content-Length: {head[:300]!r}")
    return int(lower[start + 17 : lower.find(b"\r\n", start + 17)])


def _run(
    port: int, requests: Sequence[Request], connections: int, seconds: float | None
) -> LoadResult:
    with ExitStack() as closing:
        by_descriptor: dict[int, _Connection] = {}
        poll = closing.enter_context(select.epoll())
        for _ in range(connections):
            connection = _Connection(port)
            closing.enter_context(connection.socket)
            by_descriptor[connection.socket.fileno()] = connection
        return _loop(poll, by_descriptor, requests, seconds)


def _loop(
    poll: select.epoll,
    connections: Mapping[int, _Connection],
    requests: Sequence[Request],
    seconds: float | None,
) -> LoadResult:
    result = LoadResult()
    clock = time.perf_counter
    start = clock()
    until = start + seconds if seconds is not None else None
    count, sent, busy = len(requests), 0, 0
    for descriptor, connection in connections.items():
        if until is None and sent >= count:
            break
        poll.register(descriptor, select.EPOLLIN)
        connection.send(requests[sent % count])
        sent, busy = sent + 1, busy + 1
    while busy:
        ready = poll.poll(PATIENCE_SECONDS)
        if not ready:
            raise WrongResponse(f"no response within {PATIENCE_SECONDS} seconds")
        for descriptor, _ in ready:
            connection = connections[descriptor]
            if not connection.receive():
                continue
            now = clock()
            request = connection.request
            result.groups[request.group].append(now - connection.sent_at)
            if request.spec is not None and not connection.is_expected():
                result.unexpected_bodies.add((request.spec, connection.body()))
            if now < until if until is not None else sent < count:
                connection.send(requests[sent % count])
                sent += 1
            else:
                poll.unregister(descriptor)  # a server may close it while others are busy
                busy -= 1
    result.wall_seconds = clock() - start
    return result
