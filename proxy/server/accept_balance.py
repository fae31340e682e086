"""Share new connections among HTTP workers: who has more than another lets that one accept.

All workers accept from one socket, and who runs is faster than who has to wake up: of 16
connections that were opened at once, one of two workers often got all. Connections of a CDN stay
open for long, so one worker then has all the work, and its clients wait, while the other is idle.
"""

import mmap
import time
from collections.abc import Callable

_PAUSE_SECONDS = 50e-6
_MAX_PAUSES = 10
"""How long a worker pauses for each connection that it has too many: another one can wake up."""


class ConnectionCounts:
    """How many connections each worker has, in memory that the server and its workers share.

    Workers are numbered as in `proxy.telemetry.metrics.MetricsFiles`.
    """

    def __init__(self, workers: int) -> None:
        """Call it before workers are forked; ``workers`` is how many there are at least."""
        self._size = 2 * workers + 2  # while they are being replaced there are more
        self._counts = memoryview(mmap.mmap(-1, self._size * 4)).cast("i")
        """One more than the connections; 0: there is no such worker, or it does not accept."""

    def set(self, worker: int, connections: int) -> None:
        self._counts[worker % self._size] = 1 + connections

    def remove(self, worker: int) -> None:
        """Note that this worker accepts no more connections."""
        self._counts[worker % self._size] = 0

    def fewest(self) -> int:
        """Return the number of connections of the worker with the fewest; 0 without workers."""
        return min(filter(None, self._counts), default=1) - 1


class AcceptBalance:
    """Balances the connections of one worker with those of the others, while it accepts any."""

    def __init__(
        self,
        counts: ConnectionCounts,
        worker: int,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """``pause`` is called with seconds."""
        self._counts = counts
        self._worker = worker
        self._pause = pause
        self._is_accepting = False

    def start(self, connections: int) -> None:
        self._is_accepting = True
        self._counts.set(self._worker, connections)

    def stop(self) -> None:
        self._is_accepting = False
        self._counts.remove(self._worker)

    def opened(self, connections: int) -> None:
        """Note a new connection; ``connections`` are all of this worker.

        If they are too many, wait for a moment, so that another worker accepts the next one.
        """
        self._set(connections)
        fewest = self._counts.fewest()
        # Without the 2, short connections would take up to 10 % longer.
        too_many = connections - fewest - (2 + fewest // 8)
        if too_many > 0:
            self._pause(_PAUSE_SECONDS * min(too_many, _MAX_PAUSES))

    def closed(self, connections: int) -> None:
        """Note a closed connection; ``connections`` are those that are left."""
        self._set(connections)

    def _set(self, connections: int) -> None:
        if self._is_accepting:
            self._counts.set(self._worker, connections)
