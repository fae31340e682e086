"""Hits at the wire: the same answers and the same counts as on the long way."""

import asyncio
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from proxy.api.fast_path import FastPath
from proxy.api.images import ImagesEndpoint, StaleConfig
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
from proxy.render.scheduling import Priority
from proxy.server.http_protocol import TimeoutHttpProtocol
from proxy.service import ImageResult
from proxy.telemetry.config import LogConfig
from proxy.telemetry.logging import AccessLog, AccessLogEntry
from proxy.telemetry.metrics import Metrics

ETAG = '"abc"'
CHANGED = "Wed, 21 Oct 2015 07:28:00 GMT"
BODIES = {
    "https://images.example/small.jpg": bytes(range(256)),
    "https://images.example/large.jpg?v=1": bytes(range(256)) * 800,
}
SMALL, LARGE = (f"/_/{url}".encode() for url in BODIES)
OPEN = SMALL.replace(b"/_/", b"/_/package:auto/")

USUAL = (
    b"accept: image/avif,image/webp",
    b"accept: image/webp;q=0.5, image/*",
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
    b"priority: u=7",
    b"expect: 100-continue",
)
UNUSUAL = (
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


class Kept:
    """A service that has everything, and whose answers are right until the test says otherwise."""

    def __init__(self) -> None:
        self.asked = 0
        self.right = True

    async def get_or_render(self, job: ImageRequest, priority: Priority = "interactive") -> ImageResult:
        self.asked += 1
        body = BODIES[job.source.text]  # type: ignore[union-attr]
        rendition = Rendition(body, "webp", Size(1, 1), "face")
        return ImageResult(
            rendition, ETAG, "hit", 7.9, 3600.0, 0.0, CHANGED, ("tag:b",), lambda: self.right
        )


class Lines(AccessLog):
    def __init__(self) -> None:
        super().__init__(LogConfig(access="all"))
        self.lines: list[tuple[int, AccessLogEntry]] = []

    def log(self, level: int, entry: AccessLogEntry) -> None:
        self.lines.append((level, entry))


class World:
    """The images face behind the protocol, with or without the short way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, short: bool) -> None:
        self.service, self.log, self.metrics = Kept(), Lines(), Metrics(["images"])
        self.apps = 0
        self._loop = loop
        context = DialectContext(
            OperationRegistry([Package]), LinksConfig(allow_unsigned=True), aliases=["a"]
        )
        native = NativeDialect(context)
        recent = ResponseCache(1_000_000)
        now = lambda: 1000.0  # noqa: E731
        images = ImagesEndpoint(native, self.service, stale=StaleConfig(), cache=recent, now=now)  # type: ignore[arg-type]
        self._observed = AccessLogMiddleware(images, "images", self.metrics, self.log)
        at_hand = FastPath(recent, self._observed, now=now) if short else None
        http: Any = partial(TimeoutHttpProtocol, read_timeout_seconds=15, write_timeout_seconds=30, fast_path=at_hand)
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

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.apps += 1
        await self._observed(scope, receive, send)

    async def start(self) -> None:
        await self.server.startup()
        await self.server.on_tick(0)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def say(self, *requests: bytes) -> bytes:
        """All that comes back until the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as line:
            line.sendall(b"".join(requests))
            said = b"".join(iter(lambda: line.recv(65_536), b""))
        self.settle()
        return said

    def settle(self) -> None:
        """Let what is done after an answer be done."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result()

    def counts(self) -> Counter[tuple[object, ...]]:
        """All that was counted, without how long it took."""
        self.metrics.flush()
        return Counter(
            {
                (sample.name, *sample.labels.items()): int(sample.value)
                for family in self.metrics.collect()
                for sample in family.samples
                if sample.name.endswith(("_total", "_count"))
            }
        )

    def told(self) -> list[tuple[object, ...]]:
        """What the log says, without names that were made up and times."""
        return [
            (level, entry["handler"], entry["method"], entry["status"], entry["bytes"])
            + (entry.get("cache"), entry.get("source"))
            + ((entry["request_id"],) if "-" in entry["request_id"] else ())
            for level, entry in self.log.lines
        ]


@pytest.fixture(scope="module")
def worlds() -> Iterator[tuple[World, World]]:
    """One with the short way, one without; both have been asked for everything once."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    pair = World(loop, short=True), World(loop, short=False)
    try:
        for world in pair:
            asyncio.run_coroutine_threadsafe(world.start(), loop).result()
            for target in (SMALL, LARGE, OPEN):
                for accept in (b"accept: */*", *USUAL[:2]):
                    world.say(request(target, accept), LAST)
        yield pair
        for world in pair:
            asyncio.run_coroutine_threadsafe(world.server.shutdown(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def plain(said: bytes) -> bytes:
    """An answer without what differs by the hour and the request."""
    return re.sub(rb"\r\ndate: [^\r]*|[0-9a-f]{32}", b"", said)


@settings(max_examples=300)
@given(
    st.sampled_from((b"GET", b"HEAD", b"POST")),
    st.sampled_from((SMALL, LARGE, OPEN, b"/_/nothing")),
    st.lists(st.sampled_from(USUAL + UNUSUAL), max_size=4),
    st.sampled_from((b"1.1", b"1.1", b"1.0")),
)
def test_both_ways_answer_and_count_the_same(
    worlds: tuple[World, World], method: bytes, target: bytes, fields: list[bytes], version: bytes
) -> None:
    asked = request(target, *fields, method=method, version=version)
    outcomes = []
    for world in worlds:
        before = world.counts()
        world.log.lines.clear()
        said = plain(world.say(asked, LAST))
        outcomes.append((said, world.counts() - before, world.told()))
    short, long = outcomes
    assert short == long


@pytest.mark.parametrize("field", [b"accept: */*", *USUAL])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_what_is_usual_is_at_hand(worlds: tuple[World, World], field: bytes, method: bytes) -> None:
    short, _ = worlds
    before = short.apps
    said = short.say(*[request(LARGE, field, method=method)] * 3, LAST)
    assert said.count(b"x-cache: hit") == 4
    assert short.apps == before + 1  # the last one, after which the connection is closed


@pytest.mark.parametrize("field", UNUSUAL)
def test_what_is_not_usual_goes_the_long_way(worlds: tuple[World, World], field: bytes) -> None:
    short, _ = worlds
    before = short.apps
    short.say(request(LARGE, field), LAST)
    assert short.apps > before


def test_what_is_right_no_more_is_asked_for_anew(worlds: tuple[World, World]) -> None:
    short, _ = worlds
    asked = short.service.asked
    short.say(request(SMALL), LAST)
    assert short.service.asked == asked
    short.service.right = False
    short.say(request(SMALL), LAST)
    short.service.right = True
    assert short.service.asked == asked + 2


def test_an_answer_waits_for_those_before_it(worlds: tuple[World, World]) -> None:
    """Some of these are at hand and some are not; all are asked for at once."""
    targets = [SMALL, b"/_/nothing", SMALL, LARGE, SMALL]
    conditions = [b"accept: */*", b"range: bytes=0-9", b"priority: u=1"]
    asked = [request(target, field) for target in targets for field in conditions]
    short, long = (plain(world.say(*asked, LAST)) for world in worlds)
    assert short.count(b"HTTP/1.1 ") == len(asked) + 1
    assert short == long


def test_who_does_not_read_makes_nobody_hold_his_answers(worlds: tuple[World, World]) -> None:
    short, _ = worlds
    before = short.apps
    with socket.create_connection(("127.0.0.1", short.port), timeout=20) as line:
        line.sendall(request(LARGE) * 100)
        short.settle()
        while not (connections := list(short.server.server_state.connections)):
            short.settle()
        while not connections[0].flow.write_paused:  # type: ignore[union-attr]
            short.settle()
        held = connections[0].transport.get_write_buffer_size()
        assert held < 3 * len(BODIES["https://images.example/large.jpg?v=1"])
        line.sendall(LAST)
        said = b"".join(iter(lambda: line.recv(65_536), b""))
    assert said.count(b"HTTP/1.1 200") == 101
    assert short.apps > before + 1
