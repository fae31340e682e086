"""Errors as HTTP statuses and problem+json."""

import inspect
from collections.abc import Iterator
from http import HTTPStatus

import msgspec
import pytest
from starlette.exceptions import HTTPException

from proxy import errors
from proxy.api.http.problems import problem_json, status_of


def error_types(
    base: type[errors.ProxyError] = errors.ProxyError,
) -> Iterator[type[errors.ProxyError]]:
    for kind in base.__subclasses__():
        if not kind.__module__.startswith("proxy.prepare."):  # in reports, never in responses
            yield kind
            yield from error_types(kind)


@pytest.mark.parametrize("kind", list(error_types()))
def test_every_error_has_a_status(kind: type[errors.ProxyError]) -> None:
    assert status_of(kind) >= 400


def test_every_error_has_a_docstring() -> None:
    assert all(inspect.getdoc(kind) for kind in error_types())


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InvalidOperation, 400),
        (errors.InvalidLink, 400),
        (errors.InvalidSource, 400),
        (errors.InvalidUpload, 400),
        (errors.InvalidSignature, 403),
        (errors.LinkExpired, 410),
        (errors.SourceForbidden, 403),
        (errors.SourceNotFound, 404),
        (errors.SourceTooLarge, 413),
        (errors.SourceTimedOut, 504),
        (errors.SourceFailed, 502),
        (errors.NotAnImage, 415),
        (errors.BrokenImage, 422),
        (errors.ImageTooLarge, 422),
        (errors.ImageTooSmall, 422),
        (errors.OperationNotApplicable, 422),
        (errors.Overloaded, 503),
        (errors.DeadlineExceeded, 504),
        (errors.RenderFailed, 503),
    ],
)
def test_statuses(kind: type[errors.ProxyError], status: int) -> None:
    assert status_of(kind) == status


def decoded(error: Exception) -> tuple[int, dict[bytes, bytes], dict[str, object]]:
    status, headers, body = problem_json(error, "request-1")
    return status, dict(headers), msgspec.json.decode(body)


def test_a_problem_has_all_members() -> None:
    status, headers, body = decoded(
        errors.InvalidOperation("too wide", operation=1, field="width_in_px")
    )
    assert status == 400
    assert headers[b"content-type"] == b"application/problem+json"
    assert body == {
        "type": "/docs#problem-bad-plan",
        "title": "Bad Request",
        "status": 400,
        "detail": "too wide",
        "instance": "request-1",
        "operation": 1,
        "field": "width_in_px",
    }


@pytest.mark.parametrize(
    ("error", "cache_control"),
    [
        (errors.SourceNotFound("gone"), b"public, max-age=60"),
        (errors.LinkExpired("gone"), b"public, max-age=60"),
        (errors.InvalidLink("no"), b"no-store"),
        (errors.SourceFailed("no"), b"no-store"),
        (HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, "no"), b"no-store"),
    ],
)
def test_only_missing_and_expired_are_cached(error: Exception, cache_control: bytes) -> None:
    assert decoded(error)[1][b"cache-control"] == cache_control


def test_an_overloaded_server_sends_retry_after() -> None:
    assert decoded(errors.Overloaded("full", retry_after=7))[1][b"retry-after"] == b"7"


def test_an_unexpected_error_is_not_shown() -> None:
    status, _, body = decoded(RuntimeError("secret at /etc/passwd"))
    assert status == 500
    assert "secret" not in str(body)


def test_the_detail_for_the_log_is_not_shown() -> None:
    assert "10.0.0.1" not in str(decoded(errors.SourceFailed("no answer", detail="10.0.0.1:80")))


def test_markup_is_escaped() -> None:
    body = problem_json(errors.InvalidOperation("<b>&'x'</b>"), "request-1")[2]
    assert not set(b"<>&") & set(body)
    assert msgspec.json.decode(body)["detail"] == "<b>&'x'</b>"


def test_the_allowed_methods_are_sorted() -> None:
    error = HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST, HEAD, GET"})
    assert decoded(error)[1][b"allow"] == b"GET, HEAD, POST"
