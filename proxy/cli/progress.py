"""Tell how a long command gets on: failures as JSON lines, and a progress line."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, TextIO

import msgspec

_MAX_REASONS = 50
"""So many are counted each for itself; a server may invent them."""

_SHOWN_REASONS = 3
_REDRAW_SECONDS, _LOG_SECONDS = 0.1, 10.0


class ReportedFailure(Protocol):
    """A struct that becomes a line of the file of failures."""

    @property
    def reason(self) -> str:
        """The failure in a word or two."""
        ...


class ProgressReport:
    """Counts what is done, writes failures at once, and shows the progress on standard error.

    ``failures`` is where they go; without it, to standard error. There the progress is shown only
    where it is a terminal or has no failures in it, so that each line of a file is JSON. ``total``
    is the number of what has to be done, where known; ``unit`` is its name.
    """

    def __init__(
        self,
        total: int | None,
        failures: TextIO | None,
        stderr: TextIO,
        clock: Callable[[], float] = time.monotonic,
        *,
        unit: str = "links",
    ) -> None:
        self._total = total
        self._unit = unit
        self._stderr = stderr
        self._is_terminal = stderr.isatty()
        self._shows_progress = self._is_terminal or failures is not None
        self._failures = failures or stderr
        self._clock = clock
        self._started_at = self._shown_at = clock()
        self._reasons: Counter[str] = Counter()
        self.done = self.failed = self.skipped = 0

    def expect(self, more: int) -> None:
        """Add to what has to be done."""
        if self._total is not None:
            self._total += more

    def add_failure(self, failure: ReportedFailure) -> None:
        """Write what failed. A link may fail several times."""
        reason = failure.reason
        if reason not in self._reasons and len(self._reasons) >= _MAX_REASONS:
            reason = "other"
        self._reasons[reason] += 1
        if self._is_terminal:
            self._stderr.write("\r\x1b[K")
        self._failures.write(f"{msgspec.json.encode(failure).decode()}\n")
        self._failures.flush()

    def show_progress(self, *, is_last: bool = False) -> None:
        now = self._clock()
        pause = _REDRAW_SECONDS if self._is_terminal else _LOG_SECONDS
        if not self._shows_progress or not (is_last or now - self._shown_at >= pause):
            return
        self._shown_at = now
        line = self.progress(now - self._started_at)
        self._stderr.write(f"\r{line}\x1b[K" if self._is_terminal else f"{line}\n")
        if is_last and self._is_terminal:
            self._stderr.write("\n")
        self._stderr.flush()

    def progress(self, seconds: float) -> str:
        """The progress after so many seconds: done, rate, failures by reason, time left."""
        worked_on = self.done + self.failed
        finished = worked_on + self.skipped
        rate = worked_on / seconds if seconds > 0 else 0.0
        parts = [f"{finished}/{self._total}" if self._total is not None else str(finished)]
        parts[0] += f" {self._unit}"
        parts += [f"{rate:.1f}/s", self.describe_failed()]
        if self._total is not None and rate > 0:
            left = max(0, self._total - finished) / rate
            parts.append(f"{timedelta(seconds=round(left))} left")
        return ", ".join(parts)

    def describe_failed(self) -> str:
        """The number of what failed, and why: ``3 failed (bad-signature 2, status 502 1)``.

        The reasons are those of the lines that were written, of which there may be more or fewer.
        """
        if not self._reasons:
            return f"{self.failed} failed"
        shown = self._reasons.most_common(_SHOWN_REASONS)
        words = [f"{reason} {count}" for reason, count in shown]
        if (more := self._reasons.total() - sum(count for _, count in shown)) > 0:
            words.append(f"others {more}")
        return f"{self.failed} failed ({', '.join(words)})"
