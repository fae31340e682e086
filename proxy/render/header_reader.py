"""Read the headers of originals, each once, and never for long in an HTTP worker.

1. A small file with a simple header is read in the worker: that takes less time than to ask.
2. Every other one is read in a render process, which the kernel stops at a deadline.
3. What was found is remembered by the digest of the original, also that reading it was too
   expensive.
"""

from collections import OrderedDict
from functools import partial

from proxy.buffers import SharedBuffer
from proxy.cache.negative import NegativeCache
from proxy.errors import DeadlineExceeded, ImageError, ImageTooLarge, OriginalChanged
from proxy.imaging.headers import ImageHeader, ProbeBudget, probe
from proxy.originals import Original
from proxy.render.pool import RenderPool
from proxy.render.scheduling import Priority
from proxy.render.tasks import PROBE
from proxy.runtime.singleflight import SingleFlight

_MAX_BYTES_HERE = 65_536
_MAX_STEPS_HERE = 500
_MAX_INFLATED_BYTES_HERE = 131_072
"""What is within these bounds takes a fraction of a millisecond."""

_CPU_SECONDS = 2.0
"""Many times of what the budget of a probe allows."""

_MAX_HEADERS = 4096


class HeaderReader:
    """The headers that one HTTP worker has read."""

    def __init__(
        self, pool: RenderPool, single_flight: SingleFlight, negative: NegativeCache
    ) -> None:
        self._pool = pool
        self._single_flight = single_flight
        self._negative = negative
        self._headers: OrderedDict[str, ImageHeader] = OrderedDict()

    async def read(self, original: Original, priority: Priority = "interactive") -> ImageHeader:
        """The header of an original. Raises an ImageError or a CapacityError."""
        header = self._headers.get(original.digest)
        if header is None:
            header = await self._probe(original, priority)
        self.remember(original, header)
        return header

    def remember(self, original: Original, header: ImageHeader) -> None:
        """Note the header of an original that was read on another occasion."""
        self._headers[original.digest] = header
        self._headers.move_to_end(original.digest)
        if len(self._headers) > _MAX_HEADERS:
            self._headers.popitem(last=False)

    async def _probe(self, original: Original, priority: Priority) -> ImageHeader:
        with self._negative.guard("probe", [original.digest], (ImageError, DeadlineExceeded)):
            header = probe_simple(original.body)
            if header is not None:
                return header
            return await self._single_flight.do(
                f"{priority}-probe-{original.digest}",
                partial(
                    self._pool.run,
                    PROBE,
                    None,
                    [original.body],
                    priority=priority,
                    cpu_seconds=_CPU_SECONDS,
                ),
            )


def probe_simple(body: SharedBuffer) -> ImageHeader | None:
    """The header of a small and simple file; None for any other. Raises an ImageError."""
    if body.size > _MAX_BYTES_HERE:
        return None
    data = body.read()  # not mapped: to read a mapping of a file that was cut ends the process
    if len(data) < body.size:
        raise OriginalChanged(detail=f"{len(data)} bytes of {body.size}")
    budget = ProbeBudget(0, max_steps=_MAX_STEPS_HERE, max_inflated_bytes=_MAX_INFLATED_BYTES_HERE)
    try:
        return probe(data, budget)
    except ImageTooLarge:
        if not budget.is_exceeded:
            raise
        return None
