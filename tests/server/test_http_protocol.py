"""How long a client's dawdling is borne. The clock is the test's: `check` is told the time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from render_processes import until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from proxy.server.http_protocol import Protocol

pytestmark = pytest.mark.anyio

HEAD = b"GET / HTTP/1.1\r\nhost: example.org\r\n"
UPLOAD = b"POST /upload HTTP/1.1\r\nhost: example.org\r\ncontent-length: 500000\r\n\r\n"


async def small(_: Request) -> Response:
    return PlainTextResponse("small")


async def large(_: Request) -> Response:
    return Response(b"x" * 50_000_000)


async def hand(_: Request) -> Response:
    return PlainTextResponse("the long way")


async def upload(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def early(_: Request) -> Response:
    return Response(status_code=413)


APP = Starlette(
    routes=[
        Route("/", small),
        Route("/large", large),
        Route("/hand", hand),
        Route("/upload", upload, methods=["POST"]),
        Route("/early", early, methods=["POST"]),
    ]
)


def at_hand(_: bytes, target: bytes, __: object) -> tuple[int, bytes, bytes] | None:
    return (200, b"content-length: 7\r\n", b"at hand") if target == b"/hand" else None


class Watched(Protocol):
    """The protocol, telling how much it has seen."""

    seen = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.seen += len(data)


class Connection:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: Watched
    ) -> None:
        self.reader, self.writer, self.protocol = reader, writer, protocol

    async def send(self, data: bytes) -> None:
        """Send, and wait until all of it was seen."""
        due = self.protocol.seen + len(data)
        self.writer.write(data)
        await until(lambda: self.protocol.seen >= due)

    def later(self, seconds: float) -> None:
        self.protocol.check(asyncio.get_running_loop().time() + seconds)

    @property
    def is_open(self) -> bool:
        return not self.protocol.transport.is_closing()


@asynccontextmanager
async def connected() -> AsyncIterator[Connection]:
    made: list[Watched] = []

    def protocol(**options: Any) -> Watched:
        made.append(Watched(receive_seconds=15, send_seconds=30, at_hand=at_hand, **options))
        return made[-1]

    http: Any = partial(protocol)
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
    await until(lambda: server.server_state.connections)
    try:
        yield Connection(reader, writer, made[0])
    finally:
        writer.close()
        await server.shutdown()


async def test_half_a_head_is_cut() -> None:
    async with connected() as connection:
        await connection.send(HEAD)
        connection.later(14)
        assert connection.is_open
        connection.later(15)
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_drips_is_cut_all_the_same() -> None:
    async with connected() as connection:
        await connection.send(HEAD)
        await connection.send(b"x-more: 1\r\n")
        connection.later(15)
        assert not connection.is_open


async def test_a_connection_that_never_asks_is_closed_without_a_word() -> None:
    async with connected() as connection:
        connection.later(15)
        assert await connection.reader.read() == b""


async def test_a_whole_request_is_answered_and_the_connection_stays() -> None:
    async with connected() as connection:
        await connection.send(HEAD + b"\r\n")
        assert (await connection.reader.readuntil(b"small")).startswith(b"HTTP/1.1 200 ")
        connection.later(60)
        assert connection.is_open


async def test_empty_lines_do_not_keep_a_connection() -> None:
    async with connected() as connection:
        await connection.send(HEAD + b"\r\n")
        await connection.reader.readuntil(b"small")
        await connection.send(b"\r\n")
        connection.later(15)
        assert not connection.is_open


async def test_half_a_body_is_cut() -> None:
    async with connected() as connection:
        await connection.send(UPLOAD + b"x" * 1000)
        connection.later(15)
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_comes_on_is_waited_for() -> None:
    async with connected() as connection:
        await connection.send(UPLOAD)
        connection.protocol._waiting_since = 0.0
        await connection.send(b"x" * 60_000)
        assert connection.protocol._waiting_since == 0
        await connection.send(b"x" * 40_000)
        assert connection.protocol._waiting_since != 0
        await connection.send(b"x" * 400_000)
        assert (await connection.reader.readuntil(b"500000")).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_nobody_wants_any_more_is_cut() -> None:
    async with connected() as connection:
        await connection.send(UPLOAD.replace(b"/upload", b"/early") + b"x" * 1000)
        await connection.reader.readuntil(b"\r\n\r\n")
        connection.later(0)
        assert not connection.is_open


async def test_an_endless_head_is_refused() -> None:
    async with connected() as connection:
        connection.writer.write(HEAD + b"x-long: " + b"x" * 1_000_000)
        assert (await connection.reader.read(12)) == b"HTTP/1.1 431"


@pytest.mark.parametrize("first", [len(HEAD), 60_000, 65_536])
async def test_a_head_is_measured_however_it_comes(first: int) -> None:
    head = HEAD + b"x-long: " + b"x" * 66_000 + b"\r\n\r\n"
    async with connected() as connection:
        await connection.send(head[:first])
        connection.writer.write(head[first:])
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 431 ")


async def test_a_long_body_is_no_long_head() -> None:
    body = b"x" * 500_000
    async with connected() as connection:
        connection.writer.write(UPLOAD + body + UPLOAD + body)
        for _ in range(2):
            answer = await connection.reader.readuntil(b"500000")
            assert answer.startswith(b"HTTP/1.1 200 ")


async def test_what_cannot_be_read_waits_for_the_answers_before_it() -> None:
    async with connected() as connection:
        connection.writer.write(HEAD + b"\r\n" + b"no request\r\n\r\n")
        assert (await connection.reader.read()).endswith(b"small")


@pytest.mark.parametrize("length", [b"", b"content-length: 0\r\n"])
async def test_nobody_is_asked_for_a_body_that_there_is_not(length: bytes) -> None:
    head = HEAD.replace(b"GET / ", b"POST /upload ") + length + b"expect: 100-continue\r\n\r\n"
    async with connected() as connection:
        await connection.send(head)
        assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_a_body_is_asked_for() -> None:
    head = UPLOAD.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n")
    async with connected() as connection:
        await connection.send(head)
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.writer.write(b"x" * 500_000)
        assert (await connection.reader.readuntil(b"500000")).startswith(b"HTTP/1.1 200 ")


async def test_who_does_not_take_the_answer_is_cut_off() -> None:
    async with connected() as connection:
        await connection.send(HEAD.replace(b" / ", b" /large ") + b"\r\n")
        await until(connection.protocol.transport.get_write_buffer_size)
        connection.later(0)
        connection.later(29)
        assert connection.is_open
        connection.later(30)
        assert not connection.is_open


async def test_a_request_that_is_just_arriving_is_let_in_when_the_server_leaves() -> None:
    async with connected() as connection:
        await connection.send(HEAD)
        connection.protocol.shutdown()
        assert connection.is_open
        await connection.send(b"\r\n")
        assert (await connection.reader.readuntil(b"small")).startswith(b"HTTP/1.1 200 ")


# What is at hand.

AT_HAND = b"GET /hand HTTP/1.1\r\nhost: example.org\r\n\r\n"


async def test_what_is_at_hand_is_answered_without_the_app() -> None:
    async with connected() as connection:
        for _ in range(2):
            await connection.send(AT_HAND)
            assert (await connection.reader.readuntil(b"at hand")).startswith(b"HTTP/1.1 200 ")


async def test_what_is_at_hand_waits_for_the_answers_before_it() -> None:
    async with connected() as connection:
        await connection.send(HEAD + b"\r\n" + AT_HAND)
        assert b"small" in await connection.reader.readuntil(b"the long way")


async def test_who_was_answered_from_what_is_at_hand_may_be_idle_as_long_as_others() -> None:
    async with connected() as connection:
        await connection.send(AT_HAND)
        connection.later(74)
        assert connection.is_open
        connection.later(76)
        assert (await connection.reader.read()).endswith(b"at hand")


async def test_half_a_head_after_what_was_at_hand_is_cut() -> None:
    async with connected() as connection:
        await connection.send(AT_HAND)
        await connection.send(HEAD)
        connection.later(15)
        assert (await connection.reader.read()).count(b"HTTP/1.1 408 ") == 1


async def test_a_server_that_leaves_says_so_with_what_is_at_hand_too() -> None:
    async with connected() as connection:
        connection.protocol.server_state.default_headers[:] = [(b"connection", b"close")]
        await connection.send(AT_HAND)
        assert b"connection: close" in await connection.reader.read()


async def test_who_has_what_was_at_hand_is_let_go_when_the_server_leaves() -> None:
    async with connected() as connection:
        await connection.send(AT_HAND)
        connection.protocol.shutdown()
        assert (await connection.reader.read()).endswith(b"at hand")
