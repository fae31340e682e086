"""Counters and histograms that add to plain numbers, until they are carried over to their metric.

An increment of prometheus_client takes a lock and writes to a mapped file, too expensive for cache
hits.
"""

from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client import Counter

from proxy.compat.prometheus_client import BulkHistogram

DURATION_BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Upper bounds in seconds, inclusive."""


class BatchedCounter:
    """A counter that adds to a plain number until it is flushed."""

    __slots__ = ("_labels", "_metric", "amount")

    def __init__(self, metric: Counter, *labels: str) -> None:
        self._metric = metric
        self._labels = labels
        self.amount = 0

    def flush(self) -> None:
        if self.amount:
            child = self._metric.labels(*self._labels) if self._labels else self._metric
            child.inc(self.amount)
            self.amount = 0


class BatchedHistogram:
    """A histogram that counts in plain numbers until it is flushed."""

    __slots__ = ("_counts", "_metric", "_sum")

    def __init__(self, metric: BulkHistogram, *labels: str) -> None:
        self._metric = metric.labels(*labels)
        self._counts = [0] * (len(DURATION_BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(DURATION_BUCKETS, seconds)] += 1
        self._sum += seconds

    def flush(self) -> None:
        if any(self._counts):
            self._metric.add(self._counts, self._sum)
            self._counts = [0] * len(self._counts)
            self._sum = 0.0


class HitCounters:
    """What hits of one status and dialect add to, found once: a hit costs little else."""

    __slots__ = ("_counters", "_durations", "_response_bytes")

    def __init__(
        self,
        counters: Sequence[BatchedCounter],
        response_bytes: BatchedCounter,
        durations: BatchedHistogram,
    ) -> None:
        """``counters`` are those of requests."""
        self._counters = counters
        self._response_bytes = response_bytes
        self._durations = durations

    def record(self, size: int, seconds: float) -> None:
        """Count a response; ``size`` is that of its body in bytes."""
        for counter in self._counters:
            counter.amount += 1
        self._response_bytes.amount += size
        self._durations.observe(seconds)
