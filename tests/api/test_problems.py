"""One table of statuses, and problem+json."""

import inspect
from collections.abc import Iterator
from http import HTTPStatus

import msgspec
import pytest

from proxy import errors
from starlette.exceptions import HTTPException

from proxy.api.http.problems import problem_json, status_of


def kinds(of: type[errors.ProxyError] = errors.ProxyError) -> Iterator[type[errors.ProxyError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_failure_has_a_status(kind: type[errors.ProxyError]) -> None:
    assert status_of(kind) >= 400


def test_the_tree_has_no_failure_without_words() -> None:
    assert all(inspect.getdoc(kind) for kind in kinds())


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


def told(error: Exception) -> tuple[int, dict[bytes, bytes], dict[str, object]]:
    status, headers, body = problem_json(error, "request-1")
    return status, dict(headers), msgspec.json.decode(body)


def test_a_problem_names_everything() -> None:
    status, headers, body = told(
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
    ("error", "kept"),
    [
        (errors.SourceNotFound("gone"), b"public, max-age=60"),
        (errors.LinkExpired("gone"), b"public, max-age=60"),
        (errors.InvalidLink("no"), b"no-store"),
        (errors.SourceFailed("no"), b"no-store"),
        (HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, "no"), b"no-store"),
    ],
)
def test_only_what_is_gone_may_be_kept(error: Exception, kept: bytes) -> None:
    assert told(error)[1][b"cache-control"] == kept


def test_the_overloaded_say_when_to_come_again() -> None:
    assert told(errors.Overloaded("full", retry_after=7))[1][b"retry-after"] == b"7"


def test_the_unforeseen_says_nothing_of_itself() -> None:
    status, _, body = told(RuntimeError("secret at /etc/passwd"))
    assert status == 500
    assert "secret" not in str(body)


def test_the_log_s_words_are_not_the_stranger_s() -> None:
    assert "10.0.0.1" not in str(told(errors.SourceFailed("no answer", detail="10.0.0.1:80")))


def test_nothing_looks_like_markup() -> None:
    body = problem_json(errors.InvalidOperation("<b>&'x'</b>"), "request-1")[2]
    assert not set(b"<>&") & set(body)
    assert msgspec.json.decode(body)["detail"] == "<b>&'x'</b>"
