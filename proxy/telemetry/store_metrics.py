"""Metrics of what the cache depends on: its disk, and the bucket that machines share."""

from collections import Counter as Counts
from collections.abc import Mapping
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge

STORES = ("disk", "bucket_reads", "bucket_writes")
"""What the cache stops using where it fails: the breakers of `proxy.cache`, which is a room above.

They look at reads from and writes to the bucket of the shared cache one by one."""

BREAKER_STATES = ("closed", "half_open", "open")

LOSS_REASONS = ("queue_full", "failed", "stopped", "evicted", "too_large")
"""Why an entry was not written to the bucket: `proxy.cache.write_behind`."""

HEDGE_OUTCOMES = ("won", "lost")

PEER_OUTCOMES = ("delivered", "failed", "received", "refused")
"""What becomes of purges that machines send each other: `proxy.cache.peers`."""


class StoreMetrics:
    """All are set from totals since the start of the worker, once a second."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._state = Gauge(
            "framekeep_circuit_breaker_state",
            "HTTP workers whose circuit breaker for the store is in this state.",
            ["store", "state"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        for store, state in product(STORES, BREAKER_STATES):
            self._state.labels(store, state).set(float(state == "closed"))
        self._pending_writes = Gauge(
            "framekeep_shared_cache_pending_writes",
            "Entries that wait to be written to the bucket.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._lost_writes = Counter(
            "framekeep_shared_cache_lost_writes_total",
            "Entries that were not written to the bucket.",
            ["reason"],
            registry=registry,
        )
        self._hedged_reads = Counter(
            "framekeep_shared_cache_hedged_reads_total",
            "Reads from the bucket that were sent twice.",
            ["outcome"],
            registry=registry,
        )
        self._peers = Gauge(
            "framekeep_purge_peers",
            "Peers that the last purge was sent to.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._peer_purges = Counter(
            "framekeep_peer_purges_total",
            "Messages with purges to and from peers.",
            ["outcome"],
            registry=registry,
        )
        for outcome in PEER_OUTCOMES:
            self._peer_purges.labels(outcome)
        for reason in LOSS_REASONS:
            self._lost_writes.labels(reason)
        for outcome in HEDGE_OUTCOMES:
            self._hedged_reads.labels(outcome)
        self._reported: Counts[tuple[Counter, str]] = Counts()

    def set_breaker(self, store: str, state: str) -> None:
        for one in BREAKER_STATES:
            self._state.labels(store, one).set(float(one == state))

    def set_shared_cache(
        self,
        lost_writes: Mapping[str, int],
        pending_writes: int,
        hedged_reads: Mapping[str, int],
        peers: int,
        peer_purges: Mapping[str, int],
    ) -> None:
        """Report lost writes by reason, hedged reads and messages of peers by outcome."""
        self._peers.set(peers)
        self._add(self._peer_purges, peer_purges)
        self._pending_writes.set(pending_writes)
        self._add(self._lost_writes, lost_writes)
        self._add(self._hedged_reads, hedged_reads)

    def _add(self, metric: Counter, totals: Mapping[str, int]) -> None:
        for label, total in totals.items():
            if news := total - self._reported[metric, label]:
                metric.labels(label).inc(news)
                self._reported[metric, label] = total
