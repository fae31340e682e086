"""Originals that several sizes are wanted of at a time: decoded once, for all of them.

A page asks for all sizes of a new upload at once, and decoding is most of what a small one costs.
So once a second plan wants the same original, be it now or within the next seconds, and whichever
worker it reaches, the original is decoded by itself into shared memory, and every plan begins with
that. Who comes alone is rendered in one go, which takes a little less.
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
from proxy.imaging.headers import Header, probe
from proxy.imaging.shrink_on_load import (
    BANDS_AT_MOST,
    SHARED_AT_MOST,
    Raster,
    may_share,
    shared_factor,
)
from proxy.operations.plan import Plan
from proxy.originals import Original
from proxy.render.messages import REDUCE, Outfit, ReduceOrder
from proxy.render.pool import Pool
from proxy.render.protocol import Lane
from proxy.render.recent_requests import Asked
from proxy.render.shared_memory import Loans
from proxy.singleflight import SingleFlight
from proxy.telemetry.metrics import tell

_BUDGET = 64 * 1024 * 1024  # bytes
_SECONDS = 5.0
"""How far apart two may want the same original, and how long a raster outlasts its last use."""


class Reduced(Struct, frozen=True):
    """A decoded original, and its pixels."""

    raster: Raster
    pixels: SharedBuffer


class _Kept(NamedTuple):
    reduced: Reduced
    used_at: float
    own: bool


class Rasters:
    """The decoded originals of one HTTP worker."""

    def __init__(self, pool: Pool, outfit: Outfit, folder: Path | None = None) -> None:
        """``folder`` is where all workers of the machine meet; without it this one is alone.

        Raises OSError where nothing can be written there.
        """
        self._pool = pool
        self._outfit = outfit
        self._flights = SingleFlight(folder / "raster-flights" if folder else None)
        self._asked = Asked(folder / "raster-asked" if folder else None)
        self._loans = Loans(folder, "raster")
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def wanted(self, source: str) -> None:
        """Say that a rendition of the source of this key is about to be made."""
        self._asked.note(source)

    async def of(self, source: str, original: Original, plan: Plan, lane: Lane) -> Reduced | None:
        """The original decoded, where that serves this plan and others too; else None.

        ``source`` is its key. Raises whatever rendering would raise.
        """
        if plan.pages is not None or not self._asked.twice(source, _SECONDS):
            return None
        at_hand = self._at_hand(original.digest)
        reduced = at_hand or await self._decoded(original, plan, lane)
        if reduced is None or not reduced.raster.serves(plan.needs(reduced.raster.natural)):
            return None
        tell("raster", "hit" if at_hand else "miss")
        return reduced

    def forget(self, *, unused_for: float) -> None:
        """Let go of what was not used for so many seconds."""
        before = time.monotonic() - unused_for
        for digest in [digest for digest, kept in self._kept.items() if kept.used_at <= before]:
            self._drop(digest)

    async def close(self) -> None:
        """Give up what is being decoded, and let go of the rest."""
        await self._flights.close()
        if self._timer is not None:
            self._timer.cancel()
        self.forget(unused_for=0)

    async def _decoded(self, original: Original, plan: Plan, lane: Lane) -> Reduced | None:
        header = await asyncio.to_thread(probe, original.body.view())
        if not may_share(header, plan.needs(Size(header.width, header.height))):
            return None
        return await self._flights.do(
            f"{lane}-{original.digest}",  # who waits does not join what is in no hurry
            partial(self._reduce, original, header, lane),
            look=partial(self._made, original.digest),
        )

    async def _reduce(self, original: Original, header: Header, lane: Lane) -> Reduced:
        room = OutputBuffer(SHARED_AT_MOST * BANDS_AT_MOST)
        raster = await self._pool.run(
            REDUCE,
            ReduceOrder(self._outfit, shared_factor(header) or 1),
            [original.body, room],
            lane=lane,
            seconds=self._outfit.limits.render_timeout_seconds,
        )
        try:
            reduced = Reduced(raster, room.sealed(raster.length))
        except (OSError, ValueError) as error:
            message = "the picture could not be rendered"
            raise RenderFailed(message, detail=f"a raster that cannot be: {error}") from error
        self._keep(original.digest, reduced, own=True)
        return reduced

    async def _made(self, digest: str) -> Reduced | None:
        """What was decoded meanwhile, here or elsewhere."""
        return self._at_hand(digest)

    def _at_hand(self, digest: str) -> Reduced | None:
        kept = self._kept.get(digest)
        if kept is not None:
            self._kept[digest] = kept._replace(used_at=time.monotonic())
            self._kept.move_to_end(digest)
            return kept.reduced
        lent = self._loans.borrow(digest, Raster)
        if lent is None:
            return None
        pixels, raster = lent
        reduced = Reduced(raster, pixels)
        self._keep(digest, reduced, own=False)
        return reduced

    def _keep(self, digest: str, reduced: Reduced, *, own: bool) -> None:
        """Keep it for a while; the longest unused make room for it."""
        self._kept[digest] = _Kept(reduced, time.monotonic(), own)
        if own:
            self._loans.lend(digest, reduced.pixels, reduced.raster)
        while sum(kept.reduced.pixels.size for kept in self._kept.values()) > _BUDGET:
            self._drop(next(iter(self._kept)))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._expire)

    def _drop(self, digest: str) -> None:
        if self._kept.pop(digest).own:
            self._loans.take_back(digest)

    def _expire(self) -> None:
        self._timer = None
        self.forget(unused_for=_SECONDS)
        if self._kept:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._expire)
