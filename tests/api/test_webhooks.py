"""Orders: kept, fulfilled, delivered with several tries, taken up again."""

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

JOB = ImageRequest(Upload(b"bytes"), Plan((SmartCrop(5, 6),)))


class Makes:
    """A service that makes what it is told to, one outcome after another, the last for ever."""

    def __init__(self, *outcomes: bytes | Exception) -> None:
        self.outcomes = list(outcomes)
        self.jobs: list[ImageRequest] = []

    async def get_or_render(self, job: ImageRequest) -> ImageResult:
        self.jobs.append(job)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return ImageResult(Rendition(outcome, "png", Size(1, 1)), '"x"', "miss", 0.0, 1.0, 0.0)


class Receiver:
    """Answers with these statuses, then with 200, and remembers what it was sent."""

    def __init__(self, origin: OriginServer, *statuses: int) -> None:
        self.sent: list[bytes] = []
        self.told = asyncio.Event()
        self._statuses = list(statuses)
        self.url = origin.handle("/hook", self._take)

    async def heard(self) -> None:
        async with asyncio.timeout(20):
            await self.told.wait()

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        self.sent.append(await request.read())
        status = self._statuses.pop(0) if self._statuses else 200
        if 200 <= status < 300:
            self.told.set()
        return web.Response(status=status, headers={"location": "/elsewhere"})


def told(outcome: ImageResult | ProxyError | None) -> bytes:
    return outcome.rendition.body if isinstance(outcome, ImageResult) else str(outcome).encode()


LOOPBACK = ("127.0.0.0/8",)


@asynccontextmanager
async def desk(
    folder: Path,
    service: Makes,
    *,
    tries: int = 5,
    most: int = 10,
    nets: tuple[str, ...] = LOOPBACK,
    kind: type[DurableQueue] = DurableQueue,
) -> AsyncIterator[WebhookDeliveries]:
    dialer = HttpClient(SsrfPolicy(allow_nets=nets, allow_ports=("1-65535",)))
    made = WebhookDeliveries(
        service, dialer, kind(folder, max_items=most), OperationRegistry(OPERATIONS), told,
        max_attempts=tries, backoff_seconds=0.001,
    )  # fmt: skip
    async with made as open_desk:
        yield open_desk


async def emptied(folder: Path) -> None:
    async with asyncio.timeout(20):
        while any(folder.iterdir()):  # noqa: ASYNC110 - a folder tells nobody
            await asyncio.sleep(0.005)


async def test_an_order_is_fulfilled_once_and_forgotten(origin: OriginServer, tmp_path: Path) -> None:
    receiver, service = Receiver(origin), Makes(b"made")
    async with desk(tmp_path, service) as open_desk:
        await open_desk.enqueue(WebhookDelivery(JOB, receiver.url))
        await receiver.heard()
        await emptied(tmp_path)
    assert receiver.sent == [b"made"]
    assert service.jobs == [JOB]
    assert origin.requests[0].headers["content-type"] == "application/json"


async def test_a_failure_is_told_too(origin: OriginServer, tmp_path: Path) -> None:
    receiver = Receiver(origin)
    async with desk(tmp_path, Makes(NotAnImage("no picture"))) as open_desk:
        await open_desk.enqueue(WebhookDelivery(JOB, receiver.url))
        await receiver.heard()
    assert receiver.sent == [b"no picture"]


async def test_a_fault_of_ours_is_told_without_its_words(origin: OriginServer, tmp_path: Path) -> None:
    receiver = Receiver(origin)
    async with desk(tmp_path, Makes(RuntimeError("secret"))) as open_desk:
        await open_desk.enqueue(WebhookDelivery(JOB, receiver.url))
        await receiver.heard()
    assert receiver.sent == [b"None"]


async def test_while_we_are_overloaded_the_order_waits(origin: OriginServer, tmp_path: Path) -> None:
    receiver, service = Receiver(origin), Makes(Overloaded("full"), Overloaded("full"), b"made")
    async with desk(tmp_path, service) as open_desk:
        await open_desk.enqueue(WebhookDelivery(JOB, receiver.url))
        await receiver.heard()
    assert receiver.sent == [b"made"]


async def test_a_receiver_is_tried_again_until_it_says_yes(origin: OriginServer, tmp_path: Path) -> None:
    receiver, service = Receiver(origin, 500, 404, 302), Makes(b"made")
    async with desk(tmp_path, service) as open_desk:
        await open_desk.enqueue(WebhookDelivery(JOB, receiver.url))
        await receiver.heard()
    assert receiver.sent == [b"made"] * 4
    assert len(service.jobs) == 1
    assert origin.count("/elsewhere") == 0  # redirects are not followed


async def test_after_the_last_try_it_is_given_up(origin: OriginServer, tmp_path: Path) -> None:
    receiver = Receiver(origin, *[500] * 9)
    async with desk(tmp_path, Makes(b"made"), tries=3) as open_desk:
        await open_desk.enqueue(WebhookDelivery(JOB, receiver.url))
        await emptied(tmp_path)
    assert len(receiver.sent) == 3


async def test_private_receivers_are_not_asked(origin: OriginServer, tmp_path: Path) -> None:
    receiver = Receiver(origin)
    async with desk(tmp_path, Makes(b"made"), tries=2, nets=()) as open_desk:
        await open_desk.enqueue(WebhookDelivery(JOB, receiver.url))
        await emptied(tmp_path)
    assert receiver.sent == []


@pytest.mark.parametrize(
    "job",
    [
        JOB,
        ImageRequest(
            SourceRef("https://a.example/b", headers=(("x", "y"),), timeout_seconds=2.0), JOB.plan
        ),
    ],
)
async def test_what_one_server_left_undone_the_next_takes_up(
    origin: OriginServer, tmp_path: Path, job: ImageRequest
) -> None:
    receiver, begun = Receiver(origin), asyncio.Event()

    class NeverDone(Makes):
        async def get_or_render(self, job: ImageRequest) -> ImageResult:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

    async with desk(tmp_path, NeverDone(b"")) as open_desk:
        await open_desk.enqueue(WebhookDelivery(job, receiver.url))
        await begun.wait()
    assert receiver.sent == []
    service = Makes(b"made")
    async with desk(tmp_path, service):
        await receiver.heard()
        await emptied(tmp_path)
    assert receiver.sent == [b"made"]
    assert service.jobs == [job]


async def test_what_is_found_on_the_way_out_is_left_to_the_next(tmp_path: Path) -> None:
    looking, may_look, looked = threading.Event(), threading.Event(), threading.Event()

    class Slow(DurableQueue):
        def claim(self) -> Iterator[QueueItem]:
            looking.set()
            may_look.wait()
            yield from list(super().claim())
            looked.set()

    DurableQueue(tmp_path).put(b"an order").release()

    async with desk(tmp_path, Makes(b"made"), kind=Slow):
        await asyncio.to_thread(looking.wait)
        asyncio.get_running_loop().call_soon(may_look.set)  # comes when leaving has begun
    await asyncio.to_thread(looked.wait)
    assert len(list(DurableQueue(tmp_path).claim())) == 1


async def test_what_cannot_be_read_is_given_up(tmp_path: Path) -> None:
    DurableQueue(tmp_path).put(b"no order").release()
    async with desk(tmp_path, Makes(b"made")):
        await emptied(tmp_path)


async def test_there_is_a_bound(tmp_path: Path) -> None:
    async with desk(tmp_path, Makes(b"made"), most=0) as open_desk:
        with pytest.raises(Overloaded, match="too many results are waiting"):
            await open_desk.enqueue(WebhookDelivery(JOB, "https://a.example/"))


async def test_what_cannot_be_kept_is_not_accepted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    async with desk(tmp_path / "file" / "spool", Makes(b"made")) as open_desk:
        with pytest.raises(Overloaded, match="cannot be kept"):
            await open_desk.enqueue(WebhookDelivery(JOB, "https://a.example/"))
