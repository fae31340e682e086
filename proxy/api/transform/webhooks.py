"""Webhook deliveries: render later, and send the result with several attempts.

A delivery is in the durable queue from before its request is accepted until its receiver has
answered 2xx, or every attempt has failed. When a server ends, in whatever way, its deliveries are
claimed by the next server or by another worker of the machine. So a delivery may, after a crash, be
sent twice.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Protocol, Self

import msgspec
from msgspec import Struct

from proxy.api.transform.queue import DurableQueue, DurableQueueFull, QueueItem
from proxy.errors import CapacityError, Overloaded, ProxyError
from proxy.image_request import ImageRequest
from proxy.operations.registry import OperationRegistry
from proxy.originals import OriginalRef, SourceRef, Upload
from proxy.service import ImageResult
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.url import parse_url

_log = logging.getLogger(__name__)

MAX_CONCURRENT = 4
"""Renders, and attempts to send, at the same time."""

BACKOFF_FACTOR = 5


class Renderer(Protocol):
    async def get_or_render(self, request: ImageRequest) -> ImageResult: ...


class WebhookDelivery(Struct, frozen=True):
    """An image request, and the URL that its result is sent to."""

    request: ImageRequest
    url: str


class _StoredDelivery(Struct, frozen=True):
    """A delivery as it is stored in the queue; an upload where ``source`` is None."""

    url: str
    operations: list[dict[str, Any]]
    source: SourceRef | None
    upload: bytes


MakeBody = Callable[[ImageResult | ProxyError | None], bytes]
"""Makes the body to send of a result, an error, or None for an unexpected error."""


class WebhookDeliveries:
    """Renders and sends deliveries; enter and exit it in the event loop that it works in."""

    def __init__(
        self,
        service: Renderer,
        http_client: HttpClient,
        queue: DurableQueue,
        operations: OperationRegistry,
        make_body: MakeBody,
        *,
        max_attempts: int = 5,
        backoff_seconds: float = 1.0,
        attempt_timeout_seconds: float = 10.0,
        poll_seconds: float = 30.0,
    ) -> None:
        """``backoff_seconds`` follow the first attempt, five times as many each further one.

        ``poll_seconds``: how often to claim deliveries that another process has left.
        """
        self._service = service
        self._http_client = http_client
        self._queue = queue
        self._operations = operations
        self._make_body = make_body
        self._backoffs = [
            backoff_seconds * BACKOFF_FACTOR**attempt for attempt in range(max_attempts - 1)
        ]
        self._attempt_timeout_seconds = attempt_timeout_seconds
        self._poll_seconds = poll_seconds
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._start(self._poll())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http_client.close()

    async def enqueue(self, delivery: WebhookDelivery) -> None:
        """Store a delivery: when this returns, it will be attempted. Raises Overloaded."""
        try:
            item = await asyncio.to_thread(self._queue.put, _encode(delivery))
        except DurableQueueFull as error:
            raise Overloaded(
                "too many webhook deliveries are waiting", retry_after=30, detail=str(error)
            ) from error
        except OSError as error:
            raise Overloaded(
                "webhook delivery cannot be stored", retry_after=30, detail=str(error)
            ) from error
        self._start(self._process(item))

    async def _poll(self) -> None:
        while True:
            claim = asyncio.ensure_future(asyncio.to_thread(lambda: list(self._queue.claim())))
            try:
                for item in await asyncio.shield(claim):
                    self._start(self._process(item))
            except OSError as error:
                _log.warning("webhook deliveries cannot be claimed: %s", error)
            except asyncio.CancelledError:
                for item in await claim:  # else nobody could claim them until this process ends
                    item.release()
                raise
            await asyncio.sleep(self._poll_seconds)

    async def _process(self, item: QueueItem) -> None:
        try:
            data = await asyncio.to_thread(item.read)
            await self._deliver(_decode(data, self._operations), item.name)
        except (msgspec.MsgspecError, ProxyError, OSError) as error:
            _log.error("webhook delivery dropped, it cannot be read (id=%s): %s", item.name, error)
        except asyncio.CancelledError:
            item.release()
            raise
        await asyncio.to_thread(item.ack)

    async def _deliver(self, delivery: WebhookDelivery, id: str) -> None:
        async with self._slots:
            body = await self._render(delivery.request, id)
        for backoff in (*self._backoffs, None):
            async with self._slots:
                if await self._post(delivery.url, body, id):
                    return
            if backoff is not None:
                await asyncio.sleep(backoff)
        _log.error(
            "webhook delivery dropped after %d failed attempts (id=%s)",
            len(self._backoffs) + 1,
            id,
        )

    async def _render(self, request: ImageRequest, id: str) -> bytes:
        """Return the body to send; retry while overloaded, as the request has been accepted."""
        for backoff in (*self._backoffs, None):
            try:
                return self._make_body(await self._service.get_or_render(request))
            except CapacityError as error:
                if backoff is None:
                    return self._make_body(error)
                await asyncio.sleep(backoff)
            except ProxyError as error:
                return self._make_body(error)
            except Exception as error:  # noqa: BLE001 - the receiver waits for some result
                _log.error("webhook delivery: unexpected error (id=%s)", id, exc_info=error)
                return self._make_body(None)
        raise AssertionError

    async def _post(self, url: str, body: bytes, id: str) -> bool:
        """Return whether the receiver has accepted the body."""
        try:
            async with (
                asyncio.timeout(self._attempt_timeout_seconds),
                self._http_client.request(
                    "POST", parse_url(url), [("content-type", "application/json")], body
                ) as response,
            ):
                if 200 <= response.status < 300:
                    return True
                reason = f"receiver answered {response.status}"
        except TimeoutError:
            reason = f"no response within {self._attempt_timeout_seconds:g} s"
        except ProxyError as error:
            reason = str(error)
        _log.info("webhook attempt failed (id=%s): %s", id, reason)
        return False

    def _start(self, work: Coroutine[None, None, None]) -> None:
        # Without the context of the request that enqueued the delivery: it has its response.
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _encode(delivery: WebhookDelivery) -> bytes:
    original = delivery.request.source
    operations = [msgspec.to_builtins(operation) for operation in delivery.request.plan]
    source, upload = original, b""
    if isinstance(original, Upload):
        source, upload = None, original.body.read()
    return msgspec.msgpack.encode(_StoredDelivery(delivery.url, operations, source, upload))


def _decode(data: bytes, operations: OperationRegistry) -> WebhookDelivery:
    stored = msgspec.msgpack.decode(data, type=_StoredDelivery)
    source: OriginalRef = stored.source or Upload.from_bytes(stored.upload)
    return WebhookDelivery(ImageRequest(source, operations.plan(stored.operations)), stored.url)
