"""Decode an original once for several plans that need it at about the same time.

A page requests all sizes of a new upload together, and decoding is most of the cost of a small one.
So once a second plan needs the same original within some seconds, in whichever worker, the original
is decoded on its own into shared memory, and every plan starts from there. A single plan is
rendered in one go, which takes a little less.
"""

import asyncio
import time
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from proxy.buffers import OutputBuffer, SharedBuffer
from proxy.errors import RenderFailed
from proxy.geometry import Size
from proxy.imaging.headers import ImageHeader
from proxy.imaging.shrink_on_load import (
    MAX_BANDS,
    MAX_SHARED_PIXELS,
    DecodedInfo,
    can_share,
    shared_shrink_factor,
)
from proxy.operations.plan import Plan
from proxy.originals import Original
from proxy.render.header_reader import HeaderReader
from proxy.render.pool import RenderPool
from proxy.render.recent_requests import RecentRequests
from proxy.render.scheduling import Priority
from proxy.render.shared_memory import SharedMemoryRegistry
from proxy.render.tasks import DECODE, DecodeRequest, RenderContext
from proxy.runtime.singleflight import SingleFlight
from proxy.telemetry.request_context import record_cache

_MAX_BYTES = 64 * 1024 * 1024
_TTL_SECONDS = 5.0
"""How far apart two requests may be to share a decode, and how long an unused decode is held."""


class DecodedOriginal(Struct, frozen=True):
    info: DecodedInfo
    pixels: SharedBuffer


class _Entry(NamedTuple):
    decoded: DecodedOriginal
    used_at: float
    published: bool
    """Whether this worker decoded it and shares it, rather than another one."""


class SharedDecodes:
    """The decoded originals of one HTTP worker."""

    def __init__(
        self,
        pool: RenderPool,
        context: RenderContext,
        headers: HeaderReader,
        shared_dir: Path | None = None,
    ) -> None:
        """All workers of the machine name the same ``shared_dir``; without it this one is alone.

        Raises OSError where that folder is not writable.
        """
        self._pool = pool
        self._context = context
        self._headers = headers
        self._single_flight = SingleFlight(shared_dir / "decode-locks" if shared_dir else None)
        self._requests = RecentRequests(shared_dir / "decode-requests" if shared_dir else None)
        self._registry = SharedMemoryRegistry(shared_dir, "decode")
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def note_request(self, source_key: str) -> None:
        """Record that a rendition of this source is about to be made."""
        self._requests.record(source_key)

    def note_header(self, original: Original, header: ImageHeader) -> None:
        """Remember the header of an original, which is needed to share its decode."""
        self._headers.remember(original, header)

    async def get(
        self, source_key: str, original: Original, plan: Plan, priority: Priority
    ) -> DecodedOriginal | None:
        """The decoded original, if this plan and others can start from it; else None.

        Raises the errors of rendering.
        """
        if plan.page_range is not None or plan.reads_original or plan.keeps_hdr:
            return None
        if not self._requests.repeated_within(source_key, _TTL_SECONDS):
            return None
        cached = await self._find(original.digest)
        decoded = cached or await self._decode(original, plan, priority)
        if decoded is None or not decoded.info.can_serve(
            plan.required_size(decoded.info.natural_size)
        ):
            return None
        record_cache("decoded", "hit" if cached else "miss")
        return decoded

    def evict(self, *, unused_for: float) -> None:
        """Drop what was not used for ``unused_for`` seconds."""
        limit = time.monotonic() - unused_for
        for digest in [digest for digest, entry in self._entries.items() if entry.used_at <= limit]:
            self._remove(digest)

    async def close(self) -> None:
        """Cancel decodes in progress, and drop the others."""
        await self._single_flight.close()
        if self._timer is not None:
            self._timer.cancel()
        self.evict(unused_for=0)
        self._registry.close()

    async def _decode(
        self, original: Original, plan: Plan, priority: Priority
    ) -> DecodedOriginal | None:
        header = await self._headers.read(original, priority)
        if not can_share(header, plan.required_size(Size(header.width, header.height))):
            return None
        return await self._single_flight.do(
            f"{priority}-{original.digest}",  # a request does not wait for a less urgent task
            partial(self._run_decode, original, header, priority),
            recheck=partial(self._recheck, original.digest),
        )

    async def _run_decode(
        self, original: Original, header: ImageHeader, priority: Priority
    ) -> DecodedOriginal:
        output = OutputBuffer(MAX_SHARED_PIXELS * MAX_BANDS)
        info = await self._pool.run(
            DECODE,
            DecodeRequest(self._context, shared_shrink_factor(header) or 1),
            [original.body, output],
            priority=priority,
            cpu_seconds=self._context.limits.render_timeout_seconds,
        )
        try:
            decoded = DecodedOriginal(info, output.seal(info.byte_length))
        except (OSError, ValueError) as error:
            raise RenderFailed(
                "the image could not be rendered", detail=f"decoded original invalid: {error}"
            ) from error
        self._add(original.digest, decoded, publish=True)
        return decoded

    async def _recheck(self, digest: str) -> DecodedOriginal | None:
        return await self._find(digest)

    async def _find(self, digest: str) -> DecodedOriginal | None:
        """What was decoded here, or by another worker."""
        entry = self._entries.get(digest)
        if entry is not None:
            self._entries[digest] = entry._replace(used_at=time.monotonic())
            self._entries.move_to_end(digest)
            return entry.decoded
        shared = await self._registry.open(digest, DecodedInfo)
        if shared is None:
            return None
        if (entry := self._entries.get(digest)) is not None:  # another task has found it meanwhile
            return entry.decoded
        pixels, info = shared
        decoded = DecodedOriginal(info, pixels)
        self._add(digest, decoded, publish=False)
        return decoded

    def _add(self, digest: str, decoded: DecodedOriginal, *, publish: bool) -> None:
        """Hold it for a while; above the byte limit, the least recently used are dropped."""
        self._entries[digest] = _Entry(decoded, time.monotonic(), publish)
        if publish:
            self._registry.publish(digest, decoded.pixels, decoded.info)
        while sum(entry.decoded.pixels.size for entry in self._entries.values()) > _MAX_BYTES:
            self._remove(next(iter(self._entries)))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TTL_SECONDS, self._expire)

    def _remove(self, digest: str) -> None:
        if self._entries.pop(digest).published:
            self._registry.withdraw(digest)

    def _expire(self) -> None:
        self._timer = None
        self.evict(unused_for=_TTL_SECONDS)
        if self._entries:
            self._timer = asyncio.get_running_loop().call_later(_TTL_SECONDS, self._expire)
