"""Callers in a closed loop: each asks, waits for the whole answer, checks it, and asks again.

A caller is one connection that stays open. Every answer is checked: its status, and its body byte
for byte where the bytes are known (the first answer of a link, which is looked at as a picture).
Where a server may take one of several ways, what is new is handed back to be looked at.
The loop is plain epoll in processes of its own, so that callers cost the machine as little as can
be: about what wrk costs, and the same beside every server.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

CHUNK = 256 * 1024
END = b"\r\n\r\n"


class WrongAnswer(Exception):
    """A server answered something else than what was asked for."""


@dataclass(frozen=True)
class Ask:
    """One request, and what its answer has to be.

    ``body`` is the expected body, None where only its length can be checked; ``group`` names what
    its time counts for. ``wish`` numbers what was wished for where other bodies may be right, too.
    """

    request: bytes
    status: int = 200
    body: bytes | None = None
    group: str = ""
    wish: int | None = None


@dataclass
class Times:
    """Seconds that each answer took, by the group of its question; ``wall`` is the whole run's.

    ``others`` are bodies that were not expected, with the numbers of their wishes.
    """

    groups: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wall: float = 0.0
    others: set[tuple[int, bytes]] = field(default_factory=set)

    @property
    def all(self) -> list[float]:
        return [seconds for group in self.groups.values() for seconds in group]


def get(path: str, port: int, *extra: str) -> bytes:
    """A GET request as bytes."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: image/*", *extra]
    return "\r\n".join([*lines, "", ""]).encode()


def once(port: int, ask: Ask, *, seconds: float = 60.0) -> tuple[int, bytes, bytes]:
    """Ask once; status, head and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as line:
        line.sendall(ask.request)
        data = b""
        while True:
            end = data.find(END)
            if end >= 0 and len(data) >= (whole := end + 4 + _length(data[: end + 2])):
                return int(data[9:12]), data[:end], data[end + 4 : whole]
            chunk = line.recv(CHUNK)
            if not chunk:
                raise WrongAnswer(f"the server hung up after {data[:200]!r}")
            data += chunk


def call(
    port: int,
    asks: Sequence[Ask],
    *,
    callers: int,
    processes: int = 1,
    seconds: float | None = None,
) -> Times:
    """Ask all of ``asks`` once, in their order; or over and over for ``seconds``.

    ``callers`` connections are divided among the processes. Raises WrongAnswer.
    """
    processes = min(processes, callers)
    if processes == 1:
        return _call(port, asks, callers, seconds)
    context = multiprocessing.get_context("fork")
    with context.Pool(processes) as pool:
        share = callers // processes
        jobs = [(port, asks[at::processes], share, seconds) for at in range(processes)]
        parts = pool.starmap(_call, jobs)
    merged = Times(wall=max(part.wall for part in parts))
    for part in parts:
        merged.others |= part.others
        for name, values in part.groups.items():
            merged.groups[name] += values
    return merged


class _Caller:
    def __init__(self, port: int) -> None:
        self.line = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.wanted = 0
        self.ask: Ask
        self.began = 0.0

    def begin(self, ask: Ask) -> None:
        self.ask, self.data, self.wanted = ask, b"", 0
        self.began = time.perf_counter()
        self.line.send(ask.request)

    def hear(self) -> bool:
        """Take what came; true once the answer is complete and right."""
        chunk = self.line.recv(CHUNK)
        if not chunk:
            raise WrongAnswer(f"the server hung up on {self.ask.request[:120]!r}")
        data = self.data = self.data + chunk if self.data else chunk
        if not self.wanted:
            end = data.find(END)
            if end < 0:
                return False
            self.wanted = end + 4 + _length(data[: end + 2])
            if int(data[9:12]) != self.ask.status:
                raise WrongAnswer(f"{self.ask.request[:160]!r} got {data[:400]!r}")
        if len(data) < self.wanted:
            return False
        if len(data) > self.wanted or (self.ask.wish is None and not self.is_expected()):
            raise WrongAnswer(f"{self.ask.request[:160]!r} got another body")
        return True

    def is_expected(self) -> bool:
        return self.ask.body is None or self.data.endswith(self.ask.body)

    def body(self) -> bytes:
        return self.data[self.data.find(END) + 4 :]


def _length(head: bytes) -> int:
    """The length of the body that a head, with its last line end, promises."""
    if head[9:12] in (b"304", b"204"):
        return 0
    folded = head.lower()
    start = folded.find(b"\r\ncontent-length:")
    if start < 0:
        raise WrongAnswer(f"an answer without a length: {head[:300]!r}")
    return int(folded[start + 17 : folded.find(b"\r\n", start + 17)])


def _call(port: int, asks: Sequence[Ask], callers: int, seconds: float | None) -> Times:
    with ExitStack() as closing:
        lines: dict[int, _Caller] = {}
        poll = closing.enter_context(select.epoll())
        for _ in range(callers):
            caller = _Caller(port)
            closing.enter_context(caller.line)
            lines[caller.line.fileno()] = caller
            poll.register(caller.line, select.EPOLLIN)
        return _loop(poll, lines, asks, seconds)


def _loop(
    poll: select.epoll, lines: Mapping[int, _Caller], asks: Sequence[Ask], seconds: float | None
) -> Times:
    times = Times()
    clock = time.perf_counter
    start = clock()
    until = start + seconds if seconds is not None else None
    count, at, busy = len(asks), 0, 0
    for caller in lines.values():
        if until is None and at >= count:
            break
        caller.begin(asks[at % count])
        at, busy = at + 1, busy + 1
    while busy:
        for descriptor, _ in poll.poll(60):
            caller = lines[descriptor]
            if not caller.hear():
                continue
            now = clock()
            times.groups[caller.ask.group].append(now - caller.began)
            if caller.ask.wish is not None and not caller.is_expected():
                times.others.add((caller.ask.wish, caller.body()))
            if now < until if until is not None else at < count:
                caller.begin(asks[at % count])
                at += 1
            else:
                busy -= 1
    times.wall = clock() - start
    return times
