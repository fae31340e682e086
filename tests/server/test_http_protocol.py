"""Timeouts and the fast path of a connection. Tests pass the time to `check_timeouts`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from render_processes import wait_until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from proxy.server.http_protocol import (
    LINGER_IDLE_SECONDS,
    LINGER_SECONDS,
    MAX_LINGER_BYTES,
    TimeoutHttpProtocol,
)

pytestmark = pytest.mark.anyio

HEAD = b"GET / HTTP/1.1\r\nhost: example.org\r\n"
UPLOAD = b"POST /upload HTTP/1.1\r\nhost: example.org\r\ncontent-length: 500000\r\n\r\n"


async def small(_: Request) -> Response:
    return PlainTextResponse("small")


async def large(_: Request) -> Response:
    return Response(b"x" * 50_000_000)


async def cached(_: Request) -> Response:
    return PlainTextResponse("from the app")


async def upload(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def refused(_: Request) -> Response:
    return Response(status_code=401, headers={"connection": "close"})


async def early(_: Request) -> Response:
    return Response(status_code=413)


APP = Starlette(
    routes=[
        Route("/", small),
        Route("/large", large),
        Route("/cached", cached),
        Route("/upload", upload, methods=["POST"]),
        Route("/early", early, methods=["POST"]),
        Route("/refused", refused, methods=["POST"]),
    ]
)


def fast_path(_: bytes, target: bytes, __: object) -> tuple[int, bytes, bytes] | None:
    return (200, b"content-length: 9\r\n", b"fast path") if target == b"/cached" else None


class CountingProtocol(TimeoutHttpProtocol):
    """Counts the bytes that it has processed."""

    processed = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.processed += len(data)


class Connection:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: CountingProtocol
    ) -> None:
        self.reader, self.writer, self.protocol = reader, writer, protocol

    async def send(self, data: bytes) -> None:
        """Send, and wait until all of it was processed."""
        expected = self.protocol.processed + len(data)
        self.writer.write(data)
        await wait_until(lambda: self.protocol.processed >= expected)

    def check_timeouts_after(self, seconds: float) -> None:
        self.protocol.check_timeouts(asyncio.get_running_loop().time() + seconds)

    @property
    def is_open(self) -> bool:
        return not self.protocol.transport.is_closing()


@asynccontextmanager
async def connected() -> AsyncIterator[Connection]:
    protocols: list[CountingProtocol] = []

    def make_protocol(**options: Any) -> CountingProtocol:
        protocol = CountingProtocol(
            read_timeout_seconds=15, write_timeout_seconds=30, fast_path=fast_path, **options
        )
        protocols.append(protocol)
        return protocol

    http: Any = partial(make_protocol)
    config = uvicorn.Config(
        APP,
        http=http,
        port=0,
        ws="none",
        log_config=None,
        lifespan="off",
        timeout_keep_alive=75,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await wait_until(lambda: server.server_state.connections)
    try:
        yield Connection(reader, writer, protocols[0])
    finally:
        writer.close()
        await server.shutdown()


async def test_a_head_that_is_not_completed_is_rejected() -> None:
    async with connected() as connection:
        await connection.send(HEAD)
        connection.check_timeouts_after(14)
        assert connection.is_open
        connection.check_timeouts_after(15)
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_arrives_slowly_is_rejected_too() -> None:
    async with connected() as connection:
        await connection.send(HEAD)
        await connection.send(b"x-more: 1\r\n")
        connection.check_timeouts_after(15)
        assert not connection.is_open


async def test_a_connection_without_a_request_is_closed_without_a_response() -> None:
    async with connected() as connection:
        connection.check_timeouts_after(15)
        assert await connection.reader.read() == b""


async def test_a_complete_request_is_answered_and_the_connection_stays_open() -> None:
    async with connected() as connection:
        await connection.send(HEAD + b"\r\n")
        assert (await connection.reader.readuntil(b"small")).startswith(b"HTTP/1.1 200 ")
        connection.check_timeouts_after(60)
        assert connection.is_open


async def test_empty_lines_do_not_keep_a_connection_open() -> None:
    async with connected() as connection:
        await connection.send(HEAD + b"\r\n")
        await connection.reader.readuntil(b"small")
        await connection.send(b"\r\n")
        connection.check_timeouts_after(15)
        assert not connection.is_open


async def test_a_body_that_is_not_completed_is_rejected() -> None:
    async with connected() as connection:
        await connection.send(UPLOAD + b"x" * 1000)
        connection.check_timeouts_after(15)
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_makes_progress_is_awaited() -> None:
    async with connected() as connection:
        await connection.send(UPLOAD)
        connection.protocol._reading_since = 0.0
        await connection.send(b"x" * 60_000)
        assert connection.protocol._reading_since == 0
        await connection.send(b"x" * 40_000)
        assert connection.protocol._reading_since != 0
        await connection.send(b"x" * 400_000)
        assert (await connection.reader.readuntil(b"500000")).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_is_not_needed_any_more_is_not_awaited() -> None:
    async with connected() as connection:
        await connection.send(UPLOAD.replace(b"/upload", b"/early") + b"x" * 1000)
        await connection.reader.readuntil(b"\r\n\r\n")
        connection.check_timeouts_after(LINGER_IDLE_SECONDS / 2)
        assert connection.is_open
        connection.check_timeouts_after(LINGER_IDLE_SECONDS + 1)
        assert not connection.is_open


async def test_a_connection_goes_on_after_a_body_that_was_not_needed() -> None:
    async with connected() as connection:
        await connection.send(UPLOAD.replace(b"/upload", b"/early") + b"x" * 1000)
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.send(b"x" * 499_000 + HEAD + b"\r\n")
        assert (await connection.reader.readuntil(b"small")).startswith(b"HTTP/1.1 200 ")
        connection.check_timeouts_after(60)
        assert connection.is_open


@pytest.mark.parametrize("seconds", [LINGER_IDLE_SECONDS, LINGER_SECONDS])
async def test_a_refused_body_is_discarded_for_a_bounded_time(seconds: float) -> None:
    async with connected() as connection:
        await connection.send(UPLOAD.replace(b"/upload", b"/refused") + b"x" * 1000)
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 401 ")
        await connection.send(b"x" * 100_000)
        if seconds == LINGER_SECONDS:
            connection.protocol._linger_progress_at += LINGER_SECONDS
        connection.check_timeouts_after(seconds - 1)
        assert connection.is_open
        connection.check_timeouts_after(seconds + 1)
        assert not connection.is_open


async def test_a_refused_body_is_discarded_up_to_a_number_of_bytes() -> None:
    async with connected() as connection:
        await connection.send(UPLOAD.replace(b"/upload", b"/refused"))
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 401 ")
        connection.protocol._linger_bytes = MAX_LINGER_BYTES - 1000
        await connection.send(b"x" * 1000)
        assert connection.is_open
        await connection.send(b"x")
        assert not connection.is_open


async def test_a_connection_that_discards_a_body_is_closed_at_shutdown() -> None:
    async with connected() as connection:
        await connection.send(UPLOAD.replace(b"/upload", b"/refused") + b"x")
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 401 ")
        connection.protocol.shutdown()
        assert not connection.is_open


async def test_an_endless_head_is_rejected() -> None:
    async with connected() as connection:
        connection.writer.write(HEAD + b"x-long: " + b"x" * 1_000_000)
        assert (await connection.reader.read(12)) == b"HTTP/1.1 431"


@pytest.mark.parametrize("first", [len(HEAD), 60_000, 65_536])
async def test_a_head_is_measured_in_whatever_chunks_it_arrives(first: int) -> None:
    head = HEAD + b"x-long: " + b"x" * 66_000 + b"\r\n\r\n"
    async with connected() as connection:
        await connection.send(head[:first])
        connection.writer.write(head[first:])
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 431 ")


async def test_a_long_body_does_not_count_as_head() -> None:
    body = b"x" * 500_000
    async with connected() as connection:
        connection.writer.write(UPLOAD + body + UPLOAD + body)
        for _ in range(2):
            response = await connection.reader.readuntil(b"500000")
            assert response.startswith(b"HTTP/1.1 200 ")


async def test_an_invalid_request_waits_for_the_responses_before_it() -> None:
    async with connected() as connection:
        connection.writer.write(HEAD + b"\r\n" + b"no request\r\n\r\n")
        assert (await connection.reader.read()).endswith(b"small")


@pytest.mark.parametrize("length", [b"", b"content-length: 0\r\n"])
async def test_a_request_without_body_gets_no_100_continue(length: bytes) -> None:
    head = HEAD.replace(b"GET / ", b"POST /upload ") + length + b"expect: 100-continue\r\n\r\n"
    async with connected() as connection:
        await connection.send(head)
        assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_a_request_with_body_gets_100_continue() -> None:
    head = UPLOAD.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n")
    async with connected() as connection:
        await connection.send(head)
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.writer.write(b"x" * 500_000)
        assert (await connection.reader.readuntil(b"500000")).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_does_not_take_the_response_is_disconnected() -> None:
    async with connected() as connection:
        await connection.send(HEAD.replace(b" / ", b" /large ") + b"\r\n")
        await wait_until(connection.protocol.transport.get_write_buffer_size)
        connection.check_timeouts_after(0)
        connection.check_timeouts_after(29)
        assert connection.is_open
        connection.check_timeouts_after(30)
        assert not connection.is_open


async def test_a_request_that_is_just_arriving_is_answered_at_shutdown() -> None:
    async with connected() as connection:
        await connection.send(HEAD)
        connection.protocol.shutdown()
        assert connection.is_open
        await connection.send(b"\r\n")
        assert (await connection.reader.readuntil(b"small")).startswith(b"HTTP/1.1 200 ")


# The fast path.

CACHED = b"GET /cached HTTP/1.1\r\nhost: example.org\r\n\r\n"


async def test_the_fast_path_answers_without_the_app() -> None:
    async with connected() as connection:
        for _ in range(2):
            await connection.send(CACHED)
            assert (await connection.reader.readuntil(b"fast path")).startswith(b"HTTP/1.1 200 ")


async def test_the_fast_path_is_not_taken_while_a_response_is_pending() -> None:
    async with connected() as connection:
        await connection.send(HEAD + b"\r\n" + CACHED)
        assert b"small" in await connection.reader.readuntil(b"from the app")


async def test_keep_alive_is_the_same_after_a_fast_response() -> None:
    async with connected() as connection:
        await connection.send(CACHED)
        connection.check_timeouts_after(74)
        assert connection.is_open
        connection.check_timeouts_after(76)
        assert (await connection.reader.read()).endswith(b"fast path")


async def test_a_head_that_is_not_completed_is_rejected_after_a_fast_response_too() -> None:
    async with connected() as connection:
        await connection.send(CACHED)
        await connection.send(HEAD)
        connection.check_timeouts_after(15)
        assert (await connection.reader.read()).count(b"HTTP/1.1 408 ") == 1


async def test_a_server_that_stops_closes_connections_of_the_fast_path_too() -> None:
    async with connected() as connection:
        connection.protocol.server_state.default_headers[:] = [(b"connection", b"close")]
        await connection.send(CACHED)
        assert b"connection: close" in await connection.reader.read()


async def test_a_connection_with_a_fast_response_is_closed_at_shutdown() -> None:
    async with connected() as connection:
        await connection.send(CACHED)
        connection.protocol.shutdown()
        assert (await connection.reader.read()).endswith(b"fast path")


# What a body has beside its data.

CHUNKED = b"POST /upload HTTP/1.1\r\nhost: example.org\r\ntransfer-encoding: chunked\r\n\r\n"


async def test_a_body_in_chunks_of_a_byte_is_read() -> None:
    async with connected() as connection:
        await connection.send(CHUNKED)
        for _ in range(10):
            await connection.send(b"1\r\nx\r\n" * 3000)
        await connection.send(b"0\r\nx-trailer: 1\r\n\r\n")
        assert (await connection.reader.readuntil(b"30000")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"0\r\n", b"x-trailer: 1\r\n" * 1000),
        (b"0\r\nx-trailer: ", b"x" * 10_000),
        (b"1;x=", b"x" * 10_000),
        (b"", b"1;" + b"x" * 100 + b"\r\nx\r\n"),
    ],
    ids=["trailers", "a long trailer", "an extension", "extensions"],
)
async def test_a_body_that_is_mostly_framing_is_rejected(first: bytes, more: bytes) -> None:
    async with connected() as connection:
        await connection.send(CHUNKED)
        await connection.send(first)
        for _ in range(1 + 200_000 // len(more)):
            if connection.protocol._half_closed:
                break
            await connection.send(more)
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_trailers_are_no_headers() -> None:
    async with connected() as connection:
        await connection.send(CHUNKED + b"0\r\n" + b"x-trailer: 1\r\n" * 100 + b"\r\n")
        await connection.reader.readuntil(b"\r\n\r\n")
        assert len(connection.protocol.headers) == 2


async def test_the_fields_of_a_head_are_counted() -> None:
    async with connected() as connection:
        await connection.send(HEAD + b"x: y\r\n" * 255 + b"\r\n")
        assert (await connection.reader.readuntil(b"small")).startswith(b"HTTP/1.1 200 ")
        connection.writer.write(HEAD + b"x: y\r\n" * 256 + b"\r\n")
        assert b"more than 256 header fields" in await connection.reader.read()


async def test_a_body_must_keep_the_rate() -> None:
    async with connected() as connection:
        await connection.send(UPLOAD)
        connection.protocol._min_body_bytes = 200_000
        connection.protocol._reading_since = 0.0
        await connection.send(b"x" * 199_000)
        assert connection.protocol._reading_since == 0
        await connection.send(b"x" * 1000)
        assert connection.protocol._reading_since != 0
