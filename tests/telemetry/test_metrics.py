"""Counting and timing: for the request in hand, in the place that was made for it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from proxy.errors import ImageTooLarge, ProxyError
from proxy.originals import SourceRef, Upload
from proxy.telemetry import metrics
from proxy.telemetry.metrics import CACHES, STAGES, Request, Telemetry, current, stage, tell


@pytest.fixture
def counting() -> Iterator[Telemetry]:
    made = Telemetry(["images", "api"])
    yield made
    made.close()


def number(counting: Telemetry, name: str, *row: str) -> Sequence[float]:
    reading = next(reading for reading in counting.read() if reading.metric.name == name)
    return reading.rows[row]


def test_a_request_is_counted_by_face_and_status(counting: Telemetry) -> None:
    request = Request(counting, "api")
    request.status, request.sent = 422, 120
    request.error = ImageTooLarge("too large")
    request.end()
    assert number(counting, "requests", "api", "422") == [1.0]
    assert number(counting, "requests", "images", "422") == [0.0]
    assert number(counting, "sent_bytes", "api") == [120.0]
    assert number(counting, "refusals", "image-too-large") == [1.0]
    assert sum(number(counting, "request_seconds", "none")[:-1]) == 1.0


def test_a_status_that_nobody_knows_has_a_place(counting: Telemetry) -> None:
    request = Request(counting, "api")
    request.status = 299
    request.end()
    assert number(counting, "requests", "api", "other") == [1.0]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (None, 200, ""),
        (ProxyError("x"), 500, "proxy-error"),
        (ValueError("x"), 500, "unforeseen"),
        (ValueError("x"), 405, "http"),
    ],
)
def test_every_failure_has_a_reason(
    counting: Telemetry, error: Exception | None, status: int, reason: str
) -> None:
    request = Request(counting, "images")
    request.error, request.status = error, status
    assert request.reason == reason
    request.end()


def test_what_is_done_is_noted_for_the_request_in_hand(counting: Telemetry) -> None:
    request = Request(counting, "images")
    before = current.set(request)
    for name in STAGES:
        with stage(name):
            pass
    with stage("fetch"):
        pass
    for kind, outcomes in CACHES.items():
        for outcome in outcomes:
            tell(kind, outcome)
    metrics.fetched(1000)
    current.reset(before)
    assert request.stages.keys() == set(STAGES)
    assert sum(number(counting, "stage_seconds", "fetch")[:-1]) == 2.0
    assert number(counting, "cache", "original", "unchanged") == [1.0]
    assert number(counting, "fetched_bytes") == [1000.0]
    assert request.cache == "miss"


def test_what_nobody_asked_for_costs_nothing() -> None:
    with stage("fetch"):
        tell("rendition", "hit")
    metrics.fetched(1)
    metrics.named("a")
    metrics.failed(ValueError())
    assert current.get() is None


def test_seconds_fall_into_their_bucket(counting: Telemetry) -> None:
    for seconds in (0.0005, 0.0006, 100.0):
        counting.observe("stage_seconds", seconds, "fetch")
    *buckets, total = number(counting, "stage_seconds", "fetch")
    assert (buckets[0], buckets[1], buckets[-1]) == (1.0, 1.0, 1.0)
    assert total == pytest.approx(100.0011)


def test_counts_of_others_are_taken_over_by_what_was_added(counting: Telemetry) -> None:
    counting.copy("renders", {"done": 3})
    counting.copy("renders", {"done": 5, "failed": 1})
    assert number(counting, "renders", "done") == [5.0]
    assert number(counting, "renders", "failed") == [1.0]


def test_workers_are_added_up_and_gauges_end_with_their_worker(tmp_path: Path) -> None:
    first, second = Telemetry(["images"], tmp_path), Telemetry(["images"], tmp_path)
    for worker in (first, second):
        worker.add("fetched_bytes", amount=10)
        worker.set("renders_waiting", 2.0)
    first.set("loop_late_seconds", 0.5)
    second.set("loop_late_seconds", 0.1)
    assert number(second, "fetched_bytes") == [20.0]
    assert number(second, "renders_waiting") == [4.0]
    assert number(second, "loop_late_seconds") == [0.5]
    assert number(second, "workers") == [2.0]
    first.close()
    assert number(second, "fetched_bytes") == [20.0]
    assert number(second, "renders_waiting") == [2.0]
    assert number(second, "workers") == [1.0]
    second.close()


def test_a_new_worker_begins_with_gauges_at_zero_and_counters_where_they_were(
    tmp_path: Path,
) -> None:
    first = Telemetry(["images"], tmp_path)
    first.add("fetched_bytes", amount=10)
    first.set("renders_waiting", 2.0)
    first.close()
    second = Telemetry(["images"], tmp_path)
    assert number(second, "fetched_bytes") == [10.0]
    assert number(second, "renders_waiting") == [0.0]
    second.close()


@pytest.mark.parametrize(
    ("source", "host"),
    [
        ("https://cdn.example.com/u/42.jpg?token=x", "cdn.example.com"),
        ("http://user:secret@cdn.example.com:81", "cdn.example.com:81"),
        ("http://cdn.example.com?token=x", "cdn.example.com"),
        ("media:users/42.jpg", "media"),
    ],
)
def test_of_a_source_only_the_host_is_known(counting: Telemetry, source: str, host: str) -> None:
    request = Request(counting, "images")
    assert request.source_host == ""
    request.source = SourceRef(source)
    assert request.source_host == host


def test_an_upload_is_called_so(counting: Telemetry) -> None:
    request = Request(counting, "images")
    request.source = Upload(b"x")
    assert request.source_host == "upload"


def test_what_only_some_need_is_not_loaded_with_the_app() -> None:
    program = "import proxy.app, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"opentelemetry", "prometheus_client"} & set(loaded)
