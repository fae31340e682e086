"""One render process: take an order, do it, answer; end when it is better to begin anew.

It does one job at a time, so whatever ends the process ends that job and no other:

1. The kernel ends it at the deadline, inside any call.
2. A thread ends it when whoever asked has hung up and the job goes on regardless.
3. It ends by itself between two jobs, once it has grown, or has done its number.

The fork server puts a fresh one in its place at once.
"""

import gc
import logging
import os
import select
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from proxy.buffers import SharedBuffer
from proxy.errors import ProxyError, RenderFailed
from proxy.render import sandbox
from proxy.render.malloc import give_back
from proxy.render.protocol import (
    MOMENT,
    Heavy,
    Kind,
    Lane,
    Order,
    RenderConfig,
    Work,
    frame,
    receive_order,
    write_failure,
)
from proxy.render.scheduling import Turn, lanes_of

log = logging.getLogger("framekeep.renderers")

RECYCLED = 0
ABANDONED = 3

_TALK_SECONDS = 10.0
"""Longest wait for a worker to send its order or to take its answer."""

_GRACE_SECONDS = 0.25
"""How long work that nobody waits for may go on: to finish is often cheaper than to fork."""

_REST_SECONDS = 1.0
"""How long nothing has to come before the allocator is asked to give memory back."""


class About(Struct, frozen=True):
    """A process's word about itself.

    ``jobs`` is how many it has begun, this one included; ``grown`` is the memory it holds beyond
    what it began with, in bytes; ``guards`` of the sandbox are "on", or why they are not.
    """

    pid: int
    jobs: int
    grown: int
    guards: Mapping[str, str]


def _about(originals: Sequence[SharedBuffer], argument: None, lane: Lane) -> About:  # noqa: ARG001
    return About(os.getpid(), 0, 0, {})


ABOUT = Work("about", type(None), About, _about)
"""Always on offer; in a renderer, it is the renderer that answers."""


class Renderer:
    def __init__(
        self,
        slot: int,
        listeners: Mapping[Lane, socket.socket],
        life: int,
        *,
        works: Mapping[str, Work[Any, Any]],
        settings: RenderConfig,
        readable: Sequence[str],
    ) -> None:
        """Settle in, in a process that was forked for it; it is confined from here on.

        ``slot`` numbers the renderers of the machine from 0; ``life`` is a descriptor that becomes
        readable when the fork server is gone; ``readable`` are the files that work may read beside
        the system's.
        """
        self._works = {**works, ABOUT.name: replace(ABOUT, does=self._about)}
        self._settings = settings
        self._life = life
        self._turn = Turn(lanes_of(slot, settings.process_count))
        self._listeners = {lane: listeners[lane] for lane in self._turn.lanes}
        self._poll = select.epoll()
        self._poll.register(life, select.EPOLLIN)
        for listener in self._listeners.values():
            # Exclusive: a knock wakes one of the idle, not all of them.
            self._poll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        stand_back(settings.nice)
        self._memory = Memory()
        self._guards: Mapping[str, str] = {}
        if settings.sandbox:
            self._guards = sandbox.enter(readable=readable, growth=settings.max_memory_bytes)
        missing = [f"{name} ({why})" for name, why in self._guards.items() if why != "on"]
        if missing and slot == 0:
            log.warning("render processes run without %s", ", ".join(missing))
        self._watch = Watch()
        # Not all at once: each slot ends a little earlier than the next.
        self._most_jobs = (
            settings.max_tasks_per_process - slot * settings.max_tasks_per_process // 64
        )
        self._jobs = 0
        self._spoilt = False

    def _about(self, originals: Sequence[SharedBuffer], argument: None, lane: Lane) -> About:
        return About(os.getpid(), self._jobs, self._memory.grown(), self._guards)

    def run(self) -> NoReturn:
        while not self._is_over():
            for lane in self._turn.order():
                with suppress(BlockingIOError):
                    line, _ = self._listeners[lane].accept()
                    with line:
                        began = time.monotonic()
                        self._take(line, lane)
                        self._turn.spent(lane, time.monotonic() - began)
                    break
            if self._is_spent():
                break
        os._exit(RECYCLED)

    def _is_over(self) -> bool:
        """Wait for something to do; true when it is the end of the fork server that came."""
        came = self._poll.poll(_REST_SECONDS)
        if not came:
            self._memory.trim()
            came = self._poll.poll()
        return any(descriptor == self._life for descriptor, _ in came)

    def _is_spent(self) -> bool:
        if self._spoilt or self._jobs >= self._most_jobs:
            return True
        if self._memory.grown() <= self._settings.max_memory_growth_bytes:
            return False
        self._memory.trim()
        return self._memory.grown() > self._settings.max_memory_growth_bytes

    def _take(self, line: socket.socket, lane: Lane) -> None:
        line.settimeout(_TALK_SECONDS)
        try:
            order, descriptors = receive_order(line)
        except (OSError, msgspec.DecodeError):
            return
        blobs = [SharedBuffer(descriptor) for descriptor in descriptors]
        if has_hung_up(line):
            return
        self._jobs += 1
        with suppress(OSError):  # whoever asked may be gone at any time
            line.sendall(frame(Kind.STARTED, MOMENT.pack(time.monotonic())))
            with deadline(order.seconds), self._watch.over(line):
                answer = self._do(order, blobs, lane)
            line.sendall(answer)

    def _do(self, order: Order, blobs: Sequence[SharedBuffer], lane: Lane) -> bytes:
        try:
            work = self._works[order.work]
            argument = msgspec.msgpack.decode(order.argument, type=work.argument)
            result = work.does(blobs, argument, lane)
            return frame(Kind.DONE, msgspec.msgpack.encode(result))
        except ProxyError as error:
            return frame(Kind.FAILED, write_failure(error))
        except Heavy:
            return frame(Kind.HEAVY)
        except Exception:  # noqa: BLE001 - a fault of ours must be told, not retried
            self._spoilt = True  # who knows what state it left behind
            failure = RenderFailed(
                "the picture could not be rendered", detail=traceback.format_exc()
            )
            return frame(Kind.FAILED, write_failure(failure))


def stand_back(nice: int) -> None:
    """Let HTTP workers go first where both want a core.

    Where the kernel shares cores among sessions first, as it does outside of containers, the
    priority of a process counts in its own session alone: so the renderers' session stands back.
    """
    os.nice(nice)
    with suppress(OSError):  # there are no such groups, or somebody else has just set one
        Path("/proc/self/autogroup").write_text(str(nice), "ascii")


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """The kernel ends this process after ``seconds``: nobody has to be asked, nothing to return."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def has_hung_up(line: socket.socket) -> bool:
    poll = select.poll()
    poll.register(line, select.POLLRDHUP)
    return bool(poll.poll(0))


class Watch:
    """Ends the process when work goes on that nobody waits for any more.

    libvips can be asked to stop, but does so when it pleases: it took seconds in a slow codec.
    """

    def __init__(self) -> None:
        self._lines = select.epoll()
        self._lock = threading.Lock()
        self._now: tuple[socket.socket, threading.Event] | None = None
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    @contextmanager
    def over(self, line: socket.socket) -> Iterator[None]:
        """Watch the line while the work inside goes on."""
        done = threading.Event()
        with self._lock:
            self._now = (line, done)
        self._lines.register(line, select.EPOLLRDHUP)
        try:
            yield
        finally:
            self._lines.unregister(line)
            done.set()
            with self._lock:
                self._now = None

    def _look(self) -> None:
        while True:
            self._lines.poll()
            with self._lock:
                now = self._now
            if now is None or now[1].wait(_GRACE_SECONDS):
                continue
            with self._lock:
                # The next job may have begun meanwhile; its line is its own.
                if self._now is now and has_hung_up(now[0]):
                    os._exit(ABANDONED)


class Memory:
    """The process's own memory, in bytes beyond what it began with."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._fresh = self._own()

    def grown(self) -> int:
        """What is held, in use or not."""
        return self._own() - self._fresh

    def trim(self) -> None:
        """Give back what is not in use."""
        gc.collect()  # a failure's traceback and the image it speaks of hold each other
        give_back()

    def _own(self) -> int:
        _, resident, shared, *_ = os.pread(self._statm, 128, 0).split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")
