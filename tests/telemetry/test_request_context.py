"""The current request: what code records while it is served."""

import pytest
from metric_samples import sample_value

from proxy.errors import ProxyError
from proxy.originals import SourceRef, Upload
from proxy.telemetry.metrics import CACHE_RESULTS, CLIENT_CLOSED_REQUEST, STAGES, Metrics
from proxy.telemetry.request_context import (
    RequestContext,
    count_fetched_bytes,
    current_request,
    enable_timing,
    record_cache,
    set_error,
    set_request_id,
    set_source,
    stage,
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["images"])


def test_code_records_into_the_current_request(metrics: Metrics) -> None:
    request, error, source = RequestContext(metrics, "images"), ValueError(), SourceRef("a:b")
    token = current_request.set(request)
    for name in STAGES:
        with stage(name):
            pass
    with stage("fetch"):
        pass
    for kind, results in CACHE_RESULTS.items():
        for result in results:
            record_cache(kind, result)
    count_fetched_bytes(1000)
    set_request_id("request-1")
    set_source(source)
    set_error(error)
    enable_timing()
    current_request.reset(token)
    assert request.stages.keys() == set(STAGES)
    assert (request.request_id, request.source, request.error) == ("request-1", source, error)
    assert request.timing_enabled
    assert request.cache_result == "miss"
    fetches = sample_value(metrics, "framekeep_stage_duration_seconds_count", stage="fetch")
    assert fetches == 2
    lookups = "framekeep_cache_requests_total"
    assert sample_value(metrics, lookups, kind="original", result="revalidated") == 1
    assert sample_value(metrics, "framekeep_fetched_bytes_total") == 1000


def test_without_a_request_nothing_is_recorded() -> None:
    with stage("fetch"):
        record_cache("rendition", "hit")
    count_fetched_bytes(1)
    set_request_id("a")
    set_source(SourceRef("a:b"))
    set_error(ValueError())
    enable_timing()
    assert current_request.get() is None


@pytest.mark.parametrize(
    ("error", "status", "error_type"),
    [
        (None, 200, ""),
        (ProxyError("x"), 500, "proxy-error"),
        (ValueError("x"), 500, "internal-error"),
        (ValueError("x"), 405, "http-error"),
    ],
)
def test_every_error_has_a_type(
    metrics: Metrics, error: Exception | None, status: int, error_type: str
) -> None:
    request = RequestContext(metrics, "images")
    request.error, request.status = error, status
    assert request.error_type == error_type
    request.finish()
    counted = sample_value(metrics, "framekeep_errors_total", type=error_type)
    assert counted == (1 if error_type else None)


def test_a_request_without_a_response_is_counted_as_closed_by_the_client(metrics: Metrics) -> None:
    RequestContext(metrics, "images").finish()
    labels = {"handler": "images", "code": str(CLIENT_CLOSED_REQUEST)}
    assert sample_value(metrics, "framekeep_http_requests_total", **labels) == 1


@pytest.mark.parametrize(
    ("source", "host"),
    [
        ("https://cdn.example.com/u/42.jpg?token=x", "cdn.example.com"),
        ("http://user:secret@cdn.example.com:81", "cdn.example.com:81"),
        ("http://cdn.example.com?token=x", "cdn.example.com"),
        ("media:users/42.jpg", "media"),
    ],
)
def test_only_the_host_of_a_source_is_recorded(metrics: Metrics, source: str, host: str) -> None:
    request = RequestContext(metrics, "images")
    assert request.source_host == ""
    request.source = SourceRef(source)
    assert request.source_host == host


def test_the_source_of_an_upload_is_upload(metrics: Metrics) -> None:
    request = RequestContext(metrics, "images")
    request.source = Upload.from_bytes(b"x")
    assert request.source_host == "upload"
