"""Who waits for a result, and until when; it travels with a request in a context variable.

The endpoint of a request sets its caller once. Fair queues use the client, and every wait (for
upload room, for a source, for a render process) ends at the deadline.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from proxy.errors import ProxyError

WaitError = Callable[[], ProxyError | None]
"""Makes the error of a caller whose deadline passes in a wait. None: work was being done."""

_TIMER_SLACK_SECONDS = 0.01
"""How much too early the timer of an event loop may be."""


class Deadline:
    """When a caller stops waiting, by the monotonic clock."""

    def __init__(self, seconds: float = math.inf) -> None:
        """The deadline passes that many seconds from now."""
        self._seconds = seconds
        self._at = time.monotonic() + seconds
        self._waits: list[WaitError] = []
        self._interrupted: ProxyError | None = None

    @property
    def seconds(self) -> float:
        """How long the caller waits in all."""
        return self._seconds

    def remaining(self) -> float:
        """Seconds that are left; negative once it has passed."""
        return self._at - time.monotonic()

    def timeout(self) -> asyncio.Timeout:
        """A block in which the task is cancelled, with a TimeoutError, when it passes."""
        remaining = self.remaining()
        return asyncio.timeout(remaining if math.isfinite(remaining) else None)

    @contextmanager
    def waiting(self, error: WaitError) -> Iterator[None]:
        """Declare what the block waits for; see `interrupted_wait`."""
        self._waits.append(error)
        try:
            yield
        except asyncio.CancelledError:
            if self.remaining() < _TIMER_SLACK_SECONDS:
                self._interrupted = error()
            raise
        finally:
            self._waits.remove(error)

    def current_wait(self) -> ProxyError | None:
        """The error of what is being waited for now, if anything is."""
        errors = (error() for error in reversed(self._waits))
        return next((error for error in errors if error is not None), None)

    def interrupted_wait(self) -> ProxyError | None:
        """The error of the wait that the deadline ended, if it ended one."""
        return self._interrupted


class SharedDeadline(Deadline):
    """The deadline of work that several callers wait for: it has that of the most patient one.

    It moves when callers come and go.
    """

    def __init__(self) -> None:
        super().__init__()
        self._callers: list[Deadline] = []

    @property
    def seconds(self) -> float:
        return max((caller.seconds for caller in self._callers), default=0.0)

    def remaining(self) -> float:
        return max((caller.remaining() for caller in self._callers), default=0.0)

    @contextmanager
    def joined_by(self, caller: Deadline) -> Iterator[None]:
        """Let a caller wait for the work in the block; it waits for what the work waits for."""
        self._callers.append(caller)
        try:
            with caller.waiting(self.current_wait):
                yield
        finally:
            self._callers.remove(caller)


class Caller(NamedTuple):
    """``client`` is whose turn it is in a fair queue: all calls with an API key, for example.

    It is empty for work that no client waits for.
    """

    client: str
    deadline: Deadline

    @property
    def is_background(self) -> bool:
        return not self.client


_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller(default: Caller | None = None) -> Caller:
    """The caller of the current request; else the default; else one that waits without end."""
    return _current.get() or default or Caller("", Deadline())


@contextmanager
def serving(caller: Caller) -> Iterator[None]:
    """Make this the current caller in the block, and in the tasks that it creates."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)
