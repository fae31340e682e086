"""Originals that several sizes are wanted of at a time: decoded once, for all of them.

A page asks for all sizes of a new upload at once, and decoding is most of what a small one costs.
So once a second plan wants the same original, be it now or within the next seconds, the original is
decoded by itself into shared memory, and every plan begins with that. Who comes alone is rendered
in one go, which takes a little less.
"""

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from msgspec import Struct

from proxy.blob import Blob, Room
from proxy.containers import Header, probe
from proxy.errors import RenderFailed
from proxy.flights import Flights
from proxy.geometry import Size
from proxy.handover import Lane
from proxy.orders import REDUCE, Outfit, ReduceOrder
from proxy.originals import Original
from proxy.plan import Plan
from proxy.pool import Pool
from proxy.reduction import BANDS_AT_MOST, SHARED_AT_MOST, Raster, may_share, shared_factor
from proxy.telemetry import tell

_BUDGET = 64 * 1024 * 1024  # bytes
_SECONDS = 5.0
"""How long a raster, and the memory of who was decoded, outlast their last use."""

_REMEMBERED = 1024


class Reduced(Struct, frozen=True):
    """A decoded original, and its pixels."""

    raster: Raster
    pixels: Blob


class Rasters:
    """The decoded originals of one HTTP worker."""

    def __init__(self, pool: Pool, outfit: Outfit) -> None:
        self._pool = pool
        self._outfit = outfit
        self._flights = Flights()
        self._wanted: Counter[str] = Counter()
        self._lately: OrderedDict[str, float] = OrderedDict()
        self._kept: dict[str, Reduced] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._kept)

    @contextmanager
    def wanting(self, source: str) -> Iterator[None]:
        """Say that a rendition of the source of this key is being made, from before the fetch."""
        self._wanted[source] += 1
        try:
            yield
        finally:
            self._wanted[source] -= 1
            if not self._wanted[source]:
                del self._wanted[source]

    async def of(self, source: str, original: Original, plan: Plan, lane: Lane) -> Reduced | None:
        """The original decoded, where that serves this plan and others too; else None.

        ``source`` is its key. Raises whatever rendering would raise.
        """
        shared = self._wanted[source] > 1 or self._was_decoded(original.digest)
        self._note(original.digest)
        if not shared or plan.pages is not None:
            return None
        at_hand = self._kept.get(original.digest)
        reduced = at_hand or await self._decoded(original, plan, lane)
        if reduced is None or not reduced.raster.serves(plan.needs(reduced.raster.natural)):
            return None
        tell("raster", "hit" if at_hand else "miss")
        return reduced

    async def _decoded(self, original: Original, plan: Plan, lane: Lane) -> Reduced | None:
        header = await asyncio.to_thread(probe, original.body.view())
        if not may_share(header, plan.needs(Size(header.width, header.height))):
            return None
        kept = self._kept.get(original.digest)  # it may have been made meanwhile
        return kept or await self._flights.join(
            f"{lane}-{original.digest}",  # who waits does not join what is in no hurry
            partial(self._reduce, original, header, lane),
        )

    def forget(self, *, unused_for: float) -> None:
        """Let go of what was not used for so many seconds."""
        before = time.monotonic() - unused_for
        for digest in [one for one in self._kept if self._lately.get(one, 0.0) <= before]:
            del self._kept[digest]

    async def close(self) -> None:
        """Give up what is being decoded, and let go of the rest."""
        await self._flights.close()
        if self._timer is not None:
            self._timer.cancel()
        self._kept.clear()

    async def _reduce(self, original: Original, header: Header, lane: Lane) -> Reduced:
        room = Room(SHARED_AT_MOST * BANDS_AT_MOST)
        raster = await self._pool.run(
            REDUCE,
            ReduceOrder(self._outfit, shared_factor(header) or 1),
            [original.body, room],
            lane=lane,
            seconds=self._outfit.limits.render_seconds,
        )
        try:
            reduced = Reduced(raster, room.sealed(raster.length))
        except (OSError, ValueError) as error:
            message = "the picture could not be rendered"
            raise RenderFailed(message, detail=f"a raster that cannot be: {error}") from error
        self._keep(original.digest, reduced)
        return reduced

    def _was_decoded(self, digest: str) -> bool:
        return time.monotonic() - self._lately.get(digest, -math.inf) < _SECONDS

    def _note(self, digest: str) -> None:
        self._lately[digest] = time.monotonic()
        self._lately.move_to_end(digest)
        while len(self._lately) > _REMEMBERED:
            self._lately.popitem(last=False)

    def _keep(self, digest: str, reduced: Reduced) -> None:
        """Keep it for a while; the longest unused make room for it."""
        self._kept[digest] = reduced
        while sum(one.pixels.size for one in self._kept.values()) > _BUDGET:
            del self._kept[min(self._kept, key=lambda one: self._lately.get(one, 0.0))]
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.forget(unused_for=_SECONDS)
        if self._kept:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._expire)
