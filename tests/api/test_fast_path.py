"""The fast path of hits: the same responses and the same counts as on the full path."""

import asyncio
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from proxy.api.fast_path import FastPath
from proxy.api.http.cache_control import StaleConfig
from proxy.api.images import ImagesEndpoint
from proxy.api.middleware import AccessLogMiddleware
from proxy.api.response_cache import ResponseCache
from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.imaging.results import Rendition
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.operations.operation import Operation
from proxy.operations.registry import OperationRegistry
from proxy.operations.resize import Resize
from proxy.render.scheduling import Priority
from proxy.server.http_protocol import TimeoutHttpProtocol
from proxy.service import ImageResult
from proxy.telemetry.access_log import AccessLog, AccessLogEntry
from proxy.telemetry.config import LogConfig
from proxy.telemetry.metrics import Metrics

Access = Literal["all", "misses"]

ETAG = '"abc"'
CHANGED = "Wed, 21 Oct 2015 07:28:00 GMT"
BODIES = {
    "https://images.example/small.jpg": bytes(range(256)),
    "https://images.example/large.jpg?v=1": bytes(range(256)) * 800,
}
SMALL, LARGE = (f"/_/{url}".encode() for url in BODIES)
AUTOMATIC = SMALL.replace(b"/_/", b"/_/package:auto/")
HINTED = SMALL.replace(b"/_/", b"/_/resize:{auto,800,320}/dpr:{auto,1,2}/save_data/package:auto/")

FAST_FIELDS = (
    b"accept: image/avif,image/webp",
    b"accept: image/webp;q=0.5, image/*",
    b"accept: image/avif\r\naccept: image/webp",
    b"if-none-match: " + ETAG.encode(),
    b'if-none-match: W/"x", ' + ETAG.encode(),
    b'if-none-match: "x"',
    b"if-modified-since: " + CHANGED.encode(),
    b"if-modified-since: Tue, 20 Oct 2015 07:28:00 GMT",
    b"if-modified-since: soon",
    b"via: 1.1 somebody",
    b"connection: keep-alive",
    b"x-request-id: from-the-cdn",
    b"x-request-id: short",
    b"sec-ch-width: 300",
    b"dpr: 2",
    b"viewport-width: x",
    b"save-data: on",
    b"priority: u=7",
    b"expect: 100-continue",
)
FULL_PATH_FIELDS = (
    b"range: bytes=3-9",
    b"range: bytes=999999-",
    b"via: 1.1 framekeep",
    b"connection: close",
    b"upgrade: h2c",
    b"content-length: 0",
)


def request(
    target: bytes, *fields: bytes, method: bytes = b"GET", version: bytes = b"1.1"
) -> bytes:
    lines = (b"%b %b HTTP/%b" % (method, target, version), b"host: a", *fields, b"", b"")
    return b"\r\n".join(lines)


LAST = request(SMALL, b"connection: close", b"x-request-id: the-last-one")


class Package(Operation, frozen=True):
    """The format."""

    format: str = "webp"


class CachedImages:
    """A service with every image, whose results are current as long as the test says so."""

    def __init__(self) -> None:
        self.requests = 0
        self.current = True

    async def get_or_render(
        self, request: ImageRequest, priority: Priority = "interactive"
    ) -> ImageResult:
        self.requests += 1
        body = BODIES[request.source.text]  # type: ignore[union-attr]
        rendition = Rendition(body, "webp", Size(1, 1), "face")
        return ImageResult(
            rendition, ETAG, "hit", 7.9, 3600.0, 0.0, CHANGED, ("tag:b",), lambda: self.current
        )


class RecordingLog(AccessLog):
    def __init__(self, access: Access) -> None:
        super().__init__(LogConfig(access=access))
        self.entries: list[tuple[int, AccessLogEntry]] = []

    def log(self, level: int, entry: AccessLogEntry) -> None:
        self.entries.append((level, entry))


class Stack:
    """The images endpoint behind the HTTP protocol, with or without the fast path."""

    def __init__(self, loop: asyncio.AbstractEventLoop, access: Access, *, fast: bool) -> None:
        self.service, self.metrics = CachedImages(), Metrics(["images"])
        self.log = RecordingLog(access)
        self.app_calls = 0
        self._loop = loop
        context = DialectContext(
            OperationRegistry([Package, Resize]), LinksConfig(allow_unsigned=True), aliases=["a"]
        )
        native = NativeDialect(context)
        cache = ResponseCache(1_000_000)
        now: Callable[[], float] = lambda: 1000.0  # noqa: E731
        self.fast_path_clock = now
        images = ImagesEndpoint(native, self.service, stale=StaleConfig(), cache=cache, now=now)  # type: ignore[arg-type]
        self._endpoint = AccessLogMiddleware(images, "images", self.metrics, self.log)
        fast_path = FastPath(cache, self._endpoint, self.metrics, now=self._fast_path_now)
        http: Any = partial(
            TimeoutHttpProtocol,
            read_timeout_seconds=15,
            write_timeout_seconds=30,
            fast_path=fast_path if fast else None,
        )
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            http=http,
            port=0,
            ws="none",
            log_config=None,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
        )
        config.load()
        self.server = uvicorn.Server(config)
        self.server.lifespan = config.lifespan_class(config)

    def _fast_path_now(self) -> float:
        return self.fast_path_clock()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.app_calls += 1
        await self._endpoint(scope, receive, send)

    async def start(self) -> None:
        await self.server.startup()
        await self.server.on_tick(0)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def send(self, *requests: bytes) -> bytes:
        """Return all bytes until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(b"".join(requests))
            received = b"".join(iter(lambda: connection.recv(65_536), b""))
        self.wait_idle()
        return received

    def wait_idle(self) -> None:
        """Wait until what follows a response is done."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result()

    def counts(self) -> Counter[tuple[object, ...]]:
        """Return every count, without durations."""
        self.metrics.flush()
        return Counter(
            {
                (sample.name, *sample.labels.items()): int(sample.value)
                for family in self.metrics.collect()
                for sample in family.samples
                if sample.name.endswith(("_total", "_count"))
            }
        )

    def logged(self) -> list[tuple[object, ...]]:
        """Return the log entries without times and generated request ids."""
        return [
            (level, entry["handler"], entry["method"], entry["status"], entry["bytes"])
            + (entry.get("cache"), entry.get("source"))
            + ((entry["request_id"],) if "-" in entry["request_id"] else ())
            for level, entry in self.log.entries
        ]


@pytest.fixture(scope="module", params=["all", "misses"])
def access(request: pytest.FixtureRequest) -> Access:
    """Which requests are logged."""
    access: Access = request.param
    return access


@pytest.fixture(scope="module")
def stacks(access: Access) -> Iterator[tuple[Stack, Stack]]:
    """One with the fast path, one without; both have cached every response."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    pair = Stack(loop, access, fast=True), Stack(loop, access, fast=False)
    try:
        for stack in pair:
            asyncio.run_coroutine_threadsafe(stack.start(), loop).result()
            for target in (SMALL, LARGE, AUTOMATIC, HINTED):
                for accept in (b"accept: */*", *FAST_FIELDS[:2]):
                    stack.send(request(target, accept), LAST)
        yield pair
        for stack in pair:
            asyncio.run_coroutine_threadsafe(stack.server.shutdown(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def comparable(received: bytes) -> bytes:
    """Remove what differs by the time and the request."""
    return re.sub(rb"\r\ndate: [^\r]*|[0-9a-f]{32}", b"", received)


@settings(max_examples=150)
@given(
    st.sampled_from((b"GET", b"HEAD", b"POST")),
    st.sampled_from((SMALL, LARGE, AUTOMATIC, HINTED, b"/_/nothing")),
    st.lists(st.sampled_from(FAST_FIELDS + FULL_PATH_FIELDS), max_size=4),
    st.sampled_from((b"1.1", b"1.1", b"1.0")),
)
def test_both_paths_respond_and_count_the_same(
    stacks: tuple[Stack, Stack], method: bytes, target: bytes, fields: list[bytes], version: bytes
) -> None:
    sent = request(target, *fields, method=method, version=version)
    outcomes = []
    for stack in stacks:
        before = stack.counts()
        stack.log.entries.clear()
        received = comparable(stack.send(sent, LAST))
        outcomes.append((received, stack.counts() - before, stack.logged()))
    fast, full = outcomes
    assert fast == full


@pytest.mark.parametrize("field", [b"accept: */*", *FAST_FIELDS])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_usual_requests_take_the_fast_path(
    stacks: tuple[Stack, Stack], field: bytes, method: bytes
) -> None:
    fast, _ = stacks
    before = fast.app_calls
    received = fast.send(*[request(LARGE, field, method=method)] * 3, LAST)
    assert received.count(b"x-cache: hit") == 4
    assert fast.app_calls == before + 1  # the last one, after which the connection is closed


def test_what_client_hints_choose_takes_the_fast_path_once_it_is_cached(
    stacks: tuple[Stack, Stack],
) -> None:
    fast, _ = stacks
    sent = request(HINTED, b"sec-ch-width: 300", b"accept: image/webp")
    fast.send(sent, LAST)
    before = fast.app_calls
    received = fast.send(sent, sent, LAST)
    assert received.count(b"x-choice: 320:1") == 2
    assert fast.app_calls == before + 1


@pytest.mark.parametrize("field", FULL_PATH_FIELDS)
def test_unusual_requests_take_the_full_path(stacks: tuple[Stack, Stack], field: bytes) -> None:
    fast, _ = stacks
    before = fast.app_calls
    fast.send(request(LARGE, field), LAST)
    assert fast.app_calls > before


def test_a_failure_of_the_fast_path_is_counted_and_the_full_path_answers(
    stacks: tuple[Stack, Stack], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> float:
        raise ZeroDivisionError

    fast, full = stacks
    before, calls = fast.counts(), fast.app_calls
    now, fast.fast_path_clock = fast.fast_path_clock, fail
    try:
        received = fast.send(request(SMALL), LAST)
    finally:
        fast.fast_path_clock = now
    assert comparable(received) == comparable(full.send(request(SMALL), LAST))
    assert fast.app_calls == calls + 2
    counted = fast.counts() - before
    assert counted["framekeep_fast_path_errors_total",] == 1
    assert counted["framekeep_http_requests_total", ("handler", "images"), ("code", "200")] == 2
    assert caplog.text.count("fast path failed") == 1
    assert "ZeroDivisionError" in caplog.text


def test_an_outdated_response_is_not_sent_again(stacks: tuple[Stack, Stack]) -> None:
    fast, _ = stacks
    requests = fast.service.requests
    fast.send(request(SMALL), LAST)
    assert fast.service.requests == requests
    fast.service.current = False
    fast.send(request(SMALL), LAST)
    fast.service.current = True
    assert fast.service.requests == requests + 2


def test_responses_are_in_the_order_of_their_requests(stacks: tuple[Stack, Stack]) -> None:
    """Some of these take the fast path and some do not; all are sent at once."""
    targets = [SMALL, b"/_/nothing", SMALL, LARGE, SMALL]
    conditions = [b"accept: */*", b"range: bytes=0-9", b"priority: u=1"]
    requests = [request(target, field) for target in targets for field in conditions]
    fast, full = (comparable(stack.send(*requests, LAST)) for stack in stacks)
    assert fast.count(b"HTTP/1.1 ") == len(requests) + 1
    assert fast == full


def test_responses_are_not_buffered_for_a_client_that_does_not_read(
    stacks: tuple[Stack, Stack],
) -> None:
    fast, _ = stacks
    before = fast.app_calls
    with socket.create_connection(("127.0.0.1", fast.port), timeout=20) as connection:
        connection.sendall(request(LARGE) * 100)
        fast.wait_idle()
        while not (connections := list(fast.server.server_state.connections)):
            fast.wait_idle()
        while not connections[0].flow.write_paused:  # type: ignore[union-attr]
            fast.wait_idle()
        buffered = connections[0].transport.get_write_buffer_size()
        assert buffered < 3 * len(BODIES["https://images.example/large.jpg?v=1"])
        connection.sendall(LAST)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert received.count(b"HTTP/1.1 200") == 101
    assert fast.app_calls > before + 1
