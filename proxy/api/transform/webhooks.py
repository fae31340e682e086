"""Webhook deliveries: render later, and send the result with several attempts.

A delivery is in the durable queue from before its request is accepted until its receiver has
answered 2xx, or every attempt has failed. It is read from there when it is due, and again for each
attempt: in memory are the names of those that wait, and the few that are worked on. When a server
ends, in whatever way, its deliveries are claimed by the next server or by another worker of the
machine. So a delivery may, after a crash, be sent twice: its ``webhook-id`` stays the same.

One client, or one receiver, holds a part of the places only. A receiver that does not answer gets
pauses, which grow; its other deliveries wait meanwhile without losing an attempt.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol, Self, TypeVar

import msgspec
from msgspec import Struct

from proxy.api.transform.queue import (
    DurableQueue,
    DurableQueueFull,
    ItemGroup,
    QueueItem,
    ScheduledItem,
)
from proxy.api.transform.receiver_backoff import ReceiverBackoff
from proxy.api.transform.schedule import Schedule
from proxy.api.transform.webhook_signature import WebhookSigner
from proxy.compat.msgspec import DECODE_ERRORS
from proxy.errors import CapacityError, Overloaded, ProxyError
from proxy.image_request import ImageRequest
from proxy.operations.registry import OperationRegistry
from proxy.originals import OriginalRef, SourceRef, Upload
from proxy.runtime.background import BackgroundTasks, cancel
from proxy.service import ImageResult
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.url import parse_url

T = TypeVar("T")

_log = logging.getLogger(__name__)

MAX_CONCURRENT = 8
MAX_PER_CLIENT = 4
MAX_PER_RECEIVER = 2
"""Deliveries that a worker works on at the same time: in all, of one client, to one host."""

BACKOFF_FACTOR = 5

_MAX_NAMES = 20_000
"""Names in memory; what is on disk beyond them is found later."""

_RESOLVE_TIMEOUT_SECONDS = 2.0


class Renderer(Protocol):
    async def get_or_render(self, request: ImageRequest) -> ImageResult: ...


class WebhookDelivery(Struct, frozen=True):
    """An image request, the URL that its result is sent to, and whose request it is."""

    request: ImageRequest
    url: str
    client: str = ""


class _StoredDelivery(Struct, frozen=True):
    """A delivery as it is stored in the queue; an upload where ``source`` is None.

    ``body`` is what to send, once a first attempt to send it has failed. Then it is all there is.
    """

    url: str
    operations: list[dict[str, Any]]
    source: SourceRef | None
    upload: bytes
    body: bytes = b""


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
        background: BackgroundTasks,
        max_attempts: int = 5,
        backoff_seconds: float = 1.0,
        attempt_timeout_seconds: float = 10.0,
        signer: WebhookSigner | None = None,
        poll_seconds: float = 30.0,
    ) -> None:
        """``backoff_seconds`` follow the first attempt, five times as many each further one.

        ``poll_seconds``: how often to look for deliveries that another process has left.
        """
        self._service = service
        self._http_client = http_client
        self._queue = queue
        self._operations = operations
        self._make_body = make_body
        self._background = background
        self._backoffs = [
            backoff_seconds * BACKOFF_FACTOR**attempt for attempt in range(max_attempts - 1)
        ]
        self._attempt_timeout_seconds = attempt_timeout_seconds
        self._signer = signer or WebhookSigner()
        self._poll_seconds = poll_seconds
        self._schedule = Schedule(
            _MAX_NAMES, max_per_client=MAX_PER_CLIENT, max_per_receiver=MAX_PER_RECEIVER
        )
        self._receivers = ReceiverBackoff(backoff_seconds)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            self._background.repeat("webhook_poll", self._poll, every_seconds=self._poll_seconds),
            *(
                self._background.repeat("webhook_delivery", self._process_next)
                for _ in range(MAX_CONCURRENT)
            ),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel(*self._tasks)
        await self._http_client.close()

    async def enqueue(self, delivery: WebhookDelivery) -> None:
        """Store a delivery: when this returns, it will be attempted.

        Raises:
            SourceForbidden: the SSRF policy does not allow the URL, or any address of its host. A
                host that cannot be resolved now is accepted: it may be when the result is sent.
            Overloaded: the queue is full, or the disk fails.
        """
        url = parse_url(delivery.url)
        await self._http_client.check(url, timeout_seconds=_RESOLVE_TIMEOUT_SECONDS)
        group = ItemGroup(delivery.client, url.host)
        try:
            item = await asyncio.to_thread(lambda: self._queue.put(_encode(delivery), group))
        except DurableQueueFull as error:
            raise Overloaded(
                "too many webhook deliveries are waiting", retry_after=30, detail=str(error)
            ) from error
        except OSError as error:
            raise Overloaded(
                "webhook delivery cannot be stored", retry_after=30, detail=str(error)
            ) from error
        self._schedule.add(item)

    async def _poll(self) -> None:
        if swept := await asyncio.to_thread(self._queue.sweep):
            _log.warning("webhook files that a killed process left unfinished removed: %d", swept)
        for item in await asyncio.to_thread(self._queue.schedule, _MAX_NAMES):
            self._schedule.add(item)

    async def _process_next(self) -> None:
        scheduled = await self._schedule.next_due()
        try:
            await self._claim(scheduled)
        finally:
            self._schedule.done(scheduled)

    async def _claim(self, scheduled: ScheduledItem) -> None:
        """Work on the item, if no other process does."""
        claim = asyncio.ensure_future(asyncio.to_thread(self._queue.claim, scheduled.name))
        item = None
        try:
            item = await asyncio.shield(claim)
            if item is not None:
                await self._process(item, scheduled.receiver)
        except asyncio.CancelledError:
            item = await claim
            raise
        finally:
            if item is not None:  # else nobody could claim it until this process ends
                item.release()

    async def _process(self, item: QueueItem, receiver: str) -> None:
        try:
            stored, request = await asyncio.to_thread(self._read, item)
        except (*DECODE_ERRORS, ProxyError, OSError) as error:
            _log.error("webhook delivery dropped, it cannot be read (id=%s): %s", item.id, error)
            await _finish(item.ack)
            return
        try:
            body = stored.body or await self._render(request, item.id)
            status = await self._post(stored.url, body, item.id)
        except Exception:  # a bug, which must not make the delivery repeat without end
            await self._retry(item)
            raise
        self._schedule.hold(receiver, self._receivers.pause_after(receiver, status))
        if status is not None and 200 <= status < 300:
            await _finish(item.ack)
            return
        if not stored.body:
            await self._store_body(item, _StoredDelivery(stored.url, [], None, b"", body))
        await self._retry(item)

    def _read(self, item: QueueItem) -> tuple[_StoredDelivery, ImageRequest]:
        stored = msgspec.msgpack.decode(item.read(), type=_StoredDelivery)
        source: OriginalRef = stored.source or Upload.from_bytes(stored.upload)
        return stored, ImageRequest(source, self._operations.plan(stored.operations))

    async def _store_body(self, item: QueueItem, rendered: _StoredDelivery) -> None:
        """Store what to send, for the next attempts.

        Where there is no room it is rendered again for each, which the cache makes cheap.
        """
        try:
            await _finish(lambda: item.replace(msgspec.msgpack.encode(rendered)))
        except (DurableQueueFull, OSError) as error:
            _log.info("webhook result not stored (id=%s): %s", item.id, error)

    async def _retry(self, item: QueueItem) -> None:
        """Let it be attempted again later, or drop it after the last attempt."""
        if item.attempts >= len(self._backoffs):
            _log.error(
                "webhook delivery dropped after %d failed attempts (id=%s)",
                len(self._backoffs) + 1,
                item.id,
            )
            await _finish(item.ack)
            return
        due_at = time.time() + self._backoffs[item.attempts]
        self._schedule.add(await _finish(lambda: item.retry_at(due_at)))

    async def _render(self, request: ImageRequest, id: str) -> bytes:
        """Return the body to send; retry while overloaded, as the request has been accepted."""
        for backoff in (*self._backoffs, None):
            try:
                result = await self._service.get_or_render(request)
                return await asyncio.to_thread(self._make_body, result)
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

    async def _post(self, url: str, body: bytes, id: str) -> int | None:
        """Send the body; return the status of the answer, None where there was none."""
        headers = self._signer.headers(f"msg_{id}", int(time.time()), body)
        try:
            async with (
                asyncio.timeout(self._attempt_timeout_seconds),
                self._http_client.request(
                    "POST", parse_url(url), [("content-type", "application/json"), *headers], body
                ) as response,
            ):
                status = response.status
        except TimeoutError:
            reason = f"no response within {self._attempt_timeout_seconds:g} s"
        except ProxyError as error:
            reason = str(error)
        else:
            if not 200 <= status < 300:
                _log.info("webhook attempt failed (id=%s): receiver answered %d", id, status)
            return status
        _log.info("webhook attempt failed (id=%s): %s", id, reason)
        return None


def _encode(delivery: WebhookDelivery) -> bytes:
    original = delivery.request.source
    operations = [msgspec.to_builtins(operation) for operation in delivery.request.plan]
    source = original if isinstance(original, SourceRef) else None
    upload = original.body.read() if isinstance(original, Upload) else b""
    return msgspec.msgpack.encode(_StoredDelivery(delivery.url, operations, source, upload))


async def _finish(call: Callable[[], T]) -> T:
    """Call in a thread, which uses an item; a task that is cancelled waits for it first."""
    future = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait((future,))
        raise
