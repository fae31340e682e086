"""One render process: get a task from the fork server, run it, reply.

It runs one task at a time, so whatever ends the process ends that task and no other:

1. When the task has used up its CPU time or its time, the kernel stops it, inside any call.
2. A thread ends it when the caller has closed the connection and the task goes on regardless.
3. It exits between two tasks, once its memory has grown or it has run its maximum of tasks.
4. The fork server kills it when it has prevented all this, and when the fork server itself ends.

The fork server immediately starts a fresh process in its place.
"""

import gc
import logging
import os
import select
import signal
import socket
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from proxy.buffers import SharedBuffer
from proxy.compat.msgspec import DECODE_ERRORS
from proxy.errors import OriginalChanged, ProxyError, RenderFailed
from proxy.render import sandbox
from proxy.render.config import RenderConfig
from proxy.render.ipc import (
    IDLE,
    OUT_OF_CPU_TIME,
    ReplyType,
    TaskHandler,
    TaskMessage,
    TaskType,
    TooExpensive,
    encode_error,
    encode_reply,
    receive_connection,
    receive_task,
    send_reply,
)
from proxy.render.malloc import release_freed_memory
from proxy.render.root_filesystem import RootFilesystem
from proxy.render.scheduling import Priority

logger = logging.getLogger("framekeep.render.process")

EXIT_RECYCLED = 0
EXIT_CALLER_GONE = 3
EXIT_MONITOR_FAILED = 4
EXIT_SANDBOX_INCOMPLETE = 5

_SOCKET_TIMEOUT_SECONDS = 10.0
"""For a worker to send its task, and to take the reply."""

_CALLER_GONE_GRACE_SECONDS = 0.25
"""How long a task without a caller may go on: to let it finish is often cheaper than to fork.

A background task may not: where it is cancelled, a request waits for this process."""

_CPU_GRACE_SECONDS = 1.0
"""CPU time for the end of a task whose CPU time is used up; then the kernel kills the process."""

_IDLE_SECONDS = 1.0
"""Time without a task after which freed memory goes back to the kernel."""


class ProcessInfo(Struct, frozen=True):
    """The reply to a `PING`.

    ``task_count`` is the number of tasks started, this one included; ``memory_growth_bytes`` is the
    memory beyond that at the start; ``sandbox_guards`` maps each guard to "on" or to the reason why
    it is missing.
    """

    pid: int
    task_count: int
    memory_growth_bytes: int
    sandbox_guards: Mapping[str, str]


PING = TaskType("ping", type(None), ProcessInfo)
"""Every render process answers it, whatever its handlers are."""


class RenderProcess:
    def __init__(
        self,
        slot: int,
        control: socket.socket,
        *,
        handlers: Mapping[str, TaskHandler[Any, Any]],
        config: RenderConfig,
        readable_paths: Sequence[str],
        root: RootFilesystem | str,
    ) -> None:
        """Enter the sandbox; for a process that was forked for this.

        ``slot`` numbers the render processes of the machine from 0. ``control`` is the socket to
        the fork server. ``readable_paths`` are files and folders that handlers may read, besides
        those of the system and of Python. ``root`` is the result of `sandbox.make_root`.
        """
        self._handlers = {**handlers, PING.name: TaskHandler.for_task(PING, self._ping)}
        self._config = config
        self._control = control
        os.nice(config.nice)
        signal.signal(OUT_OF_CPU_TIME, lambda *_: None)  # `time_limits` has the signal written
        self._memory = PrivateMemory()
        self._guards: Mapping[str, str] = {}
        if config.sandbox:
            self._guards = sandbox.enter(
                readable_paths=readable_paths, max_growth_bytes=config.max_memory_bytes, root=root
            )
        control.send(msgspec.msgpack.encode(self._guards))
        if config.require_sandbox and sandbox.missing_guards(self._guards):
            os._exit(EXIT_SANDBOX_INCOMPLETE)
        self._disconnect_monitor = DisconnectMonitor()
        # Each slot has a lower limit than the one before: they are not all replaced together.
        self._max_tasks = config.max_tasks_per_process - slot * config.max_tasks_per_process // 64
        self._task_count = 0
        self._tainted = False

    def _ping(
        self, buffers: Sequence[SharedBuffer], argument: None, priority: Priority
    ) -> ProcessInfo:
        return ProcessInfo(os.getpid(), self._task_count, self._memory.growth_bytes(), self._guards)

    def run(self) -> NoReturn:
        """Serve until it is time to be replaced, or until the fork server has ended."""
        with suppress(ConnectionError):
            while not self._should_recycle():
                self._control.send(IDLE)
                self._trim_when_idle()
                task = receive_connection(self._control)
                if task is None:
                    break
                connection, priority = task
                with connection:
                    self._serve(connection, priority)
        os._exit(EXIT_RECYCLED)

    def _trim_when_idle(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(_IDLE_SECONDS * 1000):
            self._memory.trim()

    def _should_recycle(self) -> bool:
        if self._tainted or self._task_count >= self._max_tasks:
            return True
        if self._memory.growth_bytes() <= self._config.max_memory_growth_bytes:
            return False
        self._memory.trim()
        return self._memory.growth_bytes() > self._config.max_memory_growth_bytes

    def _serve(self, connection: socket.socket, priority: Priority) -> None:
        try:
            message, buffers = receive_task(connection, _SOCKET_TIMEOUT_SECONDS)
        except (OSError, *DECODE_ERRORS):
            return
        if peer_disconnected(connection):
            return
        self._task_count += 1
        with suppress(OSError):  # the caller may disconnect at any time
            with (
                time_limits(connection, message.cpu_seconds, message.wall_seconds),
                self._disconnect_monitor.watch(
                    connection, 0.0 if priority == "background" else _CALLER_GONE_GRACE_SECONDS
                ),
            ):
                reply = self._run_handler(message, buffers, priority)
            send_reply(connection, reply, _SOCKET_TIMEOUT_SECONDS)

    def _run_handler(
        self, message: TaskMessage, buffers: Sequence[SharedBuffer], priority: Priority
    ) -> bytes:
        try:
            handler = self._handlers[message.task]
            argument = msgspec.msgpack.decode(message.argument, type=handler.argument)
            _check_sizes(message, buffers)
            result = handler.function(buffers, argument, priority)
            return encode_reply(ReplyType.DONE, msgspec.msgpack.encode(result))
        except ProxyError as error:
            return encode_reply(ReplyType.FAILED, encode_error(error))
        except TooExpensive:
            return encode_reply(ReplyType.TOO_EXPENSIVE)
        except Exception:  # noqa: BLE001 - a bug is reported, not retried
            self._tainted = True  # the bug may have left any state behind
            failure = RenderFailed("the image could not be rendered", detail=traceback.format_exc())
            return encode_reply(ReplyType.FAILED, encode_error(failure))


def _check_sizes(message: TaskMessage, buffers: Sequence[SharedBuffer]) -> None:
    """Raise OriginalChanged where a file is not as long as when it was sent."""
    sizes = tuple(buffer.size for buffer in buffers)
    if sizes != message.buffer_sizes:
        raise OriginalChanged(detail=f"bytes: {sizes}, sent: {message.buffer_sizes}")


@contextmanager
def time_limits(
    connection: socket.socket, cpu_seconds: float, wall_seconds: float
) -> Iterator[None]:
    """Have the kernel stop the block at its limits, in whatever call of whatever library it is.

    CPU time is that of all threads. When it is used up, `OUT_OF_CPU_TIME` is sent to the caller, by
    the handler that the interpreter has in C. The caller closes the connection, and
    `DisconnectMonitor` ends the process. Where a call blocks the interpreter, so that no other
    thread of it can run, the kernel kills the process soon after (SIGVTALRM). At the limit of
    ``wall_seconds`` it kills the process immediately (SIGALRM).
    """
    signal.set_wakeup_fd(connection.fileno(), warn_on_full_buffer=False)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_seconds + _CPU_GRACE_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, wall_seconds)
    try:
        yield
    finally:
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
        signal.set_wakeup_fd(-1)


def peer_disconnected(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


class DisconnectMonitor:
    """Ends this process when a task goes on although its caller has disconnected.

    libvips can be asked to stop, but stops only between its regions: in a slow codec that took
    seconds.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._lock = threading.Lock()
        self._current: tuple[socket.socket, threading.Event, float] | None = None
        threading.Thread(target=self._monitor, name="disconnect-monitor", daemon=True).start()

    @contextmanager
    def watch(self, connection: socket.socket, grace_seconds: float) -> Iterator[None]:
        """Watch the connection for the time of the block, which may outlive it for so long."""
        done = threading.Event()
        with self._lock:
            self._current = (connection, done, grace_seconds)
        self._epoll.register(connection, select.EPOLLRDHUP)
        try:
            yield
        finally:
            self._epoll.unregister(connection)
            done.set()
            with self._lock:
                self._current = None

    def _monitor(self) -> None:
        try:
            self._watch_for_ever()
        except BaseException:  # without this thread no task would be ended: a fresh process has one
            logger.exception("disconnect monitor failed")
            os._exit(EXIT_MONITOR_FAILED)

    def _watch_for_ever(self) -> NoReturn:
        while True:
            self._epoll.poll()
            with self._lock:
                current = self._current
            if current is None or current[1].wait(current[2]):
                continue
            with self._lock:
                # The next task, on another connection, may have started meanwhile.
                if self._current is current and peer_disconnected(current[0]):
                    os._exit(EXIT_CALLER_GONE)


class PrivateMemory:
    """Resident memory of this process that it shares with no other, in bytes."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._initial_bytes = self._current_bytes()

    def growth_bytes(self) -> int:
        """Growth since the start; memory that was freed but not yet released counts."""
        return self._current_bytes() - self._initial_bytes

    def trim(self) -> None:
        """Release freed memory to the kernel."""
        gc.collect()  # an error's traceback and the image that it refers to are a cycle
        release_freed_memory()

    def _current_bytes(self) -> int:
        _, resident, shared, *_ = os.pread(self._statm, 128, 0).split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")
