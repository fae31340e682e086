"""What is counted and timed, and what is known of the request in hand.

Whoever does a step of the work says so where it stands, ``with stage("fetch"): …`` or
``tell("original", "hit")``; it is noted for the request that caused it, if there is one, and
otherwise costs nothing. Every label has few values that are known beforehand: never an address, a
key or a word of the caller's. So every number has its place before anything happens, and counting
is an addition (see `proxy.telemetry.shared_counters`).
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from hashlib import sha256
from itertools import accumulate, product
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol

from proxy.errors import ProxyError
from proxy.originals import OriginalRef, SourceRef
from proxy.telemetry.shared_counters import Sheet

Stage = Literal["parse", "store", "fetch", "queue", "render", "keep"]
STAGES: tuple[Stage, ...] = ("parse", "store", "fetch", "queue", "render", "keep")
"""Reading the link; looking for what is kept; asking the source; waiting for a render process;
its work; keeping the result."""

CACHES = {
    "rendition": ("hit", "stale", "miss"),
    "original": ("hit", "unchanged", "miss"),
    "focus": ("hit", "miss"),
    "raster": ("hit", "miss"),
    "refusal": ("hit",),
}
"""What can be kept, and how it goes when it is wanted. ``unchanged``: the source was asked, and
what is kept is still right."""

RENDERS = ("done", "failed", "heavy", "crashed", "deadline", "refused", "abandoned")
"""How work on render processes ends; ``heavy`` is begun anew where dear work waits."""

LEFT = 499
"""The status of requests whose caller left before there was an answer."""

STATUSES = (
    *(200, 201, 202, 204, 206, 304, 307, 400, 401, 403, 404, 405, 408, 409, 410, 411, 412, 413),
    *(414, 415, 416, 422, 424, 429, 431, LEFT, 500, 501, 502, 503, 504, 508),
)
"""What is not listed is counted as ``other``."""

_STATUSES = {status: str(status) for status in STATUSES}

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30)
"""Upper ends of a histogram's buckets; one more has no end."""

_SUM = len(SECONDS) + 1


class Metric(NamedTuple):
    """A number, or one for each row of its labels' values.

    A gauge is what is so now, added up over the workers; of a ``peak``, the largest counts.
    """

    name: str
    kind: Literal["counter", "gauge", "peak", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ((),)

    @property
    def width(self) -> int:
        """Places that a row takes: a histogram has its buckets and a sum."""
        return _SUM + 1 if self.kind == "histogram" else 1


class Reading(NamedTuple):
    """A metric with the numbers of each row, all workers together."""

    metric: Metric
    rows: Mapping[tuple[str, ...], Sequence[float]]


def metrics(faces: Sequence[str]) -> tuple[Metric, ...]:
    """All that is counted where there are these faces."""
    statuses = (*map(str, STATUSES), "other")
    wants = [(kind, outcome) for kind, outcomes in CACHES.items() for outcome in outcomes]
    return (
        Metric(
            "requests",
            "counter",
            "Requests answered.",
            ("face", "status"),
            list(product(faces, statuses)),
        ),
        Metric(
            "request_seconds",
            "histogram",
            "Time from a request to the end of its answer, by what was kept of it.",
            ("cache",),
            _each((*CACHES["rendition"], "none")),
        ),
        Metric("sent_bytes", "counter", "Bytes of answers' bodies.", ("face",), _each(faces)),
        Metric("refusals", "counter", "Failed requests by reason.", ("reason",), _each(reasons())),
        Metric(
            "cache",
            "counter",
            "What was wanted from the cache, and how that went.",
            ("kind", "outcome"),
            wants,
        ),
        Metric("stage_seconds", "histogram", "Time spent in a stage.", ("stage",), _each(STAGES)),
        Metric("fetched_bytes", "counter", "Bytes of originals that came from sources."),
        Metric("renders", "counter", "Work for render processes.", ("outcome",), _each(RENDERS)),
        Metric("renders_waiting", "gauge", "Work that waits for a render process."),
        Metric("renders_running", "gauge", "Work that a render process does."),
        Metric("requests_running", "gauge", "Requests that are being answered."),
        Metric("workers", "gauge", "HTTP workers."),
        Metric("worker_resident_bytes", "gauge", "Resident memory of the HTTP workers."),
        Metric("loop_late_seconds", "peak", "How late the slowest worker's event loop runs."),
    )


def reasons() -> list[str]:
    """Why requests fail: the failures of our domain, HTTP's own, and what nobody foresaw."""

    def below(kind: type[ProxyError]) -> Iterator[type[ProxyError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    return [*dict.fromkeys(kind.problem_type for kind in below(ProxyError)), "http", "unforeseen"]


def _each(values: Sequence[str]) -> list[tuple[str, ...]]:
    return [(value,) for value in values]


class Tracing(Protocol):
    """Where traces go, if anywhere."""

    def request(self, request: "Request", method: str) -> AbstractContextManager[None]:
        """A span around the whole of a request."""
        ...

    def span(self, name: str) -> AbstractContextManager[Any]:
        """A span around what is done inside, below the one that is open."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class Telemetry:
    """The numbers of this worker, and those of all. Made once for an app."""

    def __init__(
        self, faces: Sequence[str], folder: Path | None = None, tracing: Tracing | None = None
    ) -> None:
        """``folder`` is shared by the workers of one server; without it, numbers are this one's.

        Raises OSError.
        """
        self.metrics = metrics(faces)
        self.tracing = tracing
        self.running = 0
        sizes = [len(metric.rows) * metric.width for metric in self.metrics]
        starts = list(accumulate(sizes, initial=0))
        self._places = {
            (metric.name, *row): start + number * metric.width
            for metric, start in zip(self.metrics, starts, strict=False)
            for number, row in enumerate(metric.rows)
        }
        # Workers of another version may share the folder for a while; they count elsewhere.
        layout = sha256(repr(self._places).encode()).hexdigest()[:16]
        self._sheet = Sheet(folder, f"numbers-{layout}", starts[-1])
        self._values = self._sheet.values
        self._copied: dict[str, int] = {}
        for metric in self.metrics:
            if metric.kind in ("gauge", "peak"):
                self.set(metric.name, 0.0)
        self.set("workers", 1.0)

    def close(self) -> None:
        """Leave the numbers to the next worker; nothing can be counted any more."""
        if self.tracing is not None:
            self.tracing.close()
        self._sheet.close()

    def add(self, name: str, *row: str, amount: float = 1.0) -> None:
        """Count. Raises KeyError for what has no place."""
        self._values[self._places[name, *row]] += amount

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self._values[self._places[name,]] = value

    def observe(self, name: str, seconds: float, *row: str) -> None:
        """Count into a histogram."""
        place = self._places[name, *row]
        self._values[place + bisect_left(SECONDS, seconds)] += 1.0
        self._values[place + _SUM] += seconds

    def count(self, request: "Request") -> None:
        """Count a request that has ended."""
        values, places, face = self._values, self._places, request.face
        values[places["requests", face, _STATUSES.get(request.status, "other")]] += 1.0
        values[places["sent_bytes", face]] += request.sent
        seconds = request.seconds
        place = places["request_seconds", request.cache]
        values[place + bisect_left(SECONDS, seconds)] += 1.0
        values[place + _SUM] += seconds
        if request.error is not None:
            self.add("refusals", request.reason)

    def copy(self, name: str, counts: Mapping[str, int]) -> None:
        """Take over counts that somebody else keeps, by what was added since the last time."""
        for row, counted in counts.items():
            added = counted - self._copied.get(row, 0)
            if added:
                self._copied[row] = counted
                self.add(name, row, amount=added)

    def read(self) -> list[Reading]:
        """All metrics, all workers together. Raises OSError."""
        totals = [0.0] * len(self._values)
        peaks = [0.0] * len(self._values)
        gauges = {
            self._places[metric.name,]
            for metric in self.metrics
            if metric.kind in ("gauge", "peak")
        }
        for numbers, lives in self._sheet.all():
            for place, number in enumerate(numbers):
                if number and (lives or place not in gauges):
                    totals[place] += number
                    peaks[place] = max(peaks[place], number)
        return [
            Reading(metric, {row: self._row(metric, row, totals, peaks) for row in metric.rows})
            for metric in self.metrics
        ]

    def _row(
        self, metric: Metric, row: tuple[str, ...], totals: list[float], peaks: list[float]
    ) -> list[float]:
        place = self._places[metric.name, *row]
        return (peaks if metric.kind == "peak" else totals)[place : place + metric.width]


class Request:
    """One request, as far as it is known; times in seconds.

    What is not known yet stands in the class: setting all of it for each request costs hits time.
    """

    name = ""
    cache = "none"
    source: OriginalRef | None = None
    error: Exception | None = None
    status = LEFT
    sent = 0
    seconds = 0.0
    timed = False

    def __init__(self, telemetry: Telemetry, face: str) -> None:
        self.telemetry = telemetry
        self.face = face
        self.stages: dict[str, float] = {}
        self.began = time.perf_counter()

    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.began

    def tell(self, kind: str, outcome: str) -> None:
        """How it went when something kept was wanted (see `CACHES`)."""
        self.telemetry.add("cache", kind, outcome)
        if kind == "rendition":
            self.cache = outcome

    def end(self) -> None:
        """Count it; nothing more will be sent."""
        self.seconds = self.elapsed()
        self.telemetry.count(self)

    @property
    def reason(self) -> str:
        """Why it failed; empty where it did not."""
        match self.error:
            case None:
                return ""
            case ProxyError():
                return self.error.problem_type
            case _:
                return "unforeseen" if self.status >= 500 else "http"

    @property
    def source_host(self) -> str:
        """Where the original comes from: a host, or a configured source's name."""
        if not isinstance(self.source, SourceRef):
            return "" if self.source is None else "upload"
        scheme, _, rest = self.source.text.partition(":")
        if not rest.startswith("//"):
            return scheme
        return rest[2:].partition("/")[0].partition("?")[0].rpartition("@")[2]


current: ContextVar[Request | None] = ContextVar("request", default=None)
"""The request that what goes on is done for."""


def named(name: str) -> None:
    """The request in hand has this name in its answer, and so in the log."""
    request = current.get()
    if request is not None:
        request.name = name


def wanted(source: OriginalRef) -> None:
    """The request in hand is about this original."""
    request = current.get()
    if request is not None:
        request.source = source


def failed(error: Exception) -> None:
    """The request in hand is answered with this failure."""
    request = current.get()
    if request is not None:
        request.error = error


def tell(kind: str, outcome: str) -> None:
    """How it went when something kept was wanted (see `CACHES`)."""
    request = current.get()
    if request is not None:
        request.tell(kind, outcome)


def timed() -> None:
    """The asker of this request wants to know how long each of its stages took."""
    request = current.get()
    if request is not None:
        request.timed = True


def fetched(size: int) -> None:
    """So many bytes came from a source."""
    request = current.get()
    if request is not None:
        request.telemetry.add("fetched_bytes", amount=size)


class stage:  # noqa: N801 - reads as a verb, and costs half of a generator
    """Time what is done inside, in a span of its own where there are traces."""

    __slots__ = ("_began", "_name", "_request", "_span")

    def __init__(self, name: Stage) -> None:
        self._name: Stage = name

    def __enter__(self) -> None:
        self._request = request = current.get()
        self._span: AbstractContextManager[Any] | None = None
        if request is not None:
            if request.telemetry.tracing is not None:
                self._span = request.telemetry.tracing.span(self._name)
                self._span.__enter__()
            self._began = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        request = self._request
        if request is not None:
            seconds = time.perf_counter() - self._began
            request.stages[self._name] = request.stages.get(self._name, 0.0) + seconds
            request.telemetry.observe("stage_seconds", seconds, self._name)
            if self._span is not None:
                self._span.__exit__(kind, error, trace)
