"""Webhook deliveries: stored, rendered, sent with several attempts, resumed by another server."""

import asyncio
import errno
import hmac
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from origin_server import OriginServer
from render_processes import MAX_WAIT_SECONDS, wait_until

from proxy.api.transform.queue import DurableQueue, ItemGroup, QueueItem, ScheduledItem
from proxy.api.transform.receiver_backoff import ReceiverBackoff
from proxy.api.transform.webhook_signature import WebhookSigner
from proxy.api.transform.webhooks import MAX_CONCURRENT, WebhookDeliveries, WebhookDelivery
from proxy.errors import NotAnImage, Overloaded, ProxyError, SourceForbidden
from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.imaging.results import Rendition
from proxy.operations import OPERATIONS
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
from proxy.operations.smart_crop import SmartCrop
from proxy.originals import SourceRef, Upload
from proxy.runtime.background import BackgroundTasks
from proxy.service import ImageResult
from proxy.sources.net.dns import Resolver
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy

pytestmark = pytest.mark.anyio

REQUEST = ImageRequest(Upload.from_bytes(b"bytes"), Plan((SmartCrop(5, 6),)))
LOOPBACK = ("127.0.0.0/8",)


class FakeRenderer:
    """Returns or raises these outcomes one after another, and the last one again and again."""

    def __init__(self, *outcomes: bytes | Exception) -> None:
        self.outcomes = list(outcomes)
        self.requests: list[ImageRequest] = []

    async def get_or_render(self, request: ImageRequest) -> ImageResult:
        self.requests.append(request)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return ImageResult(Rendition(outcome, "png", Size(1, 1)), '"x"', "miss", 0.0, 1.0, 0.0)


class NeverDone(FakeRenderer):
    def __init__(self) -> None:
        super().__init__(b"")
        self.started = asyncio.Event()

    async def get_or_render(self, request: ImageRequest) -> ImageResult:
        del request
        self.started.set()
        await asyncio.Event().wait()
        raise AssertionError


class Receiver:
    """Answers with these statuses, then with 200, and records the bodies."""

    def __init__(self, origin: OriginServer, *statuses: int) -> None:
        self.bodies: list[bytes] = []
        self.accepted = asyncio.Event()
        self._statuses = list(statuses)
        self.url = origin.handle("/hook", self._respond)

    async def wait_accepted(self) -> None:
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            await self.accepted.wait()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        self.bodies.append(await request.read())
        status = self._statuses.pop(0) if self._statuses else 200
        if 200 <= status < 300:
            self.accepted.set()
        return web.Response(status=status, headers={"location": "/elsewhere"})


def a_queue(directory: Path) -> DurableQueue:
    return DurableQueue(directory, max_items=100, max_bytes=10_000)


def make_body(outcome: ImageResult | ProxyError | None) -> bytes:
    return outcome.rendition.body if isinstance(outcome, ImageResult) else str(outcome).encode()


@asynccontextmanager
async def open_deliveries(
    directory: Path,
    service: FakeRenderer,
    *,
    max_attempts: int = 5,
    max_items: int = 100,
    max_bytes: int = 10_000,
    allow_nets: tuple[str, ...] = LOOPBACK,
    resolver: Resolver | None = None,
    queue_type: type[DurableQueue] = DurableQueue,
    poll_seconds: float = 30.0,
    attempt_timeout_seconds: float = 10.0,
    background: BackgroundTasks | None = None,
) -> AsyncIterator[WebhookDeliveries]:
    deliveries = WebhookDeliveries(
        service,
        HttpClient(SsrfPolicy(allow_nets=allow_nets, allow_ports=("1-65535",)), resolver=resolver),
        queue_type(directory, max_items=max_items, max_bytes=max_bytes),
        OperationRegistry(OPERATIONS),
        make_body,
        background=background or BackgroundTasks(),
        max_attempts=max_attempts,
        backoff_seconds=0.001,
        poll_seconds=poll_seconds,
        attempt_timeout_seconds=attempt_timeout_seconds,
    )
    async with deliveries:
        yield deliveries


async def wait_empty(directory: Path) -> None:
    async with asyncio.timeout(MAX_WAIT_SECONDS):
        while any(directory.iterdir()):  # noqa: ASYNC110 - a directory has no event
            await asyncio.sleep(0.005)


async def test_a_result_is_sent_once_and_removed_from_the_queue(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, service = Receiver(origin), FakeRenderer(b"result")
    async with open_deliveries(tmp_path, service) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await receiver.wait_accepted()
        await wait_empty(tmp_path)
    assert receiver.bodies == [b"result"]
    assert service.requests == [REQUEST]
    assert origin.requests[0].headers["content-type"] == "application/json"


async def test_bodies_are_encoded_outside_the_event_loop(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, threads = Receiver(origin), set()

    def recording_make_body(outcome: ImageResult | ProxyError | None) -> bytes:
        threads.add(threading.get_ident())
        return make_body(outcome)

    async with open_deliveries(tmp_path, FakeRenderer(b"result")) as deliveries:
        deliveries._make_body = recording_make_body
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await receiver.wait_accepted()
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_an_error_is_sent_too(origin: OriginServer, tmp_path: Path) -> None:
    receiver = Receiver(origin)
    service = FakeRenderer(NotAnImage("not an image"))
    async with open_deliveries(tmp_path, service) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await receiver.wait_accepted()
    assert receiver.bodies == [b"not an image"]


async def test_an_unexpected_error_is_sent_without_its_message(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver = Receiver(origin)
    service = FakeRenderer(RuntimeError("secret"))
    async with open_deliveries(tmp_path, service) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await receiver.wait_accepted()
    assert receiver.bodies == [b"None"]


async def test_rendering_is_retried_while_the_server_is_overloaded(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver = Receiver(origin)
    service = FakeRenderer(Overloaded("full"), Overloaded("full"), b"result")
    async with open_deliveries(tmp_path, service) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await receiver.wait_accepted()
    assert receiver.bodies == [b"result"]


async def test_sending_is_retried_until_the_receiver_accepts(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, service = Receiver(origin, 500, 404, 302), FakeRenderer(b"result")
    async with open_deliveries(tmp_path, service) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await receiver.wait_accepted()
    assert receiver.bodies == [b"result"] * 4
    assert len(service.requests) == 1
    assert origin.count("/elsewhere") == 0  # redirects are not followed


async def test_a_delivery_is_dropped_after_the_last_attempt(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, service = Receiver(origin, *[500] * 9), FakeRenderer(b"result")
    async with open_deliveries(tmp_path, service, max_attempts=3) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await wait_empty(tmp_path)
    assert len(receiver.bodies) == 3


def resolver_of(*answers: str) -> Resolver:
    """Resolves every name to these addresses, one after another."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        del host, port
        if not left:
            raise OSError("no address")
        return [left.pop(0)]

    return resolve


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("http://127.0.0.1/hook", []),
        ("https://[::1]/hook", []),
        ("https://169.254.169.254/latest/meta-data/", []),
        ("https://hook.example/", ["10.0.0.1"]),
    ],
)
async def test_a_receiver_on_a_private_network_is_rejected(
    tmp_path: Path, url: str, addresses: list[str]
) -> None:
    service, resolver = FakeRenderer(b"result"), resolver_of(*addresses)
    async with open_deliveries(tmp_path, service, allow_nets=(), resolver=resolver) as deliveries:
        with pytest.raises(SourceForbidden, match="address not allowed"):
            await deliveries.enqueue(WebhookDelivery(REQUEST, url))
    assert list(tmp_path.iterdir()) == []
    assert service.requests == []


async def test_a_receiver_that_cannot_be_resolved_yet_is_accepted(tmp_path: Path) -> None:
    service = FakeRenderer(b"result")
    async with open_deliveries(tmp_path, service, resolver=resolver_of()) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, "https://hook.example/"))
        await wait_empty(tmp_path)
    assert service.requests == [REQUEST]


async def test_a_receiver_whose_name_leads_to_a_private_network_later_gets_nothing(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, service = Receiver(origin), FakeRenderer(b"result")
    url = receiver.url.replace("127.0.0.1", "hook.example")
    resolver = resolver_of("1.1.1.1", "127.0.0.1", "127.0.0.1")
    async with open_deliveries(
        tmp_path, service, max_attempts=2, allow_nets=(), resolver=resolver
    ) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, url))
        await wait_empty(tmp_path)
    assert service.requests == [REQUEST]
    assert receiver.bodies == []


@pytest.mark.parametrize(
    "image_request",
    [
        REQUEST,
        ImageRequest(
            SourceRef("https://a.example/b", headers=(("x", "y"),), timeout_seconds=2.0),
            REQUEST.plan,
        ),
    ],
    ids=["upload", "url"],
)
async def test_an_unfinished_delivery_is_resumed_by_the_next_server(
    origin: OriginServer, tmp_path: Path, image_request: ImageRequest
) -> None:
    receiver, never_done = Receiver(origin), NeverDone()
    async with open_deliveries(tmp_path, never_done) as deliveries:
        await deliveries.enqueue(WebhookDelivery(image_request, receiver.url))
        await never_done.started.wait()
    assert receiver.bodies == []
    service = FakeRenderer(b"result")
    async with open_deliveries(tmp_path, service):
        await receiver.wait_accepted()
        await wait_empty(tmp_path)
    assert receiver.bodies == [b"result"]
    assert service.requests == [image_request]


async def test_an_item_that_is_claimed_during_shutdown_is_released(tmp_path: Path) -> None:
    claiming, may_claim, claimed = threading.Event(), threading.Event(), threading.Event()

    class SlowQueue(DurableQueue):
        def claim(self, name: str) -> QueueItem | None:
            claiming.set()
            may_claim.wait()
            item = super().claim(name)
            claimed.set()
            return item

    name = a_queue(tmp_path).put(b"delivery").name

    async with open_deliveries(tmp_path, FakeRenderer(b"result"), queue_type=SlowQueue):
        await asyncio.to_thread(claiming.wait)
        asyncio.get_running_loop().call_soon(may_claim.set)  # runs when shutdown has begun
    assert claimed.is_set()
    assert a_queue(tmp_path).claim(name) is not None


async def test_deliveries_are_read_one_by_one_when_they_are_due(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, reads, may_render = Receiver(origin), 0, asyncio.Event()
    async with open_deliveries(tmp_path, NeverDone()) as deliveries:
        for _ in range(50):
            await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))

    class CountingQueue(DurableQueue):
        def claim(self, name: str) -> QueueItem | None:
            nonlocal reads
            reads += 1
            return super().claim(name)

    class Waiting(FakeRenderer):
        async def get_or_render(self, request: ImageRequest) -> ImageResult:
            await may_render.wait()
            return await super().get_or_render(request)

    service = Waiting(b"result")
    async with open_deliveries(tmp_path, service, queue_type=CountingQueue) as deliveries:
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            while len(deliveries._schedule) < 50 - MAX_CONCURRENT:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert reads <= MAX_CONCURRENT
        may_render.set()
        await wait_empty(tmp_path)
    assert reads == len(service.requests) == len(receiver.bodies) == 50


async def test_a_result_that_was_not_accepted_is_sent_by_the_next_server(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, service = Receiver(origin, 500), FakeRenderer(b"result")

    class Stops(DurableQueue):
        def claim(self, name: str) -> QueueItem | None:
            return None if name.endswith(".1") else super().claim(name)

    async with open_deliveries(tmp_path, service, queue_type=Stops) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            while not list(tmp_path.glob("*.1")):  # noqa: ASYNC110 - a directory has no event
                await asyncio.sleep(0.005)
    other = FakeRenderer(b"another")
    async with open_deliveries(tmp_path, other):
        await wait_empty(tmp_path)
    assert receiver.bodies == [b"result", b"result"]
    assert other.requests == []


async def test_a_result_that_cannot_be_stored_is_rendered_for_each_attempt(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, service = Receiver(origin, 500), FakeRenderer(b"result" * 100)
    async with open_deliveries(tmp_path, service, max_bytes=500) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await wait_empty(tmp_path)
    assert receiver.bodies == [b"result" * 100] * 2
    assert service.requests == [REQUEST, REQUEST]


async def test_deliveries_go_on_after_the_directory_could_not_be_read(tmp_path: Path) -> None:
    failures, background = 3, BackgroundTasks(min_backoff_seconds=0.001)

    class Failing(DurableQueue):
        def schedule(self, limit: int) -> list[ScheduledItem]:
            nonlocal failures
            if failures:
                failures -= 1
                raise OSError(errno.EIO, "disk failure")
            return super().schedule(limit)

    a_queue(tmp_path).put(b"not a delivery")
    async with open_deliveries(
        tmp_path, FakeRenderer(b"result"), queue_type=Failing, background=background
    ):
        await wait_empty(tmp_path)
    assert background.failures == {"webhook_poll": 3}
    assert background.failing == {}


async def test_a_bug_does_not_stop_deliveries(origin: OriginServer, tmp_path: Path) -> None:
    receiver, background = Receiver(origin), BackgroundTasks(min_backoff_seconds=0.001)
    service = FakeRenderer(b"result")

    def make_body_once(outcome: ImageResult | ProxyError | None) -> bytes:
        if len(service.requests) == 1:
            raise ZeroDivisionError
        return make_body(outcome)

    async with open_deliveries(tmp_path, service, background=background) as deliveries:
        deliveries._make_body = make_body_once
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await wait_empty(tmp_path)
    assert receiver.bodies == [b"result"]
    assert background.failures == {"webhook_delivery": 1}


async def test_an_unreadable_item_is_dropped(tmp_path: Path) -> None:
    a_queue(tmp_path).put(b"not a delivery")
    async with open_deliveries(tmp_path, FakeRenderer(b"result")):
        await wait_empty(tmp_path)


async def test_a_delivery_is_rejected_when_the_queue_is_full(tmp_path: Path) -> None:
    async with open_deliveries(tmp_path, FakeRenderer(b"result"), max_items=0) as deliveries:
        with pytest.raises(Overloaded, match="too many webhook deliveries are waiting"):
            await deliveries.enqueue(WebhookDelivery(REQUEST, "https://1.1.1.1/"))


async def test_a_delivery_is_rejected_when_it_cannot_be_stored(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    directory = tmp_path / "file" / "queue"
    async with open_deliveries(directory, FakeRenderer(b"result")) as deliveries:
        with pytest.raises(Overloaded, match="cannot be stored"):
            await deliveries.enqueue(WebhookDelivery(REQUEST, "https://1.1.1.1/"))


async def test_a_silent_receiver_of_one_key_does_not_delay_another_key(
    origin: OriginServer, tmp_path: Path
) -> None:
    ended = asyncio.Event()

    async def answer_at_the_end(_: web.BaseRequest) -> web.StreamResponse:
        await ended.wait()
        return web.Response()

    origin.handle("/silent", answer_at_the_end)
    silent = origin.url("/silent", "localhost")
    receiver, service = Receiver(origin), FakeRenderer(b"result")
    async with open_deliveries(
        tmp_path, service, max_bytes=100_000, attempt_timeout_seconds=2 * MAX_WAIT_SECONDS
    ) as deliveries:
        for _ in range(40):
            await deliveries.enqueue(WebhookDelivery(REQUEST, silent, "key 1"))
        await wait_until(lambda: origin.count("/silent") >= 2)
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url, "key 2"))
        async with asyncio.timeout(MAX_WAIT_SECONDS):  # half of the time that one attempt takes
            await receiver.accepted.wait()
        assert origin.count("/silent") == 2
    ended.set()


async def test_a_receiver_that_cannot_be_reached_gets_a_pause_in_which_no_attempt_is_lost(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, service = Receiver(origin, 503), FakeRenderer(b"result")
    async with open_deliveries(tmp_path, service) as deliveries:
        deliveries._receivers = ReceiverBackoff(3600)
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await wait_until(lambda: list(tmp_path.glob("*.1")))
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        assert len(list(tmp_path.glob("*.1"))) == 1
        deliveries._schedule.hold(ItemGroup("", "127.0.0.1").digests[1], 0)
        await wait_until(lambda: len(receiver.bodies) >= 2)


async def test_deliveries_are_signed_as_standard_webhooks_says(
    origin: OriginServer, tmp_path: Path
) -> None:
    secrets = [bytes(range(24)), bytes(range(64))]
    receiver, service = Receiver(origin, 500), FakeRenderer(b"result")
    async with open_deliveries(tmp_path, service) as deliveries:
        deliveries._signer = WebhookSigner(
            [f"whsec_{b64encode(secret).decode()}" for secret in secrets]
        )
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await receiver.wait_accepted()
    ids = {request.headers["webhook-id"] for request in origin.requests}
    assert len(ids) == 1  # of both attempts
    for request in origin.requests:
        id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        assert abs(int(timestamp) - time.time()) < 60
        signed = f"{id}.{timestamp}.".encode() + b"result"
        assert request.headers["webhook-signature"].split() == [
            f"v1,{b64encode(hmac.digest(secret, signed, 'sha256')).decode()}" for secret in secrets
        ]


async def test_deliveries_are_not_signed_without_secrets(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, service = Receiver(origin), FakeRenderer(b"result")
    async with open_deliveries(tmp_path, service) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await receiver.wait_accepted()
    assert "webhook-signature" not in origin.requests[0].headers
