"""Errors as a page for people, where a browser asks for one; programs get problem+json.

The page repeats the request's URL with the faulty part marked, and says what to do.
"""

from collections.abc import Mapping
from html import escape
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from proxy import errors
from proxy.api.http.accept import preferred_media_type
from proxy.api.http.faulty_part import find_faulty_part
from proxy.api.http.headers import combine_headers
from proxy.api.http.html_page import CONTENT_SECURITY_POLICY, HTML, html_page
from proxy.api.http.problems import Headers, problem_json

_PAGE = "text/html"
_JSON = ("application/problem+json", "application/json")
_MAX_TARGET = 2000
"""Characters of a URL that the page repeats."""

_ADVICE: Mapping[type[Exception], str] = {
    errors.RequestError: (
        "Correct the link. The operations and their values are in the "
        '<a href="{docs}/operations">reference</a>.'
    ),
    errors.InvalidSignature: (
        "Make the link again with <code>framekeep sign</code> or with a helper that has the key. A "
        "link cannot be changed by hand after it is signed."
    ),
    errors.LinkExpired: "Ask the site that has this link for a new one.",
    errors.SourceError: (
        "Look whether the source is written correctly, and whether the server that it names has "
        "the picture."
    ),
    errors.SourceForbidden: (
        "Use a source that this server allows. Its operator chooses them with the settings "
        "<code>FRAMEKEEP_SOURCES_…</code>."
    ),
    errors.ImageError: (
        "Open the original to see whether it is a complete picture, or change the operations."
    ),
    errors.CapacityError: "Try again in a few seconds.",
    HTTPException: "Look at the address, or begin at the home page.",
    Exception: "Try again later. The operator finds the reason in the log under the request id.",
}


def error_body(
    error: Exception,
    request_id: str,
    headers: Mapping[bytes, bytes],
    target: bytes,
    *,
    path_prefix: str = "",
) -> tuple[HTTPStatus, Headers, bytes]:
    """Return status, headers and body: a page or problem+json, as ``Accept`` in ``headers`` says.

    ``target`` is the raw path with its query; ``path_prefix`` is that of the server.
    """
    status, response_headers, body = problem_json(error, request_id, path_prefix=path_prefix)
    if (b"cache-control", b"no-store") not in response_headers:
        response_headers.append((b"vary", b"Accept"))
    if not _wants_page(headers.get(b"accept", b"")):
        return status, response_headers, body
    response_headers = [
        *((name, value) for name, value in response_headers if name != b"content-type"),
        (b"content-type", HTML.encode()),
        (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    ]
    return status, response_headers, _page(error, status, request_id, target, path_prefix)


def page_or_problem(path_prefix: str, request: Request, error: Exception) -> Response:
    """Answer an error with a page or with problem+json; for `api_router`."""
    status, headers, body = error_body(
        error,
        request.state.request_id,
        combine_headers(request.headers.raw),
        request.scope["raw_path"],
        path_prefix=path_prefix,
    )
    texts = {name.decode(): value.decode("latin-1") for name, value in headers}
    return Response(
        body,
        status,
        {
            **texts,
            "x-content-type-options": "nosniff",
            "x-request-id": request.state.request_id,
        },
    )


def _wants_page(accept: bytes) -> bool:
    """Whether HTML is named, and not less wanted than JSON; `*/*` alone is a program."""
    # The first of equals is returned.
    return preferred_media_type(accept.decode("latin-1"), (_PAGE, *_JSON)) == _PAGE


def _page(
    error: Exception, status: HTTPStatus, request_id: str, target: bytes, path_prefix: str
) -> bytes:
    match error:
        case errors.ProxyError():
            sentence = str(error)
            anchor = f"#problem-{error.problem_type}"
        case HTTPException():
            sentence, anchor = error.detail, ""
        case _:
            sentence, anchor = "Something went wrong in the server.", ""
    docs = f"{path_prefix}/docs"
    advice = next(_ADVICE[kind] for kind in type(error).__mro__ if kind in _ADVICE).format(
        docs=docs
    )
    title = f"{int(status)} {status.phrase}"
    body = (
        f"<h1>{escape(title)}</h1><p>{escape(sentence[:1].upper() + sentence[1:])}</p>"
        f"<pre>{_marked_target(error, target)}</pre><h2>What to do</h2><p>{advice}</p>"
        f'<nav aria-label="Help"><ul><li><a href="{path_prefix}/">Home</a></li>'
        f'<li><a href="{docs}{anchor}">Documentation</a></li></ul></nav>'
        f"<dl><dt>Request id</dt><dd><code>{escape(request_id)}</code></dd></dl>"
    )
    return html_page(title, body)


def _marked_target(error: Exception, target: bytes) -> str:
    text = target.decode("utf-8", "replace")
    part = find_faulty_part(error, text)
    if part is None or part[0] > _MAX_TARGET:
        return escape(_excerpt(text))
    start, end = part
    return (
        f"{escape(text[:start])}<mark>{escape(_excerpt(text[start:end]))}</mark>"
        f"{escape(_excerpt(text[end:]))}"
    )


def _excerpt(text: str) -> str:
    return text if len(text) <= _MAX_TARGET else f"{text[:_MAX_TARGET]}…"
