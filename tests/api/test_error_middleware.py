"""The error middleware: every exception of an API becomes a response."""

from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from proxy.api.http.disconnect import ClientDisconnected
from proxy.api.http.problems import error_headers
from proxy.api.http.routing import api_router, collapse_slashes
from proxy.errors import NotAnImage

pytestmark = pytest.mark.anyio


def error_response(request: Request, error: Exception) -> Response:
    text = f"{type(error).__name__} {request.state.request_id}"
    status = error.status_code if isinstance(error, HTTPException) else 500
    return Response(text, status, error_headers(error))


async def fail(request: Request) -> Response:
    errors: dict[str, Exception] = {
        "expected": NotAnImage("not an image"),
        "http": HTTPException(418, headers={"X-Tea": "green"}),
        "unexpected": ValueError("the secret"),
    }
    raise errors[request.path_params["kind"]]


async def read(request: Request) -> Response:
    await request.body()
    raise ValueError


API = api_router(
    [Route("/fail/{kind}", fail, methods=["POST"]), Route("/read", read, methods=["POST"])],
    error_response,
    new_request_id=lambda headers: headers[b"host"].decode(),
    normalize_path=collapse_slashes,
)


async def request(
    path: str, method: str = "POST", content: bytes | Iterator[bytes] = b""
) -> httpx.Response:
    transport = httpx.ASGITransport(app=API, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, content=content)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/fail/expected", 500, "NotAnImage test"),
        ("/fail/http", 418, "HTTPException test"),
        ("/fail/unexpected", 500, "ValueError test"),
        ("/other", 404, "HTTPException test"),
        ("/fail//http/", 418, "HTTPException test"),
    ],
)
async def test_the_api_responds_to_every_exception(path: str, status: int, text: str) -> None:
    response = await request(path)
    assert (response.status_code, response.text) == (status, text)


async def test_a_wrong_method_is_an_exception_too() -> None:
    response = await request("/fail/http", "GET")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_only_unexpected_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    await request("/fail/expected")
    await request("/fail/http")
    assert not caplog.records
    await request("/fail/unexpected")
    assert "request_id=test" in caplog.text
    assert "the secret" in caplog.text


async def test_the_connection_closes_when_a_body_is_left_unread() -> None:
    assert "connection" not in (await request("/fail/http")).headers
    assert (await request("/fail/http", content=b"body")).headers["connection"] == "close"
    assert "connection" not in (await request("/read", content=b"body")).headers


async def nothing() -> dict[str, Any]:
    return {"type": "http.request"}


def scope(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"test")]}


async def test_a_client_that_has_gone_gets_no_response() -> None:
    async def gone(_: Request) -> Response:
        raise ClientDisconnected

    async def send(message: Any) -> None:
        raise AssertionError(message)

    await api_router([Route("/", gone)], error_response)(scope("/"), nothing, send)


class Half(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("too late")


async def test_an_error_after_the_start_of_a_response_is_raised() -> None:
    class HalfResponse(Response):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise ValueError("too late")

    async def endpoint(_: Request) -> Response:
        return HalfResponse()

    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with pytest.raises(ValueError, match="too late"):
        await api_router([Route("/", endpoint)], error_response)(scope("/"), nothing, send)
    assert sent == ["http.response.start"]
