"""The fork server, ``python -m proxy.render.fork_server``: imports once, forks render processes.

Render processes start clean: this process was started by exec, has one thread, and does nothing but
import and fork. What it hands on is code, which they share, and sockets. It ends when its owner
closes the pipe or dies in whatever way. Then the pipe to the render processes closes, and each of
them ends after the task that it is running.

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
from pathlib import Path
from typing import NoReturn

import msgspec

from proxy.render.config import RenderConfig
from proxy.render.ipc import COMPONENT, REPLACED, handlers_by_name
from proxy.render.process import EXIT_CALLER_GONE, EXIT_RECYCLED, RenderProcess
from proxy.render.scheduling import PRIORITIES
from proxy.runtime.components import OK, ComponentStatus, StatusFile
from proxy.telemetry.config import LogConfig
from proxy.telemetry.logging import configure

logger = logging.getLogger("framekeep.render.fork_server")

_SHORT_LIFE_SECONDS = 1.0
"""A process that died sooner may do so again immediately: the next one starts after a backoff."""

_MIN_BACKOFF_SECONDS = 0.05
_MAX_BACKOFF_SECONDS = 2.0

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
        run_process: Callable[[int, int], NoReturn],
        *,
        status_file: StatusFile,
    ) -> None:
        """Keep ``process_count`` processes running until the owner closes ``owner_pipe``.

        ``run_process`` is called in each of them, with its slot and a descriptor that becomes
        readable when this fork server has ended. How many are missing is reported in
        ``status_file``.
        """
        self._process_count = process_count
        self._status_file = status_file
        self._reported: ComponentStatus | None = None
        self._failure = ""
        """Why the last process was lost, or could not be forked."""
        self._owner_pipe = owner_pipe
        self._run_process = run_process
        self._children: dict[int, tuple[int, float]] = {}
        """The slot and the start time by pid."""
        self._start_at = dict.fromkeys(range(process_count), 0.0)
        """When to start a process in each empty slot."""
        self._backoff = 0.0
        self._life_read, self._life_write = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def run(self) -> bool:
        """Serve until the owner ends that; false if another fork server has taken over."""
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(self._owner_pipe, select.POLLIN)
        while True:
            self._start_due_processes()
            self._report_status()
            ready = dict(poll.poll(self._poll_timeout()))
            if self._owner_pipe in ready:
                break
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            self._reap()
        os.close(self._life_write)
        while self._children:
            del self._children[os.wait()[0]]
        return os.read(self._owner_pipe, 1) != REPLACED

    def _poll_timeout(self) -> float | None:
        """Milliseconds until the next start is due; None when no slot is empty."""
        if not self._start_at:
            return None
        return max(0.0, min(self._start_at.values()) - time.monotonic()) * 1000

    def _start_due_processes(self) -> None:
        now = time.monotonic()
        for slot in [slot for slot, at in self._start_at.items() if at <= now]:
            try:
                pid = os.fork()
            except OSError as error:  # too many processes, or no memory, at this moment
                delay = self._next_delay() or self._next_delay()
                self._failure = f"a render process cannot be forked: {error.strerror}"
                logger.warning("%s; next try in %g s", self._failure, delay)
                self._start_at[slot] = now + delay
                continue
            del self._start_at[slot]
            if not pid:
                self._run_child(slot)
            self._children[pid] = (slot, now)

    def _report_status(self) -> None:
        missing = len(self._start_at)
        if not missing:
            status = OK
        else:
            text = f"{missing} of {self._process_count} render processes missing: {self._failure}"
            status = ComponentStatus("degraded" if self._children else "down", text)
        if status == self._reported:
            return
        try:
            self._status_file.write(status)
        except OSError as error:
            logger.warning("status of render processes not reported: %s", error)
        self._reported = status

    def _run_child(self, slot: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (
                self._life_write,
                self._owner_pipe,
                self._wake_read,
                self._wake_write,
            ):
                os.close(descriptor)
            self._run_process(slot, self._life_read)
        except BaseException:
            logger.exception("render process failed to start")
        finally:
            os._exit(1)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            slot, started_at = self._children.pop(pid)
            now = time.monotonic()
            self._start_at[slot] = now + self._restart_delay(pid, status, now - started_at)

    def _restart_delay(self, pid: int, status: int, lifetime: float) -> float:
        """Log why a process ended; the seconds to wait before its slot gets another."""
        code = os.waitstatus_to_exitcode(status)
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
    parser.add_argument("--preload", nargs="*", default=[], help="modules to import")
    parser.add_argument("--readable-paths", nargs="*", default=[], help="for the sandbox")
    options = parser.parse_args()
    configure(msgspec.json.decode(options.log_config, type=LogConfig))
    config = msgspec.json.decode(options.config, type=RenderConfig)
    handlers = handlers_by_name(importlib.import_module(options.handlers).HANDLERS)
    for name in options.preload:
        importlib.import_module(name)
    listeners = {
        priority: socket.socket(fileno=int(descriptor))
        for priority, descriptor in zip(PRIORITIES, options.listeners.split(","), strict=True)
    }
    gc.freeze()  # keeps these objects shared: the collectors of render processes skip them

    def run_process(slot: int, fork_server_pipe: int) -> NoReturn:
        RenderProcess(
            slot,
            listeners,
            fork_server_pipe,
            handlers=handlers,
            config=config,
            readable_paths=options.readable_paths,
        ).run()

    fork_server = ForkServer(
        config.process_count,
        options.owner_pipe,
        run_process,
        status_file=StatusFile(Path(options.directory), COMPONENT),
    )
    if fork_server.run():
        # The owner removes it too, unless it was killed.
        shutil.rmtree(options.directory, ignore_errors=True)


if __name__ == "__main__":
    main()
