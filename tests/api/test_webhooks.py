"""Webhook deliveries: stored, rendered, sent with several attempts, resumed by another server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from origin_server import OriginServer

from proxy.api.transform.queue import DurableQueue, QueueItem
from proxy.api.transform.webhooks import WebhookDeliveries, WebhookDelivery
from proxy.errors import NotAnImage, Overloaded, ProxyError
from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.imaging.results import Rendition
from proxy.operations import OPERATIONS
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
from proxy.operations.smart_crop import SmartCrop
from proxy.originals import SourceRef, Upload
from proxy.service import ImageResult
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy

pytestmark = pytest.mark.anyio

REQUEST = ImageRequest(Upload(b"bytes"), Plan((SmartCrop(5, 6),)))
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


class Receiver:
    """Answers with these statuses, then with 200, and records the bodies."""

    def __init__(self, origin: OriginServer, *statuses: int) -> None:
        self.bodies: list[bytes] = []
        self.accepted = asyncio.Event()
        self._statuses = list(statuses)
        self.url = origin.handle("/hook", self._respond)

    async def wait_accepted(self) -> None:
        async with asyncio.timeout(20):
            await self.accepted.wait()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        self.bodies.append(await request.read())
        status = self._statuses.pop(0) if self._statuses else 200
        if 200 <= status < 300:
            self.accepted.set()
        return web.Response(status=status, headers={"location": "/elsewhere"})


def make_body(outcome: ImageResult | ProxyError | None) -> bytes:
    return outcome.rendition.body if isinstance(outcome, ImageResult) else str(outcome).encode()


@asynccontextmanager
async def open_deliveries(
    directory: Path,
    service: FakeRenderer,
    *,
    max_attempts: int = 5,
    max_items: int = 10,
    allow_nets: tuple[str, ...] = LOOPBACK,
    queue_type: type[DurableQueue] = DurableQueue,
) -> AsyncIterator[WebhookDeliveries]:
    deliveries = WebhookDeliveries(
        service,
        HttpClient(SsrfPolicy(allow_nets=allow_nets, allow_ports=("1-65535",))),
        queue_type(directory, max_items=max_items),
        OperationRegistry(OPERATIONS),
        make_body,
        max_attempts=max_attempts,
        backoff_seconds=0.001,
    )
    async with deliveries:
        yield deliveries


async def wait_empty(directory: Path) -> None:
    async with asyncio.timeout(20):
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


async def test_a_receiver_on_a_private_network_gets_nothing(
    origin: OriginServer, tmp_path: Path
) -> None:
    receiver, service = Receiver(origin), FakeRenderer(b"result")
    async with open_deliveries(tmp_path, service, max_attempts=2, allow_nets=()) as deliveries:
        await deliveries.enqueue(WebhookDelivery(REQUEST, receiver.url))
        await wait_empty(tmp_path)
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
    receiver, started = Receiver(origin), asyncio.Event()

    class NeverDone(FakeRenderer):
        async def get_or_render(self, request: ImageRequest) -> ImageResult:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

    async with open_deliveries(tmp_path, NeverDone(b"")) as deliveries:
        await deliveries.enqueue(WebhookDelivery(image_request, receiver.url))
        await started.wait()
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
        def claim(self) -> Iterator[QueueItem]:
            claiming.set()
            may_claim.wait()
            yield from list(super().claim())
            claimed.set()

    DurableQueue(tmp_path).put(b"delivery").release()

    async with open_deliveries(tmp_path, FakeRenderer(b"result"), queue_type=SlowQueue):
        await asyncio.to_thread(claiming.wait)
        asyncio.get_running_loop().call_soon(may_claim.set)  # runs when shutdown has begun
    await asyncio.to_thread(claimed.wait)
    assert len(list(DurableQueue(tmp_path).claim())) == 1


async def test_an_unreadable_item_is_dropped(tmp_path: Path) -> None:
    DurableQueue(tmp_path).put(b"not a delivery").release()
    async with open_deliveries(tmp_path, FakeRenderer(b"result")):
        await wait_empty(tmp_path)


async def test_a_delivery_is_rejected_when_the_queue_is_full(tmp_path: Path) -> None:
    async with open_deliveries(tmp_path, FakeRenderer(b"result"), max_items=0) as deliveries:
        with pytest.raises(Overloaded, match="too many webhook deliveries are waiting"):
            await deliveries.enqueue(WebhookDelivery(REQUEST, "https://a.example/"))


async def test_a_delivery_is_rejected_when_it_cannot_be_stored(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    directory = tmp_path / "file" / "queue"
    async with open_deliveries(directory, FakeRenderer(b"result")) as deliveries:
        with pytest.raises(Overloaded, match="cannot be stored"):
            await deliveries.enqueue(WebhookDelivery(REQUEST, "https://a.example/"))
