"""Declare what is counted and timed, as metrics of prometheus_client.

`proxy.api.prometheus` renders them as text, `proxy.api.metrics` serves them at ``/metrics``.

Requests add to plain numbers (`proxy.telemetry.batches`), and `Metrics.flush` carries these over to
prometheus_client once a second.

HTTP workers of one server write to files in one directory (prometheus_client's multiprocess mode),
so each of them can report the totals of all. The files are numbered by worker instead of by process
ID: a replacement continues the counters of the worker that died, and restarts add no files.

Every label has few values that are known beforehand: never a URL, a key or text from a request.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from proxy.compat.prometheus_client import (
    BulkHistogram,
    multiprocess_directory,
    use_multiprocess_mode,
)
from proxy.errors import ProxyError
from proxy.telemetry.batches import (
    DURATION_BUCKETS,
    BatchedCounter,
    BatchedHistogram,
    HitCounters,
)
from proxy.telemetry.store_metrics import STORES, StoreMetrics

Stage = Literal["parse", "cache_read", "fetch", "queue", "render", "cache_write"]
STAGES: tuple[Stage, ...] = ("parse", "cache_read", "fetch", "queue", "render", "cache_write")
"""The phases of a request; ``queue`` is the wait for a render process."""

CACHE_RESULTS: Mapping[str, tuple[str, ...]] = {
    "rendition": ("hit", "stale", "miss"),
    "original": ("hit", "revalidated", "miss"),
    "detection": ("hit", "miss"),
    "decoded": ("hit", "miss"),
    "negative": ("hit",),
}
"""What a lookup can find, by kind of cache.

``revalidated``: the source confirmed that the cached original is current. ``decoded`` holds decoded
originals that several renditions share, ``negative`` recent failures.
"""

PRIORITIES = ("interactive", "expensive", "background")
"""The queues of render tasks: those of `proxy.render.scheduling`, which is a room above."""

RENDER_OUTCOMES = ("done", "failed", "expensive", "crashed", "deadline", "rejected", "cancelled")
"""How tasks for render processes end; ``expensive`` ones start again in a queue of their own."""

OPTIMIZATION_OUTCOMES = ("improved", "unchanged", "failed", "skipped", "interrupted", "dropped")
"""How attempts end to make a rendition smaller: those of `proxy.render.optimizer`, a room above."""

CLIENT_CLOSED_REQUEST = 499
"""nginx's status code for a client that disconnected before there was a response."""

STATUS_CODES = (
    *(200, 201, 202, 204, 206, 304, 307, 400, 401, 403, 404, 405, 408, 409, 410, 411, 412, 413),
    *(414, 415, 416, 422, 424, 429, 431, CLIENT_CLOSED_REQUEST, 500, 501, 502, 503, 504, 508),
)
"""All others are counted as ``other``."""

BACKGROUND_TASKS = (
    "background_refresh",
    "cache_check",
    "cdn_purge",
    "optimization",
    "peer_purge",
    "purge_compaction",
    "purge_listener",
    "runtime_metrics",
    "shared_cache_log",
    "shared_cache_probe",
    "shared_cache_reader",
    "shared_cache_writer",
    "webhook_delivery",
    "webhook_poll",
)
"""The tasks of HTTP workers that `proxy.runtime.background` runs."""

COMPONENTS = ("workers", "render_processes", "sandbox", "cache", "purge_listener")
"""The components of a server; the last one works always where there is no shared cache."""


class MetricsFiles(NamedTuple):
    """The metrics of one worker, in a directory that all workers of the server share.

    No two running workers may have the same number.
    """

    directory: Path
    worker: int

    def use(self) -> None:
        """Write the metrics of this process there. Call it before making `Metrics`."""
        use_multiprocess_mode(self.directory, self.worker)

    def remove_gauges(self) -> None:
        """Remove the gauges of a worker that has exited; its counters remain."""
        mark_process_dead(self.worker, str(self.directory))


class Metrics(Collector):
    """All metrics of one app; made once for it. Only the thread of its event loop may record."""

    def __init__(self, handlers: Sequence[str], dialects: Sequence[str] = ("native",)) -> None:
        """``handlers`` and ``dialects`` are the values of the labels of these names.

        Raises OSError where the shared directory cannot be written to.
        """
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        histogram = partial(BulkHistogram, registry=self._registry, buckets=DURATION_BUCKETS)
        gauge = partial(Gauge, registry=self._registry, multiprocess_mode="livesum")

        requests = counter("framekeep_http_requests_total", "Responses sent.", ["handler", "code"])
        self._requests = {
            (handler, code): BatchedCounter(requests, handler, str(code))
            for handler, code in product(handlers, (*STATUS_CODES, "other"))
        }
        dialect_requests = counter(
            "framekeep_dialect_requests_total", "Requests of links by URL dialect.", ["dialect"]
        )
        self._dialect_requests = _each(dialect_requests, dialects)
        response_bytes = counter(
            "framekeep_http_response_bytes_total", "Bytes of response bodies.", ["handler"]
        )
        self._response_bytes = _each(response_bytes, handlers)
        durations = histogram(
            "framekeep_http_request_duration_seconds",
            "Time from a request to the end of its response, by the result of the cache lookup.",
            ["cache"],
        )
        self._durations = {
            result: BatchedHistogram(durations, result)
            for result in (*CACHE_RESULTS["rendition"], "none")
        }
        errors = counter("framekeep_errors_total", "Failed requests by type of error.", ["type"])
        self._errors = _each(errors, error_types())
        cache_requests = counter(
            "framekeep_cache_requests_total", "Cache lookups.", ["kind", "result"]
        )
        self._cache_requests = {
            (kind, result): _initialized(cache_requests, kind, result)
            for kind, results in CACHE_RESULTS.items()
            for result in results
        }
        stages = histogram(
            "framekeep_stage_duration_seconds", "Time spent in a stage of requests.", ["stage"]
        )
        self._stages = {stage: BatchedHistogram(stages, stage) for stage in STAGES}
        fetched = counter("framekeep_fetched_bytes_total", "Bytes of originals fetched.")
        self._fetched_bytes = BatchedCounter(fetched)
        renders = counter("framekeep_renders_total", "Tasks for render processes.", ["outcome"])
        self._renders = _each(renders, RENDER_OUTCOMES)
        optimizations = counter(
            "framekeep_optimizations_total",
            "Attempts to replace a rendition by one of fewer bytes.",
            ["outcome"],
        )
        self._optimizations = _each(optimizations, OPTIMIZATION_OUTCOMES)
        saved = counter(
            "framekeep_optimization_saved_bytes_total",
            "Bytes that renditions have less than those that they replaced.",
        )
        self._saved_bytes = BatchedCounter(saved)

        task_failures = counter(
            "framekeep_background_task_failures_total",
            "Failures of background tasks, after which they are tried again.",
            ["task"],
        )
        self._task_failures = _each(task_failures, (*BACKGROUND_TASKS, "other"))
        fast_path_errors = counter(
            "framekeep_fast_path_errors_total",
            "Requests that the fast path failed to answer, and the full path answered.",
        )
        self._fast_path_errors = BatchedCounter(fast_path_errors)
        cache_skips = counter(
            "framekeep_cache_skipped_total",
            "Reads and writes that were skipped because the store did not answer a moment ago.",
            ["store"],
        )
        self._cache_skips = _each(cache_skips, STORES)
        self.stores = StoreMetrics(self._registry)
        self._component_up = Gauge(
            "framekeep_component_up",
            "1: the component works. 0: it is degraded or down for some HTTP worker.",
            ["component"],
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        for component in COMPONENTS:
            self.set_component(component, up=True)

        queue_length = gauge(
            "framekeep_render_queue_length",
            "Tasks that wait for a render process.",
            labelnames=["priority"],
        )
        self.render_queue_length = _each_gauge(queue_length, PRIORITIES)
        queue_wait = Gauge(
            "framekeep_render_queue_wait_seconds",
            "How long the last task in the longest queue will wait, estimated.",
            labelnames=["priority"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self.render_queue_wait = _each_gauge(queue_wait, PRIORITIES)
        self.renders_in_progress = gauge(
            "framekeep_renders_in_progress", "Tasks that a render process works on."
        )
        self.requests_in_progress = 0
        self._requests_in_progress = gauge(
            "framekeep_http_requests_in_progress", "Requests whose response has not ended."
        )
        self.workers = gauge("framekeep_workers", "HTTP workers.")
        self.resident_memory = gauge(
            "framekeep_worker_resident_memory_bytes", "Resident memory of the HTTP workers."
        )
        self.event_loop_lag = Gauge(
            "framekeep_event_loop_lag_seconds",
            "How late the event loop of the slowest HTTP worker runs.",
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self.workers.set(1)
        self._batches: tuple[BatchedCounter | BatchedHistogram, ...] = (
            *self._requests.values(),
            *self._dialect_requests.values(),
            *self._response_bytes.values(),
            *self._durations.values(),
            *self._errors.values(),
            *self._cache_requests.values(),
            *self._stages.values(),
            *self._renders.values(),
            *self._optimizations.values(),
            *self._task_failures.values(),
            *self._cache_skips.values(),
            self._fast_path_errors,
            self._fetched_bytes,
            self._saved_bytes,
        )

    def record_request(
        self, handler: str, status: int, cache_result: str, size: int, seconds: float
    ) -> None:
        """Count a request that has ended; ``size`` is that of the response's body in bytes."""
        requests = self._requests.get((handler, status)) or self._requests[handler, "other"]
        requests.amount += 1
        self._response_bytes[handler].amount += size
        self._durations[cache_result].observe(seconds)

    def hit_counters(self, handler: str, status: int, dialect: str) -> HitCounters:
        """Return what counts a hit as `record_request`, `record_dialect` and `record_cache` do.

        Raises KeyError for a handler or dialect that is not known.
        """
        counters = [self._requests[handler, status], self._cache_requests["rendition", "hit"]]
        if dialect:
            counters.append(self._dialect_requests[dialect])
        return HitCounters(counters, self._response_bytes[handler], self._durations["hit"])

    def record_dialect(self, dialect: str) -> None:
        """Count a request of a link. Raises KeyError for a dialect that is not mounted."""
        self._dialect_requests[dialect].amount += 1

    def record_error(self, error_type: str) -> None:
        self._errors[error_type].amount += 1

    def record_cache(self, kind: str, result: str) -> None:
        """Count a cache lookup. Raises KeyError for what is not in `CACHE_RESULTS`."""
        self._cache_requests[kind, result].amount += 1

    def record_stage(self, stage: Stage, seconds: float) -> None:
        self._stages[stage].observe(seconds)

    def record_fetched_bytes(self, size: int) -> None:
        self._fetched_bytes.amount += size

    def record_renders(self, outcome: str, count: int) -> None:
        self._renders[outcome].amount += count

    def record_optimizations(self, outcome: str, count: int) -> None:
        self._optimizations[outcome].amount += count

    def record_saved_bytes(self, size: int) -> None:
        self._saved_bytes.amount += size

    def record_task_failures(self, task: str, count: int) -> None:
        """Count failures of a background task; one that is not in `BACKGROUND_TASKS` is `other`."""
        failures = self._task_failures.get(task) or self._task_failures["other"]
        failures.amount += count

    def record_fast_path_error(self) -> None:
        self._fast_path_errors.amount += 1

    def record_cache_skips(self, store: str, count: int) -> None:
        self._cache_skips[store].amount += count

    def set_component(self, component: str, *, up: bool) -> None:
        self._component_up.labels(component).set(up)

    def flush(self) -> None:
        """Carry over to prometheus_client what was recorded since the last time."""
        self._requests_in_progress.set(self.requests_in_progress)
        for batch in self._batches:
            batch.flush()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of all workers: of the others, what they have flushed."""
        if directory := multiprocess_directory():
            yield from MultiProcessCollector(None, directory).collect()
            return
        for metric in self._registry.collect():
            # Multiprocess mode has no times of creation; one process has the same metrics.
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


def error_types() -> list[str]:
    """The values of the label ``type``: problem types, errors of HTTP itself, and our own bugs."""

    def subclasses(kind: type[ProxyError]) -> Iterator[type[ProxyError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from subclasses(child)

    types = dict.fromkeys(kind.problem_type for kind in subclasses(ProxyError))
    return [*types, "http-error", "internal-error"]


def _each_gauge(metric: Gauge, labels: Iterable[str]) -> dict[str, Gauge]:
    return {label: metric.labels(label) for label in labels}


def _each(metric: Counter, labels: Iterable[str]) -> dict[str, BatchedCounter]:
    return {label: _initialized(metric, label) for label in labels}


def _initialized(metric: Counter, *labels: str) -> BatchedCounter:
    """A counter that is exported with value 0 from the start, so that its first step is a rate."""
    metric.labels(*labels)
    return BatchedCounter(metric, *labels)
