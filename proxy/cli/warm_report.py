"""Tell how `framekeep warm` gets on: failures as JSON lines, and a progress line."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TextIO

import msgspec
from msgspec import Struct

_MAX_REASONS = 50
"""So many are counted each for itself; a server may invent them."""

_SHOWN_REASONS = 3
_REDRAW_SECONDS, _LOG_SECONDS = 0.1, 10.0


class Failure(Struct, frozen=True):
    """A request that failed; a line of the file of failures.

    ``status`` is None where no response came, ``type`` where it was no problem+json.
    """

    url: str
    accept: str | None = None
    status: int | None = None
    type: str | None = None
    detail: str = ""

    @property
    def reason(self) -> str:
        """The failure in a word or two."""
        _, _, name = (self.type or "").rpartition("#problem-")
        if name and name != "about:blank":
            return name[:60]
        return "no response" if self.status is None else f"status {self.status}"


class WarmReport:
    """Counts the links, writes failures at once, and shows the progress on standard error.

    ``failures`` is where they go; without it, to standard error. There the progress is shown only
    where it is a terminal or has no failures in it, so that each line of a file is JSON. ``total``
    is the number of links, where known.
    """

    def __init__(
        self,
        total: int | None,
        failures: TextIO | None,
        stderr: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._stderr = stderr
        self._is_terminal = stderr.isatty()
        self._shows_progress = self._is_terminal or failures is not None
        self._failures = failures or stderr
        self._clock = clock
        self._started_at = self._shown_at = clock()
        self._reasons: Counter[str] = Counter()
        self.warmed = self.failed = self.skipped = 0

    def add_links(self, more: int) -> None:
        """Count so many links more than were expected."""
        if self._total is not None:
            self._total += more

    def add_failure(self, failure: Failure) -> None:
        """Write a failed request. A link may have several."""
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
        requested = self.warmed + self.failed
        finished = requested + self.skipped
        rate = requested / seconds if seconds > 0 else 0.0
        parts = [f"{finished}/{self._total}" if self._total is not None else str(finished)]
        parts[0] += " links"
        parts += [f"{rate:.1f}/s", self.describe_failed()]
        if self._total is not None and rate > 0:
            left = max(0, self._total - finished) / rate
            parts.append(f"{timedelta(seconds=round(left))} left")
        return ", ".join(parts)

    def describe_failed(self) -> str:
        """The number of links that failed, and why: ``3 failed (bad-signature 2, status 502 1)``.

        A link fails once for each class of ``Accept``, so the reasons may add up to more.
        """
        if not self._reasons:
            return f"{self.failed} failed"
        shown = self._reasons.most_common(_SHOWN_REASONS)
        words = [f"{reason} {count}" for reason, count in shown]
        if (more := self._reasons.total() - sum(count for _, count in shown)) > 0:
            words.append(f"others {more}")
        return f"{self.failed} failed ({', '.join(words)})"
