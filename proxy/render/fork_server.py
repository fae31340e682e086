"""The fork server, ``python -m proxy.render.fork_server``: imports what renderers need, forks them.

Renderers begin clean: this process was started by exec, has one thread, and does nothing but import
and fork, so what it hands on is no more than code (which they share) and sockets. It ends when its
owner closes the pipe, or dies in whatever way; then the renderers finish what they have in hand and
end too, because their pipe to here closes.

Signals are left to the owner: a service manager that sends SIGTERM to every process of a service
shall not end renders that the HTTP workers are still waiting for.
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
from typing import NoReturn

import msgspec

from proxy.render.process import ABANDONED, ABOUT, RECYCLED, Renderer
from proxy.render.protocol import LANES, RETIRE, RenderConfig, registry
from proxy.telemetry.logging import LogConfig, configure

log = logging.getLogger("framekeep.renderers")

_SHORT_LIFE = 1.0
"""Seconds. What dies sooner, may do so again at once: the next one has to wait."""

_LONGEST_PAUSE = 2.0


class ForkServer:
    def __init__(self, count: int, owner: int, renderer: Callable[[int, int], NoReturn]) -> None:
        """Keep ``count`` renderers running until the descriptor ``owner`` says that it is over.

        ``renderer`` is called in each, with its slot and a descriptor that tells when we are gone.
        """
        self._owner = owner
        self._renderer = renderer
        self._born: dict[int, tuple[int, float]] = {}
        self._due = dict.fromkeys(range(count), 0.0)
        self._pause = 0.0
        self._life, self._hold = os.pipe()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)

    def run(self) -> bool:
        """Until it is over; whether that is so for the owner too."""
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._owner, select.POLLIN)
        while True:
            self._fork_what_is_due()
            ready = dict(poll.poll(self._patience()))
            if self._owner in ready:
                break
            if self._wake in ready:
                os.read(self._wake, 4096)
            self._reap()
        os.close(self._hold)
        while self._born:
            del self._born[os.wait()[0]]
        return os.read(self._owner, 1) != RETIRE

    def _patience(self) -> float | None:
        """Milliseconds until the next renderer is due; None when all are there."""
        return max(0.0, min(self._due.values()) - time.monotonic()) * 1000 if self._due else None

    def _fork_what_is_due(self) -> None:
        now = time.monotonic()
        for slot in [slot for slot, due in self._due.items() if due <= now]:
            del self._due[slot]
            if pid := os.fork():
                self._born[pid] = (slot, now)
            else:
                self._become_renderer(slot)

    def _become_renderer(self, slot: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (self._hold, self._owner, self._wake, self._waker):
                os.close(descriptor)
            self._renderer(slot, self._life)
        except BaseException:
            log.exception("a render process failed")
        finally:
            os._exit(1)

    def _reap(self) -> None:
        while self._born:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            slot, born = self._born.pop(pid)
            now = time.monotonic()
            self._due[slot] = now + self._note(pid, status, now - born)

    def _note(self, pid: int, status: int, lived: float) -> float:
        """Say why a renderer ended; the seconds to wait before the next."""
        code = os.waitstatus_to_exitcode(status)
        if code in (RECYCLED, ABANDONED, -signal.SIGALRM):
            why = {RECYCLED: "was replaced", ABANDONED: "was ended: nobody waited any more"}
            log.info("render process %d %s", pid, why.get(code, "was ended at its deadline"))
            self._pause = 0.0
            return 0.0
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"failed with {code}"
        log.warning("render process %d %s", pid, how)
        if lived > _SHORT_LIFE:
            self._pause = 0.0
            return 0.0
        pause, self._pause = self._pause, min(_LONGEST_PAUSE, self._pause * 2 or 0.05)
        return pause


def main() -> None:
    parser = argparse.ArgumentParser(description="the fork server of the render processes")
    parser.add_argument("--works", required=True, help="module whose WORKS can be ordered")
    parser.add_argument("--settings", required=True, help="RenderConfig as JSON")
    parser.add_argument("--log", required=True, help="LogConfig as JSON")
    parser.add_argument("--owner", required=True, type=int, help="descriptor that ends with it")
    parser.add_argument("--listeners", required=True, help="descriptors of the lanes' sockets")
    parser.add_argument("--directory", required=True, help="what is to be removed at the end")
    parser.add_argument("--imports", nargs="*", default=[], help="modules that work needs")
    parser.add_argument("--readable", nargs="*", default=[], help="files that work needs")
    options = parser.parse_args()
    configure(msgspec.json.decode(options.log, type=LogConfig))
    settings = msgspec.json.decode(options.settings, type=RenderConfig)
    works = registry([ABOUT, *importlib.import_module(options.works).WORKS])
    for name in options.imports:
        importlib.import_module(name)
    listeners = {
        lane: socket.socket(fileno=int(descriptor))
        for lane, descriptor in zip(LANES, options.listeners.split(","), strict=True)
    }
    gc.freeze()  # what is here by now stays shared: the collector of a renderer leaves it alone

    def renderer(slot: int, life: int) -> NoReturn:
        Renderer(
            slot, listeners, life, works=works, settings=settings, readable=options.readable
        ).run()

    if ForkServer(settings.process_count, options.owner, renderer).run():
        shutil.rmtree(options.directory, ignore_errors=True)  # the owner may have had no time to


if __name__ == "__main__":
    main()
