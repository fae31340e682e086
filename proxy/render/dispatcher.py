"""Hand the tasks that wait at the sockets to idle render processes, one at a time.

The processes have read untrusted files, so nothing here depends on what they say, but one thing: a
process is given its next task when it says that it is idle. It is killed when it says anything
else, when it leaves, and when it has had a task for longer than a task may take.
"""

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence

import msgspec

from proxy.compat.msgspec import DECODE_ERRORS
from proxy.render.ipc import IDLE, STARTED, ReplyType, encode_reply, hand_over
from proxy.render.scheduling import FairScheduler, Priority

logger = logging.getLogger("framekeep.render.dispatcher")

_GRACE_SECONDS = 2.0
"""For a process to be ended by its own alarm, before it is killed from outside."""

_MAX_MESSAGE_BYTES = 4096


class ProcessHandle:
    """A render process as the fork server sees it.

    ``guards`` are those of its sandbox, once it has reported them; ``killed_for`` is why it was
    killed from outside, or empty.
    """

    def __init__(
        self,
        pid: int,
        slot: int,
        control: socket.socket,
        priorities: Sequence[Priority],
        *,
        started_at: float,
    ) -> None:
        self.pid = pid
        self.slot = slot
        self.control = control
        self.started_at = started_at
        self.guards: Mapping[str, str] | None = None
        self.killed_for = ""
        self.scheduler = FairScheduler(priorities)
        self.task: Priority | None = None
        self.busy_since: float | None = started_at
        """Since when it has its task, or starts; None while it is idle."""

    def kill(self, reason: str) -> None:
        if not self.killed_for:
            self.killed_for = reason
            os.kill(self.pid, signal.SIGKILL)  # it is not waited for yet: the pid is still its own


class Dispatcher:
    """``poll`` is what the fork server waits with; it may register more in it."""

    def __init__(self, listeners: Mapping[Priority, socket.socket], *, task_seconds: float) -> None:
        """``listeners`` do not block. No task may take longer than ``task_seconds``."""
        self._listeners = listeners
        self._limit_seconds = task_seconds + _GRACE_SECONDS
        self._processes: dict[int, ProcessHandle] = {}
        """By descriptor of the control socket."""
        self._watched: set[Priority] = set()
        self.poll = select.poll()
        self.guards_reported = 0
        """How many processes have reported the guards of their sandbox."""

    def add(self, process: ProcessHandle) -> None:
        process.control.setblocking(False)
        self._processes[process.control.fileno()] = process
        self.poll.register(process.control, select.POLLIN)

    def remove(self, process: ProcessHandle) -> None:
        """Forget a process that has ended."""
        if self._processes.pop(process.control.fileno(), None) is not None:
            self.poll.unregister(process.control)
        process.control.close()
        self._watch_listeners()

    def close(self) -> None:
        """Close all descriptors, in a process that was just forked."""
        for process in self._processes.values():
            process.control.close()
        for listener in self._listeners.values():
            listener.close()

    def stop(self, idle_exit_seconds: float) -> None:
        """Hand over no more tasks, and tell all processes to exit after the one that they have."""
        now = time.monotonic()
        for process in self._processes.values():
            process.control.shutdown(socket.SHUT_RDWR)
            if process.busy_since is None:
                process.busy_since = now - self._limit_seconds + idle_exit_seconds
        self._watch_listeners()
        for listener in self._listeners.values():
            listener.close()

    def read_messages(self, ready: Mapping[int, int]) -> None:
        """Note which processes are idle; ``ready`` is what ``poll`` returned."""
        for descriptor in ready.keys() & self._processes.keys():
            self._read_message(self._processes[descriptor])

    def _read_message(self, process: ProcessHandle) -> None:
        try:
            message = process.control.recv(_MAX_MESSAGE_BYTES)
        except OSError:
            message = b""
        if process.guards is None and message:
            try:
                process.guards = msgspec.msgpack.decode(message, type=dict[str, str])
                self.guards_reported += 1
            except DECODE_ERRORS:
                self._kill(process, "its first message was invalid")
        elif message == IDLE and process.busy_since is not None:
            if process.task is not None:
                process.scheduler.charge(process.task, time.monotonic() - process.busy_since)
            process.task = process.busy_since = None
        elif not message:  # it is exiting, or should be
            self._kill(process, "")
        else:
            self._kill(process, "it sent a message that was not its turn")

    def _kill(self, process: ProcessHandle, reason: str) -> None:
        """Kill it, and expect nothing of it any more."""
        self._processes.pop(process.control.fileno())
        self.poll.unregister(process.control)
        if reason:
            process.kill(reason)
        else:
            os.kill(process.pid, signal.SIGKILL)

    def dispatch(self) -> None:
        """Give tasks that wait to the processes that are idle, the most specialized ones first."""
        for process in sorted(self._processes.values(), key=lambda one: one.slot):
            if process.busy_since is None:
                self._give_task(process)
        self._watch_listeners()

    def _give_task(self, process: ProcessHandle) -> None:
        for priority in process.scheduler.next_order():
            while (connection := self._accept(priority)) is not None:
                with connection:
                    if self._hand_over(process, connection, priority):
                        return

    def _accept(self, priority: Priority) -> socket.socket | None:
        try:
            connection, _ = self._listeners[priority].accept()
        except BlockingIOError:
            return None
        return connection

    def _hand_over(
        self, process: ProcessHandle, connection: socket.socket, priority: Priority
    ) -> bool:
        """False if nobody waits for this task any more."""
        now = time.monotonic()
        started = encode_reply(ReplyType.STARTED, STARTED.pack(now, process.pid))
        try:
            # Before the process can reply; the buffer of a new connection has room for it.
            connection.send(started, socket.MSG_DONTWAIT)
        except OSError:
            return False
        process.busy_since, process.task = now, priority
        try:
            hand_over(process.control, connection, priority)
        except OSError as error:  # it has just died: the worker tries again
            logger.info("render process %d has not got its task: %s", process.pid, error)
        return True

    def _watch_listeners(self) -> None:
        """Wait for tasks of the priorities for which there is an idle process."""
        wanted = {
            priority
            for process in self._processes.values()
            if process.busy_since is None
            for priority in process.scheduler.priorities
        }
        for priority in wanted - self._watched:
            self.poll.register(self._listeners[priority], select.POLLIN)
        for priority in self._watched - wanted:
            self.poll.unregister(self._listeners[priority])
        self._watched = wanted

    def poll_timeout(self) -> float | None:
        """Milliseconds until a process may have to be killed; None where none can."""
        starts = [
            process.busy_since
            for process in self._processes.values()
            if process.busy_since is not None
        ]
        if not starts:
            return None
        return max(0.0, min(starts) + self._limit_seconds - time.monotonic()) * 1000

    def kill_overdue(self) -> None:
        limit = time.monotonic() - self._limit_seconds
        for process in [*self._processes.values()]:
            if process.busy_since is not None and process.busy_since <= limit:
                self._kill(process, "its task did not end at its limit of time")
