"""The fork server, ``python -m proxy.render.fork_server``: it forks render processes.

Render processes start clean: this process was started by exec, has one thread, and does nothing but
import, fork and hand over tasks (`proxy.render.dispatcher`). What they get is code, which they
share, and one connection at a time: they never have the sockets at which tasks wait.

It ends when its owner closes the pipe or dies in whatever way. Then each render process ends after
the task that it is running, and none lives longer than this process.

Signals are left to the owner: a service manager that sends SIGTERM to every process of a service
must not end renders that HTTP workers are still waiting for.
"""

import argparse
import gc
import importlib
import logging
import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec

from proxy.render import sandbox
from proxy.render.config import RenderConfig
from proxy.render.dispatcher import Dispatcher, ProcessHandle
from proxy.render.ipc import COMPONENT, REPLACED, SANDBOX, handlers_by_name
from proxy.render.libc import deny_inspection
from proxy.render.process import (
    EXIT_CALLER_GONE,
    EXIT_RECYCLED,
    EXIT_SANDBOX_INCOMPLETE,
    RenderProcess,
)
from proxy.render.root_filesystem import RootFilesystem
from proxy.render.scheduling import PRIORITIES, priorities_for_slot
from proxy.runtime.components import OK, ComponentStatus, StatusFile
from proxy.telemetry.config import LogConfig
from proxy.telemetry.logging import configure

logger = logging.getLogger("framekeep.render.fork_server")

_SHORT_LIFE_SECONDS = 1.0
"""A process that died sooner may do so again immediately: the next one starts after a backoff."""

_MIN_BACKOFF_SECONDS = 0.05
_MAX_BACKOFF_SECONDS = 2.0

_IDLE_EXIT_SECONDS = 5.0
"""For a process without a task to exit when the server ends."""

_EXPECTED_EXITS = {
    EXIT_RECYCLED: "recycled",
    EXIT_CALLER_GONE: "ended: its caller has disconnected",
    -signal.SIGALRM: "killed: its task took too long",
    -signal.SIGVTALRM: "killed: its task used up its CPU time",
}


class ForkServer:
    def __init__(
        self,
        process_count: int,
        owner_pipe: int,
        run_process: Callable[[int, socket.socket], NoReturn],
        dispatcher: Dispatcher,
        *,
        directory: Path,
        reserve_first: bool = True,
    ) -> None:
        """Keep ``process_count`` processes running until the owner closes ``owner_pipe``.

        ``run_process`` is called in each of them, with its slot and its socket to this process. How
        many are missing, and what their sandbox lacks, is reported in ``directory``.
        ``reserve_first`` is that of `priorities_for_slot`.
        """
        self._reserve_first = reserve_first
        self._process_count = process_count
        self._owner_pipe = owner_pipe
        self._run_process = run_process
        self._dispatcher = dispatcher
        self._status_files = {name: StatusFile(directory, name) for name in (COMPONENT, SANDBOX)}
        self._reported: dict[str, ComponentStatus] = {}
        self._known: tuple[int, str, int] | None = None
        self._failure = ""
        """Why the last process was lost, or could not be forked."""
        self._processes: dict[int, ProcessHandle] = {}
        """By pid."""
        self._start_at = dict.fromkeys(range(process_count), 0.0)
        """When to start a process in each empty slot."""
        self._backoff = 0.0
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def run(self) -> bool:
        """Serve until the owner ends that; false if another fork server has taken over."""
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = self._dispatcher.poll
        poll.register(self._wake_read, select.POLLIN)
        poll.register(self._owner_pipe, select.POLLIN)
        while True:
            self._start_due_processes()
            self._report_status()
            ready = dict(poll.poll(self._poll_timeout()))
            if self._owner_pipe in ready:
                break
            self._dispatcher.read_messages(ready)
            self._dispatcher.dispatch()
            self._dispatcher.kill_overdue()
            if self._wake_read in ready:
                self._reap()
        self._end_processes()
        return os.read(self._owner_pipe, 1) != REPLACED

    def _end_processes(self) -> None:
        """Let each process finish the task that it has, no longer than a task may take."""
        self._dispatcher.stop(_IDLE_EXIT_SECONDS)
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        self._reap()
        while self._processes:
            poll.poll(self._dispatcher.poll_timeout())
            self._dispatcher.kill_overdue()
            self._reap()

    def _poll_timeout(self) -> float | None:
        """Milliseconds until the next start or kill is due; None where none is."""
        timeouts = [] if (kill := self._dispatcher.poll_timeout()) is None else [kill]
        if self._start_at:
            timeouts.append(max(0.0, min(self._start_at.values()) - time.monotonic()) * 1000)
        return min(timeouts, default=None)

    def _start_due_processes(self) -> None:
        now = time.monotonic()
        for slot in [slot for slot, at in self._start_at.items() if at <= now]:
            try:
                process = self._fork(slot, now)
            except OSError as error:  # too many processes, or no memory, at this moment
                delay = self._next_delay() or self._next_delay()
                self._failure = f"a render process cannot be forked: {error.strerror}"
                logger.warning("%s; next try in %g s", self._failure, delay)
                self._start_at[slot] = now + delay
                continue
            del self._start_at[slot]
            self._processes[process.pid] = process
            self._dispatcher.add(process)

    def _fork(self, slot: int, now: float) -> ProcessHandle:
        """Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                raise
            if not pid:
                ours.close()
                self._run_child(slot, theirs)
        priorities = priorities_for_slot(
            slot, self._process_count, reserve_first=self._reserve_first
        )
        return ProcessHandle(pid, slot, ours, priorities, started_at=now)

    def _report_status(self) -> None:
        missing = len(self._start_at)
        known = (missing, self._failure, self._dispatcher.guards_reported)
        if known == self._known:  # it runs twice for each task
            return
        self._known = known
        status = OK
        if missing:
            text = f"{missing} of {self._process_count} render processes missing: {self._failure}"
            status = ComponentStatus("degraded" if self._processes else "down", text)
        self._report(COMPONENT, status)
        guards = next((one.guards for one in self._processes.values() if one.guards), None)
        if guards is not None:
            lacking = sandbox.missing_guards(guards)
            text = f"render processes run without {lacking}"
            self._report(SANDBOX, ComponentStatus("degraded", text) if lacking else OK)

    def _report(self, component: str, status: ComponentStatus) -> None:
        if status == self._reported.get(component):
            return
        try:
            self._status_files[component].write(status)
        except OSError as error:
            logger.warning("status of %s not reported: %s", component, error)
        self._reported[component] = status
        if component == SANDBOX and status != OK:
            logger.warning("%s", status.detail)

    def _run_child(self, slot: int, control: socket.socket) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (self._owner_pipe, self._wake_read, self._wake_write):
                os.close(descriptor)
            self._dispatcher.close()
            self._run_process(slot, control)
        except ConnectionError:  # this server has ended meanwhile, or is about to
            os._exit(EXIT_RECYCLED)
        except BaseException:
            logger.exception("render process failed to start")
        finally:
            os._exit(1)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        while self._processes:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            process = self._processes.pop(pid)
            self._dispatcher.remove(process)
            now = time.monotonic()
            delay = self._restart_delay(process, status, now - process.started_at)
            self._start_at[process.slot] = now + delay

    def _restart_delay(self, process: ProcessHandle, status: int, lifetime: float) -> float:
        """Log why a process ended; the seconds to wait before its slot gets another."""
        code, pid = os.waitstatus_to_exitcode(status), process.pid
        if process.killed_for:
            logger.warning("render process %d killed: %s", pid, process.killed_for)
            self._backoff = 0.0
            return 0.0
        if code == EXIT_SANDBOX_INCOMPLETE:
            lacking = sandbox.missing_guards(process.guards or {})
            self._failure = f"FRAMEKEEP_RENDER_REQUIRE_SANDBOX: missing {lacking}"
            logger.error("render process %d ended: %s", pid, self._failure)
            return _MAX_BACKOFF_SECONDS
        if code in _EXPECTED_EXITS:
            logger.info("render process %d %s", pid, _EXPECTED_EXITS[code])
            self._backoff = 0.0
            return 0.0
        reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._failure = f"render process died: {reason}"
        logger.warning("render process %d died: %s", pid, reason)
        if lifetime > _SHORT_LIFE_SECONDS:
            self._backoff = 0.0
            return 0.0
        return self._next_delay()

    def _next_delay(self) -> float:
        delay = self._backoff
        self._backoff = min(_MAX_BACKOFF_SECONDS, self._backoff * 2 or _MIN_BACKOFF_SECONDS)
        return delay


def main() -> None:
    parser = argparse.ArgumentParser(description="the fork server of the render processes")
    parser.add_argument("--handlers", required=True, help="module with the HANDLERS of tasks")
    parser.add_argument("--config", required=True, help="RenderConfig as JSON")
    parser.add_argument("--log-config", required=True, help="LogConfig as JSON")
    parser.add_argument("--owner-pipe", required=True, type=int, help="descriptor; closed: end")
    parser.add_argument("--listeners", required=True, help="descriptors, one for each priority")
    parser.add_argument("--directory", required=True, help="folder to remove at the end")
    parser.add_argument("--task-seconds", required=True, type=float, help="limit of each task")
    parser.add_argument("--no-reserve", action="store_true", help="each process serves all tasks")
    parser.add_argument("--preload", nargs="*", default=[], help="modules to import")
    parser.add_argument("--readable-paths", nargs="*", default=[], help="for the sandbox")
    options = parser.parse_args()
    configure(msgspec.json.decode(options.log_config, type=LogConfig))
    config = msgspec.json.decode(options.config, type=RenderConfig)
    handlers = handlers_by_name(importlib.import_module(options.handlers).HANDLERS)
    for name in options.preload:
        module = importlib.import_module(name)
        if hasattr(module, "before_fork"):
            module.before_fork()
    listeners = {
        priority: socket.socket(fileno=int(descriptor))
        for priority, descriptor in zip(PRIORITIES, options.listeners.split(","), strict=True)
    }
    set_autogroup_nice(config.nice)
    root: RootFilesystem | str = "the sandbox is turned off"
    if config.sandbox:
        root = sandbox.make_root(options.readable_paths, Path(options.directory))
        deny_inspection()
    gc.freeze()  # keeps these objects shared: the collectors of render processes skip them

    def run_process(slot: int, control: socket.socket) -> NoReturn:
        RenderProcess(
            slot,
            control,
            handlers=handlers,
            config=config,
            readable_paths=options.readable_paths,
            root=root,
        ).run()

    fork_server = ForkServer(
        config.process_count,
        options.owner_pipe,
        run_process,
        Dispatcher(listeners, task_seconds=options.task_seconds),
        directory=Path(options.directory),
        reserve_first=not options.no_reserve,
    )
    if fork_server.run():
        # The owner removes it too, unless it was killed.
        shutil.rmtree(options.directory, ignore_errors=True)


def set_autogroup_nice(nice: int) -> None:
    """Let HTTP workers go first where both want a core.

    With autogroups (the default outside of containers) the kernel shares cores between sessions
    first, and a nice value counts only inside its own session. This process has a session of its
    own: the autogroup gets the value that each render process gets.
    """
    with suppress(OSError):  # no autogroups here
        Path("/proc/self/autogroup").write_text(str(nice), "ascii")


if __name__ == "__main__":
    main()
