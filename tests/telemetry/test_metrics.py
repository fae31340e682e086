"""Metrics of one process: recorded in plain numbers, flushed to prometheus_client."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
from metric_samples import sample_value

from proxy.telemetry.batches import DURATION_BUCKETS
from proxy.telemetry.metrics import Metrics

REQUESTS = "framekeep_http_requests_total"
STAGE_SECONDS = "framekeep_stage_duration_seconds"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["images", "vision"])


@pytest.fixture
def value(metrics: Metrics) -> Callable[..., float | None]:
    return partial(sample_value, metrics)


def test_a_request_is_counted_by_handler_and_code(
    metrics: Metrics, value: Callable[..., float | None]
) -> None:
    metrics.record_request("vision", 422, "none", 120, 0.002)
    metrics.record_error("image-too-large")
    assert value(REQUESTS, handler="vision", code="422") == 1
    assert value(REQUESTS, handler="images", code="422") is None
    assert value("framekeep_http_response_bytes_total", handler="vision") == 120
    assert value("framekeep_http_response_bytes_total", handler="images") == 0
    assert value("framekeep_errors_total", type="image-too-large") == 1
    assert value("framekeep_http_request_duration_seconds_count", cache="none") == 1


def test_an_unexpected_status_code_is_counted_as_other(
    metrics: Metrics, value: Callable[..., float | None]
) -> None:
    metrics.record_request("vision", 299, "none", 0, 0.0)
    assert value(REQUESTS, handler="vision", code="other") == 1


def test_durations_are_counted_in_their_bucket(
    metrics: Metrics, value: Callable[..., float | None]
) -> None:
    for seconds in (0.0005, 0.0006, 100.0):
        metrics.record_stage("fetch", seconds)
    buckets = [*map(str, DURATION_BUCKETS), "+Inf"]
    counts = [value(f"{STAGE_SECONDS}_bucket", stage="fetch", le=bound) for bound in buckets]
    assert counts == [1, *[2] * (len(DURATION_BUCKETS) - 1), 3]
    assert value(f"{STAGE_SECONDS}_sum", stage="fetch") == pytest.approx(100.0011)


def test_a_duration_of_zero_is_counted(
    metrics: Metrics, value: Callable[..., float | None]
) -> None:
    metrics.record_stage("parse", 0.0)
    assert value(f"{STAGE_SECONDS}_count", stage="parse") == 1


def test_what_is_recorded_is_flushed_once(
    metrics: Metrics, value: Callable[..., float | None]
) -> None:
    metrics.record_renders("done", 3)
    metrics.record_fetched_bytes(10)
    assert value("framekeep_renders_total", outcome="done") == 3
    assert value("framekeep_renders_total", outcome="done") == 3
    metrics.record_renders("done", 2)
    metrics.record_fetched_bytes(1)
    assert value("framekeep_renders_total", outcome="done") == 5
    assert value("framekeep_fetched_bytes_total") == 11


def test_gauges_show_the_present_state(
    metrics: Metrics, value: Callable[..., float | None]
) -> None:
    metrics.requests_in_progress += 2
    metrics.render_queue_length["expensive"].set(3)
    assert value("framekeep_http_requests_in_progress") == 2
    assert value("framekeep_render_queue_length", priority="expensive") == 3
    metrics.requests_in_progress -= 1
    assert value("framekeep_http_requests_in_progress") == 1
    assert value("framekeep_workers") == 1


def test_apps_in_one_process_do_not_share_metrics(metrics: Metrics) -> None:
    other = Metrics(["images"])
    other.record_fetched_bytes(5)
    assert sample_value(metrics, "framekeep_fetched_bytes_total") == 0
    assert sample_value(other, "framekeep_fetched_bytes_total") == 5


def test_label_values_are_known_beforehand(metrics: Metrics) -> None:
    with pytest.raises(KeyError):
        metrics.record_cache("rendition", "https://a.example")
    with pytest.raises(KeyError):
        metrics.record_request("https://a.example", 200, "hit", 0, 0.0)


@pytest.mark.parametrize("module", ["proxy.render.process", "proxy.render.tasks"])
def test_render_processes_do_not_load_metrics(module: str) -> None:
    assert "prometheus_client" not in loaded_with(module)


def test_opentelemetry_is_not_loaded_with_the_app() -> None:
    assert "opentelemetry" not in loaded_with("proxy.app")


def loaded_with(module: str) -> list[str]:
    program = f"import {module}, sys; print(*sys.modules)"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
