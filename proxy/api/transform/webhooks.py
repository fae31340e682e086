"""Results that are sent to an address later: made, delivered with several tries, never lost.

Each order lies in the spool from before it is accepted until its receiver has said 2xx, or every
try has failed. A server that was ended, in whatever way, takes up at its next start what it owes;
so does another worker on the machine. A receiver may therefore, after a crash, be told twice.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Protocol, Self

import msgspec
from msgspec import Struct

from proxy.api.transform.queue import Full, Piece, Spool
from proxy.errors import CapacityError, Overloaded, ProxyError
from proxy.image_request import ImageRequest
from proxy.operations.plan import OperationRegistry
from proxy.originals import OriginalRef, SourceRef, Upload
from proxy.service import ImageResult
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.url import parse_url

_log = logging.getLogger(__name__)

AT_A_TIME = 4


class Producer(Protocol):
    async def get_or_render(self, job: ImageRequest) -> ImageResult: ...


class Order(Struct, frozen=True):
    """A job, and where its result shall be sent."""

    job: ImageRequest
    url: str


class _Kept(Struct, frozen=True):
    """An order as it lies in the spool."""

    url: str
    steps: list[dict[str, Any]]
    address: SourceRef | None
    upload: bytes


Told = Callable[[ImageResult | ProxyError | None], bytes]
"""The body to send: for an answer, a failure, or None for a fault of ours."""


class Webhooks:
    """Open it in the loop that it shall work in, and close it there."""

    def __init__(
        self,
        service: Producer,
        dialer: HttpClient,
        spool: Spool,
        catalogue: OperationRegistry,
        told: Told,
        *,
        tries: int = 5,
        wait_seconds: float = 1.0,
        try_seconds: float = 10.0,
        look_seconds: float = 30.0,
    ) -> None:
        """There are ``tries`` tries of ``try_seconds`` at most each.

        The pause after the first is ``wait_seconds``, each one after it five times as long. Every
        ``look_seconds`` somebody looks for what another process left undone.
        """
        self._service = service
        self._dialer = dialer
        self._spool = spool
        self._catalogue = catalogue
        self._told = told
        self._pauses = [wait_seconds * 5**at for at in range(tries - 1)]
        self._try_seconds = try_seconds
        self._look_seconds = look_seconds
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._begin(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._dialer.close()

    async def accept(self, order: Order) -> None:
        """Take the order; when this returns, it will be done. Raises Overloaded."""
        try:
            piece = await asyncio.to_thread(self._spool.put, _packed(order))
        except Full as error:
            raise Overloaded("too many results are waiting to be sent", retry_after=30) from error
        except OSError as error:
            raise Overloaded(
                "orders cannot be kept at the moment", retry_after=30, detail=str(error)
            ) from error
        self._begin(self._work(piece))

    async def _look(self) -> None:
        while True:
            claim = asyncio.ensure_future(asyncio.to_thread(lambda: list(self._spool.claim())))
            try:
                for piece in await asyncio.shield(claim):
                    self._begin(self._work(piece))
            except OSError as error:
                _log.warning("orders cannot be looked for: %s", error)
            except asyncio.CancelledError:
                for piece in await claim:  # else nobody else could take them up
                    piece.leave()
                raise
            await asyncio.sleep(self._look_seconds)

    async def _work(self, piece: Piece) -> None:
        try:
            data = await asyncio.to_thread(piece.read)
            await self._fulfil(_unpacked(data, self._catalogue), piece.name)
        except (msgspec.MsgspecError, ProxyError, OSError) as error:
            _log.error("order %s cannot be read and is given up: %s", piece.name, error)
        except asyncio.CancelledError:
            piece.leave()
            raise
        await asyncio.to_thread(piece.done)

    async def _fulfil(self, order: Order, name: str) -> None:
        async with self._turns:
            body = await self._body(order.job, name)
        for pause in (*self._pauses, None):
            async with self._turns:
                if await self._sent(order.url, body, name):
                    return
            if pause is not None:
                await asyncio.sleep(pause)
        _log.error("order %s: its receiver was not reached, and will not be tried again", name)

    async def _body(self, job: ImageRequest, name: str) -> bytes:
        """What to send; while we are overloaded, wait: the caller was told that it is accepted."""
        for pause in (*self._pauses, None):
            try:
                return self._told(await self._service.get_or_render(job))
            except CapacityError as error:
                if pause is None:
                    return self._told(error)
                await asyncio.sleep(pause)
            except ProxyError as error:
                return self._told(error)
            except Exception as error:  # noqa: BLE001 - an order must not vanish with a fault of ours
                _log.error("order %s: unforeseen", name, exc_info=error)
                return self._told(None)
        raise AssertionError

    async def _sent(self, url: str, body: bytes, name: str) -> bool:
        try:
            async with (
                asyncio.timeout(self._try_seconds),
                self._dialer.request(
                    "POST", parse_url(url), [("content-type", "application/json")], body
                ) as answer,
            ):
                if 200 <= answer.status < 300:
                    return True
                _log.info("order %s: its receiver said %d", name, answer.status)
        except (ProxyError, TimeoutError) as error:
            _log.info("order %s: its receiver was not reached: %s", name, error or "too slow")
        return False

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        # Of no request: the one that brought the order has its answer already.
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _packed(order: Order) -> bytes:
    source = order.job.source
    steps = [msgspec.to_builtins(operation) for operation in order.job.plan]
    address, upload = (source, b"") if isinstance(source, SourceRef) else (None, source.body)
    return msgspec.msgpack.encode(_Kept(order.url, steps, address, upload))


def _unpacked(data: bytes, catalogue: OperationRegistry) -> Order:
    kept = msgspec.msgpack.decode(data, type=_Kept)
    source: OriginalRef = kept.address or Upload(kept.upload)
    return Order(ImageRequest(source, catalogue.plan(kept.steps)), kept.url)
